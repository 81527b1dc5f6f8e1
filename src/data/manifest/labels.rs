//! Labels of a manifest: which columns they stand in, and classes of one column or of a column each.

use super::super::labels::{
    Classes, Known, Outputs, Place, Written, Yes, classes, is_negative, listed, nothing_found, quoted, same,
};
use super::super::table::{Column, Table};
use super::super::{ImageOptions, LabelColumns, LabelOptions, Labels, Remark};
use super::answers::{Answer, Settled, Unanswered, none_left};
use super::findings::{between, in_columns, in_one_text, standings};
use crate::{Error, Result};

/// The rows whose labels are an answer, and these.
pub(super) struct Read {
    pub(super) rows: Vec<usize>,
    pub(super) labels: Labels,
    pub(super) classes: Vec<String>,
    pub(super) remarks: Vec<Remark>,
    /// Whether findings stand in rows by their names, so that those of several rows add up.
    pub(super) listed: bool,
}

/// The names of the columns of labels.
pub(super) fn columns(options: &ImageOptions) -> Vec<&str> {
    match &options.label {
        None => vec!["label"],
        Some(LabelColumns::One(name)) => vec![name],
        Some(LabelColumns::Several(columns)) => columns.iter().map(|(_, column)| column.as_str()).collect(),
    }
}

pub(super) fn read(
    table: &Table,
    rows: &[usize],
    images: &ImageOptions,
    options: &LabelOptions,
    known: &Known,
) -> Result<Read> {
    let exclusive = known.outputs.is_some_and(|outputs| !outputs.findings);
    let name = match &images.label {
        Some(LabelColumns::One(name)) => name,
        Some(LabelColumns::Several(_)) if images.separator.is_some() => {
            let expected = "columns of findings, or one column of texts with a separator";
            return Err(Error::input(
                &table.file,
                "separator",
                "a separator beside several columns",
                expected,
            ));
        }
        Some(LabelColumns::Several(columns)) => {
            return match &columns[..] {
                [(finding, column)] if exclusive && known.outputs.map(Outputs::classes) == Some(2) => {
                    one_of_two(table, rows, (finding, column), options, known)
                }
                [(_, column)] if exclusive => one(table, rows, column, options, known),
                columns if exclusive => one_hot(table, rows, columns, options, known),
                columns => in_columns(table, rows, columns, options, known),
            };
        }
        None => "label",
    };
    match &images.separator {
        Some(_) if exclusive => {
            let place = format!("separator, and column `{name}`");
            Err(Error::input(&table.file, place, "several labels in one text", known.one_class()))
        }
        Some(separator) => in_one_text(table, rows, name, Some(separator), options, known),
        None if !exclusive && are_lists(table, rows, name)? => {
            in_one_text(table, rows, name, None, options, known)
        }
        None if known.outputs.is_some_and(|outputs| outputs.findings) => {
            only_finding(table, rows, name, options, known)
        }
        None => one(table, rows, name, options, known),
    }
}

/// One column for a model of several findings: the one that it is called like.
fn only_finding(
    table: &Table,
    rows: &[usize],
    name: &str,
    options: &LabelOptions,
    known: &Known,
) -> Result<Read> {
    let column = needed(table, name)?;
    let mut texts = rows.iter().filter_map(|&row| column.text(row));
    if let Some(text) = texts.find(|text| Answer::of(Some(text)).is_none()) {
        if options.once {
            return in_one_text(table, rows, name, None, options, known);
        }
        let expected = match between(&text, known) {
            _ if text.starts_with('{') => {
                "names in a list, ['Edema', 'Mass'], or a column of 0 and 1 for each finding: `label = [COLUMN, ...]` in `columns` of [[data]]".to_string()
            }
            Some(letter) => format!("separator = \"{letter}\" in [[data]], which stands between findings there"),
            None => "separator = \"|\" in [[data]], or what else stands between findings in one text, or repeated = \"once\" where an image has a row \
                     for each finding: the model's outputs are findings"
                .to_string(),
        };
        return Err(Error::input(&table.file, format!("column `{name}`"), format!("`{text}`"), expected));
    }
    in_columns(table, rows, &[(name.to_string(), name.to_string())], options, known)
}

pub(super) fn needed<'t>(table: &'t Table, name: &str) -> Result<&'t Column> {
    table.column(name).ok_or_else(|| {
        let known = table.names.join(", ");
        let expected = format!(
            "columns = {{ label = NAME }} in [[data]], or columns = {{ label = [NAME, ...] }} for a finding or a class a column; the columns are {known}"
        );
        Error::input(&table.file, "label", format!("no column `{name}`"), expected)
    })
}

/// Whether a column holds Python's lists: `['Edema', 'Effusion']`.
fn are_lists(table: &Table, rows: &[usize], name: &str) -> Result<bool> {
    let column = needed(table, name)?;
    let mut texts = rows.iter().filter_map(|&row| column.text(row)).peekable();
    Ok(texts.peek().is_some() && texts.all(|text| listed(&text).is_some()))
}

/// The only name in a list such as `['N']`, else the text itself.
fn alone(table: &Table, name: &str, row: usize, text: String, known: &Known) -> Result<String> {
    let Some(names) = listed(&text) else { return Ok(text) };
    if let [alone] = &names[..] {
        return Ok(alone.clone());
    }
    let place = format!("column `{name}`, row {row}");
    Err(Error::input(
        &table.file,
        place,
        format!("{} labels in one text, `{text}`", names.len()),
        known.one_class(),
    ))
}

/// Whether a class is there, a column of 0 and 1: it or the other.
fn one_of_two(
    table: &Table,
    rows: &[usize],
    (class, name): (&str, &str),
    options: &LabelOptions,
    known: &Known,
) -> Result<Read> {
    let column = needed(table, name)?;
    let texts = rows.iter().map(|&row| column.text(row));
    let answers: Option<Vec<Answer>> = texts.map(|text| Answer::of(text.as_deref())).collect();
    let Some(answers) = answers else { return one(table, rows, name, options, known) };
    let names = known.all_names(2);
    let named = names.iter().position(|own| same(own, class));
    let there = match named.or_else(|| named_by_column(class, known)) {
        Some(there) => there,
        None if denies(class, known) => return Err(which_is_1(table, name, known, &denied(class, &names))),
        None if known.names.is_empty() => 1,
        None => {
            let expected =
                format!("one of {}, the model's classes: the one that 1 stands for", names.join(", "));
            return Err(Error::input(&table.file, "columns.label", format!("`{class}`"), expected));
        }
    };
    let (kept, labels, unanswered) = settled(table, rows, name, &answers, options)?;
    let told = format!("column `{name}`: 1 is {}, 0 is {}", said(known, there), said(known, 1 - there));
    let labels = labels.into_iter().map(|yes| if yes { there } else { 1 - there } as u32).collect();
    let remarks = std::iter::once(Remark::note(told)).chain(unanswered.remarks(rows.len(), kept.len()));
    Ok(Read {
        remarks: remarks.collect(),
        rows: kept,
        labels: Labels::Class(labels),
        classes: names,
        listed: false,
    })
}

/// One of two classes by its name, or as an output.
fn said(known: &Known, class: usize) -> String {
    match &known.all_names(2)[class] {
        name if *name == class.to_string() => known.unnamed(class),
        name => name.clone(),
    }
}

/// Rows whose answers are yes or no, or count as such.
fn settled<'a>(
    table: &'a Table,
    rows: &[usize],
    name: &str,
    answers: &[Answer],
    options: &'a LabelOptions,
) -> Result<(Vec<usize>, Vec<bool>, Unanswered<'a>)> {
    let mut unanswered = Unanswered::new(table, options, true);
    let (mut kept, mut labels) = (Vec::new(), Vec::new());
    for (&row, &answer) in rows.iter().zip(answers) {
        if let Settled::Label(yes) = unanswered.settle(answer, name, row, rows)? {
            kept.push(row);
            labels.push(yes);
        }
    }
    if kept.is_empty() {
        return Err(none_left(table, rows.len()));
    }
    Ok((kept, labels, unanswered))
}

/// A column a class, of which exactly one is 1 in every row.
fn one_hot(
    table: &Table,
    rows: &[usize],
    columns: &[(String, String)],
    options: &LabelOptions,
    known: &Known,
) -> Result<Read> {
    if known.names.is_empty() {
        // Refuses, with the line that says the order.
        standings(table, rows, columns, known)?;
    }
    let own = || columns.iter().map(|(class, _)| class.clone()).collect();
    let names: Vec<String> = if known.names.is_empty() { own() } else { known.all_names(0) };
    let class = |(class, name): &(String, String)| -> Result<(String, &Column, Option<usize>)> {
        Ok((name.clone(), needed(table, name)?, names.iter().position(|own| same(own, class))))
    };
    let columns: Vec<(String, &Column, Option<usize>)> = columns.iter().map(class).collect::<Result<_>>()?;
    let cells: Vec<Option<(&str, &Column)>> =
        columns.iter().map(|(name, column, _)| Some((name.as_str(), *column))).collect();
    let mut unanswered = Unanswered::new(table, options, true);
    let (mut kept, mut labels) = (Vec::new(), Vec::new());
    for &row in rows {
        let settled = unanswered.settle_row(&cells, row, rows)?;
        let out = settled.iter().any(|own| matches!(own, Settled::LeftOut | Settled::Unlabelled));
        let ones: Vec<usize> = (0..settled.len()).filter(|&at| settled[at] == Settled::Label(true)).collect();
        if out {
            continue;
        }
        let &[at] = &ones[..] else {
            let found = format!("1 in {} of {} columns of labels", ones.len(), columns.len());
            let expected = one_a_sample(table, known, &names, &columns);
            return Err(Error::input(&table.file, format!("row {row}"), found, expected));
        };
        let (name, _, class) = &columns[at];
        let class = class.ok_or_else(|| {
            let expected = format!(
                "a column that an output has the name of ({}), or `label = {{ OUTPUT = {} }}` in `columns` of [[data]], which says what it is",
                names.join(", "),
                quoted(name)
            );
            Error::input(&table.file, format!("row {row}"), format!("1 in column `{name}`"), expected)
        })?;
        kept.push(row);
        labels.push(class as u32);
    }
    if kept.is_empty() {
        return Err(none_left(table, rows.len()));
    }
    let text = format!("{} columns of labels are classes, one of them 1 in every row", columns.len());
    let remarks = std::iter::once(Remark::note(text)).chain(unanswered.remarks(rows.len(), kept.len()));
    Ok(Read {
        remarks: remarks.collect(),
        rows: kept,
        labels: Labels::Class(labels),
        classes: names,
        listed: false,
    })
}

/// What mends rows that are not of one class: a column for every class, where one has none; else they may be findings.
fn one_a_sample(
    table: &Table,
    known: &Known,
    names: &[String],
    columns: &[(String, &Column, Option<usize>)],
) -> String {
    let named = |class: usize| columns.iter().find(|(_, _, own)| *own == Some(class)).map(|(name, ..)| name);
    let missing: Vec<&str> =
        (0..names.len()).filter(|&class| named(class).is_none()).map(|class| names[class].as_str()).collect();
    if missing.is_empty() {
        return known.one_class().into();
    }
    let column = |class: usize| {
        let own = || table.names.iter().find(|name| same(name, &names[class]));
        named(class).or_else(own).map(|name| (quoted(&names[class]), quoted(name)))
    };
    let line = match (0..names.len()).map(column).collect::<Option<Vec<_>>>() {
        None => String::new(),
        Some(pairs) => {
            let pairs: Vec<String> = pairs.iter().map(|(class, name)| format!("{class} = {name}")).collect();
            format!(": `label = {{ {} }}` in `columns` of [[data]]", pairs.join(", "))
        }
    };
    format!("one class a sample, and a column for {}, too{line}", missing.join(", "))
}

/// Which of two classes a column of 0 and 1 is called like, wherever the model has it.
fn named_by_column(name: &str, known: &Known) -> Option<usize> {
    let names = known.all_names(2);
    let [first, second] = names.as_slice() else { return None };
    match (same(first, name), same(second, name)) {
        (true, false) => Some(0),
        (false, true) => Some(1),
        // `No Finding` is what the model calls `normal`, if it has one such class alone; `other` may be any.
        (false, false) if is_negative(name) && !same(name, "other") => nothing_found(&names),
        _ => None,
    }
}

/// Whether a column is called for the absence of what a model looks for, so that 1 is hardly the second class.
fn denies(name: &str, known: &Known) -> bool {
    known.outputs.is_some() && is_negative(name)
}

fn denied(name: &str, names: &[String]) -> String {
    format!("answers to `{name}` under classes {}", names.join(", "))
}

/// Columns whose name asks for no class.
const PLAIN: [&str; 12] = [
    "label",
    "labels",
    "target",
    "targets",
    "class",
    "classes",
    "y",
    "diagnosis",
    "dx",
    "category",
    "output",
    "outcome",
];

/// Whether a column asks for something of its own (`covid`) and the class that 1 would be is the one where nothing is found.
fn is_backwards(name: &str, known: &Known) -> bool {
    !PLAIN.iter().any(|plain| same(plain, name)) && nothing_found(&known.all_names(2)) == Some(1)
}

/// Whether a column asks one question, and -1 is an uncertain answer to it: -1 and 1 alone may as well be two classes, which are the labels'
/// own matter.
fn is_graded(answers: &[Answer], options: &LabelOptions) -> bool {
    let has = |answer: Answer| answers.contains(&answer);
    has(Answer::Uncertain)
        && (has(Answer::No) || has(Answer::Missing) || options.uncertain.is_some() || !has(Answer::Yes))
}

/// A class a sample.
fn one(table: &Table, rows: &[usize], name: &str, options: &LabelOptions, known: &Known) -> Result<Read> {
    let column = needed(table, name)?;
    let text = |&row: &usize| column.text(row).map(|text| alone(table, name, row, text, known)).transpose();
    let texts: Vec<Option<String>> = rows.iter().map(text).collect::<Result<_>>()?;
    if let Some(text) = texts.iter().flatten().find(|text| text.contains('|') && !known.names.contains(text))
    {
        let expected = match known.outputs {
            Some(_) => known.one_class(),
            None => "a class, or separator = \"|\" in [[data]] for findings in one text",
        };
        return Err(Error::input(&table.file, format!("column `{name}`"), format!("`{text}`"), expected));
    }
    let two = known.outputs.map_or(known.names.len() <= 2, |outputs| outputs.classes() == 2);
    let answers: Option<Vec<Answer>> = texts.iter().map(|text| Answer::of(text.as_deref())).collect();
    let named = named_by_column(name, known).is_some() || denies(name, known) || is_backwards(name, known);
    // Words that are the classes' own names answer nothing.
    let own = |text: &String| text.parse::<f64>().is_err() && known.names.iter().any(|name| same(name, text));
    let names = texts.iter().flatten().any(own);
    let asks = |answers: &Vec<Answer>| !names && (named || is_graded(answers, options));
    if answers.filter(|_| two).as_ref().is_some_and(asks) {
        let class = question(table, name, known)?;
        return one_of_two(table, rows, (&class, name), options, known);
    }
    let answered = texts.iter().flatten().all(|text| Answer::of(Some(text)).is_some());
    if !two && answered && (denies(name, known) || known.names.iter().any(|own| same(own, name))) {
        let expected = format!(
            "a class a row, or `label = [COLUMN, ...]` in `columns` of [[data]], a column of 0 and 1 for each class ({})",
            known.all_names(0).join(", ")
        );
        let found = "answers to one class of several, which leave the others open";
        return Err(Error::input(&table.file, format!("column `{name}`"), found, expected));
    }
    classes_of(table, rows, name, &texts, options, known)
}

/// The class that 1 stands for in a column that asks a question.
fn question(table: &Table, name: &str, known: &Known) -> Result<String> {
    let names = known.all_names(2);
    if let Some(class) = named_by_column(name, known) {
        return Ok(names[class].clone());
    }
    if denies(name, known) || is_backwards(name, known) {
        return Err(which_is_1(table, name, known, &denied(name, &names)));
    }
    if Yes::of(known) != Yes::Unclear {
        return Ok(names[1].clone());
    }
    Err(which_is_1(table, name, known, &format!("1, 0 and -1 under classes {}", names.join(", "))))
}

/// Nothing says which of two classes 1 stands for: both lines.
fn which_is_1(table: &Table, name: &str, known: &Known, found: &str) -> Error {
    let line = |class: usize| {
        let own = quoted(&known.all_names(2)[class]);
        format!("`label = {{ {own} = {} }}` if 1 is {}", quoted(name), said(known, class))
    };
    let expected = format!("a class that 1 stands for. In `columns` of [[data]]: {}, {}", line(0), line(1));
    Error::input(&table.file, format!("column `{name}`"), found, expected)
}

/// Classes by their names or numbers.
fn classes_of(
    table: &Table,
    rows: &[usize],
    name: &str,
    texts: &[Option<String>],
    options: &LabelOptions,
    known: &Known,
) -> Result<Read> {
    let minus = |text: &String| {
        text.trim().parse::<f64>() == Ok(-1.0) && !known.names.iter().any(|own| same(own, text))
    };
    let mut unanswered = Unanswered::new(table, options, true);
    let (mut kept, mut written) = (Vec::new(), Vec::new());
    for (&row, text) in rows.iter().zip(texts) {
        let answer = match text {
            None => Answer::Missing,
            Some(text) if options.uncertain.is_some() && minus(text) => Answer::Uncertain,
            Some(text) => {
                kept.push(row);
                written.push(text.clone());
                continue;
            }
        };
        if let Settled::Label(yes) = unanswered.settle(answer, name, row, rows)? {
            let (key, policy) = match answer {
                Answer::Uncertain => ("uncertain", options.uncertain),
                _ => ("missing", options.missing),
            };
            let clear = Yes::of(known) != Yes::Unclear
                && texts.iter().flatten().all(|text| Answer::of(Some(text)).is_some());
            if !clear {
                let found = policy.map_or_else(String::new, |policy| format!("\"{}\"", policy.name()));
                let expected =
                    format!("{key} = \"drop\": nothing says which class of column `{name}` that would be");
                return Err(Error::input(&table.file, key, found, expected));
            }
            kept.push(row);
            written.push(u8::from(yes).to_string());
        }
    }
    if kept.is_empty() {
        return Err(none_left(table, rows.len()));
    }
    let numbers = written.iter().all(|text| ["0", "1", "0.0", "1.0"].contains(&text.trim()));
    let title = format!("column `{name}`");
    let entry = |position: usize| format!("row {}", kept[position]);
    let place = Place { file: &table.file, column: &title, entry: &entry };
    let Classes { labels, names, mut remarks } = classes(&Written::Texts(written), known, &place)?;
    if numbers && names.len() == 2 && !known.unordered && remarks.is_empty() {
        let text = format!("{title}: 1 is {}, 0 is {}", said_at(known, &names, 1), said_at(known, &names, 0));
        remarks.push(Remark::note(text));
    }
    remarks.extend(unanswered.remarks(rows.len(), kept.len()));
    Ok(Read { rows: kept, labels: Labels::Class(labels), classes: names, remarks, listed: false })
}

/// An output with its name.
fn said_at(known: &Known, names: &[String], class: usize) -> String {
    match &names[class] {
        name if *name == class.to_string() => known.unnamed(class),
        name => format!("{}, {name}", known.unnamed(class)),
    }
}
