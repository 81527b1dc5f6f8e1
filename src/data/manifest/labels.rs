//! Labels of a manifest: classes, findings in columns of their own or in one text, and what becomes of those that are no answer.

use std::collections::{BTreeMap, BTreeSet};

use super::super::labels::{Classes, Known, Place, Written, classes, findings, same};
use super::super::table::{Column, Table};
use super::super::{ImageOptions, LabelColumns, Labels, Policy, Remark};
use crate::{Error, Result};

/// The rows whose labels are an answer, and these.
pub(super) struct Read {
    pub(super) rows: Vec<usize>,
    pub(super) labels: Labels,
    pub(super) classes: Vec<String>,
    pub(super) remarks: Vec<Remark>,
}

/// The names of the columns of labels.
pub(super) fn columns(options: &ImageOptions) -> Vec<&str> {
    match &options.label {
        None => vec!["label"],
        Some(LabelColumns::One(name)) => vec![name],
        Some(LabelColumns::Several(columns)) => columns.iter().map(|(_, column)| column.as_str()).collect(),
    }
}

pub(super) fn read(table: &Table, rows: &[usize], options: &ImageOptions, known: &Known) -> Result<Read> {
    if let (Some(LabelColumns::Several(_)), Some(_)) = (&options.label, &options.separator) {
        let expected = "columns of findings, or one column of texts with a separator";
        return Err(Error::input(&table.file, "separator", "a separator beside several columns", expected));
    }
    match (&options.label, &options.separator) {
        (Some(LabelColumns::Several(columns)), _) => several(table, rows, columns, options, known),
        (label, Some(separator)) => listed(table, rows, name_of(label), separator, options, known),
        (label, None) => one(table, rows, name_of(label), options, known),
    }
}

fn name_of(label: &Option<LabelColumns>) -> &str {
    match label {
        Some(LabelColumns::One(name)) => name,
        _ => "label",
    }
}

fn needed<'t>(table: &'t Table, name: &str) -> Result<&'t Column> {
    table.column(name).ok_or_else(|| {
        let known = table.names.join(", ");
        let expected = format!(
            "columns = {{ label = NAME }} in [[data]], or columns = {{ label = [NAME, ...] }} for a finding a column; the columns are {known}"
        );
        Error::input(&table.file, "label", format!("no column `{name}`"), expected)
    })
}

/// What a cell says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Yes,
    No,
    Uncertain,
    Missing,
}

impl Answer {
    fn of(text: Option<&str>) -> Option<Self> {
        Some(match text.map(str::trim) {
            None | Some("") => Self::Missing,
            Some(text) => match (text.parse::<f64>(), text.to_lowercase().as_str()) {
                (Ok(1.0), _) | (_, "true") => Self::Yes,
                (Ok(0.0), _) | (_, "false") => Self::No,
                (Ok(-1.0), _) => Self::Uncertain,
                _ => return None,
            },
        })
    }
}

/// Counts what was uncertain or missing, by column, and says what became of it.
struct Unanswered<'a> {
    table: &'a Table,
    options: &'a ImageOptions,
    counts: BTreeMap<(&'static str, String), usize>,
}

impl<'a> Unanswered<'a> {
    fn new(table: &'a Table, options: &'a ImageOptions) -> Self {
        Self { table, options, counts: BTreeMap::new() }
    }

    /// What an answer counts as; `None` leaves the sample out.
    fn settle(&mut self, answer: Answer, column: &str, row: usize, rows: &[usize]) -> Result<Option<bool>> {
        let (what, policy) = match answer {
            Answer::Yes => return Ok(Some(true)),
            Answer::No => return Ok(Some(false)),
            Answer::Uncertain => ("uncertain", self.options.uncertain),
            Answer::Missing => ("missing", self.options.missing),
        };
        let Some(policy) = policy else {
            return Err(self.unstated(what, answer, column, row, rows));
        };
        *self.counts.entry((what, column.to_string())).or_default() += 1;
        Ok(match policy {
            Policy::Positive => Some(true),
            Policy::Negative => Some(false),
            Policy::Drop => None,
        })
    }

    fn unstated(&self, what: &str, answer: Answer, column: &str, row: usize, rows: &[usize]) -> Error {
        let like = |row: &&usize| {
            let text = self.table.column(column).and_then(|own| own.text(**row));
            Answer::of(text.as_deref()) == Some(answer)
        };
        let count = rows.iter().filter(like).count();
        let found = match answer {
            Answer::Uncertain => format!("-1, an uncertain label ({count} in this column)"),
            _ => format!("no label ({count} are missing in this column)"),
        };
        let expected = format!(
            "0 or 1, or a line in [[data]] that says what it counts as: {what} = \"negative\", \"positive\" or \"drop\""
        );
        Error::input(&self.table.file, format!("column `{column}`, row {row}"), found, expected)
    }

    fn remarks(self, all: usize, kept: usize) -> Vec<Remark> {
        let mut remarks = Vec::new();
        for what in ["uncertain", "missing"] {
            let own: Vec<_> = self.counts.iter().filter(|((kind, _), _)| *kind == what).collect();
            let total: usize = own.iter().map(|(_, count)| *count).sum();
            let policy = if what == "uncertain" { self.options.uncertain } else { self.options.missing };
            let Some(policy) = policy.filter(|_| total > 0) else { continue };
            let each: Vec<String> =
                own.iter().map(|((_, column), count)| format!("{column} {count}")).collect();
            let became = match policy {
                Policy::Drop => "leave their samples out".to_string(),
                other => format!("count as {}", other.name()),
            };
            remarks.push(Remark::note(format!("{total} {what} labels {became}: {}", each.join(", "))));
        }
        if kept < all {
            remarks
                .push(Remark::note(format!("{} of {all} samples are left out for their labels", all - kept)));
        }
        remarks
    }
}

fn none_left(table: &Table, all: usize) -> Error {
    Error::input(
        &table.file,
        "labels",
        format!("all {all} samples left out"),
        "samples whose labels are an answer",
    )
}

/// A column a finding, of 0, 1, -1 and nothing.
fn several(
    table: &Table,
    rows: &[usize],
    columns: &[(String, String)],
    options: &ImageOptions,
    known: &Known,
) -> Result<Read> {
    let names: Vec<String> = columns.iter().map(|(finding, _)| finding.clone()).collect();
    let entry = |position: usize| format!("row {}", rows[position]);
    let place = Place { file: &table.file, column: "label", entry: &entry };
    let (order, mut remarks) = findings(&names, known, &place)?;
    let columns: Vec<(&str, &Column)> = order
        .iter()
        .map(|&at| Ok((columns[at].1.as_str(), needed(table, &columns[at].1)?)))
        .collect::<Result<_>>()?;
    let mut unanswered = Unanswered::new(table, options);
    let (mut kept, mut labels) = (Vec::new(), Vec::new());
    for &row in rows {
        let mut own = Vec::with_capacity(columns.len());
        for (name, column) in &columns {
            let text = column.text(row);
            let answer = Answer::of(text.as_deref()).ok_or_else(|| {
                let expected = "1 (there), 0 (not there), -1 (uncertain) or nothing (missing)";
                let found = format!("`{}`", text.unwrap_or_default());
                Error::input(&table.file, format!("column `{name}`, row {row}"), found, expected)
            })?;
            own.push(unanswered.settle(answer, name, row, rows)?);
        }
        if let Some(own) = own.into_iter().collect::<Option<Vec<bool>>>() {
            kept.push(row);
            labels.extend(own.into_iter().map(u8::from));
        }
    }
    if kept.is_empty() {
        return Err(none_left(table, rows.len()));
    }
    remarks.extend(unanswered.remarks(rows.len(), kept.len()));
    let classes = order.iter().map(|&at| names[at].clone()).collect();
    Ok(Read { rows: kept, labels: Labels::Findings(labels), classes, remarks })
}

/// Findings in one text: `Edema|Effusion`, `No Finding`.
fn listed(
    table: &Table,
    rows: &[usize],
    name: &str,
    separator: &str,
    options: &ImageOptions,
    known: &Known,
) -> Result<Read> {
    let column = needed(table, name)?;
    let named = |finding: &str| known.names.iter().any(|own| same(own, finding));
    let parts = |text: &str| -> Vec<String> {
        let parts = text.split(separator).map(str::trim).filter(|part| !part.is_empty());
        parts.filter(|part| !same(part, "no finding") || named(part)).map(str::to_string).collect()
    };
    // What may be found at all is known of the whole file, not of a split.
    let all: BTreeSet<String> =
        (0..table.rows()).filter_map(|row| column.text(row)).flat_map(|text| parts(&text)).collect();
    let all: Vec<String> = all.into_iter().collect();
    let title = format!("column `{name}`");
    let entry = |position: usize| format!("row {}", rows[position]);
    let (order, mut remarks) =
        findings(&all, known, &Place { file: &table.file, column: &title, entry: &entry })?;
    let mut unanswered = Unanswered::new(table, options);
    let (mut kept, mut labels) = (Vec::new(), Vec::new());
    for &row in rows {
        let own = match column.text(row) {
            Some(text) => parts(&text),
            None => match unanswered.settle(Answer::Missing, name, row, rows)? {
                Some(true) => {
                    let expected = "missing = \"negative\" or \"drop\": nothing says which finding is meant";
                    return Err(Error::input(&table.file, "missing", "\"positive\"", expected));
                }
                Some(false) => Vec::new(),
                None => continue,
            },
        };
        kept.push(row);
        labels.extend(order.iter().map(|&at| u8::from(own.contains(&all[at]))));
    }
    if kept.is_empty() {
        return Err(none_left(table, rows.len()));
    }
    remarks.extend(unanswered.remarks(rows.len(), kept.len()));
    let classes = order.iter().map(|&at| all[at].clone()).collect();
    Ok(Read { rows: kept, labels: Labels::Findings(labels), classes, remarks })
}

/// A column of 0 and 1 that is called like one of two classes: 1 is that class, wherever the model has it.
fn named_by_column(name: &str, written: &[String], known: &Known) -> Option<(Vec<String>, Remark)> {
    let [first, second] = known.names.as_slice() else { return None };
    let (yes, no) = match (same(first, name), same(second, name)) {
        (true, false) => (first, second),
        (false, true) => (second, first),
        _ => return None,
    };
    let class = |text: &String| match text.to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" => Some(yes.clone()),
        "0" | "0.0" | "false" => Some(no.clone()),
        _ => None,
    };
    let texts = written.iter().map(class).collect::<Option<Vec<String>>>()?;
    Some((texts, Remark::note(format!("column `{name}`: 1 is {yes}, 0 is {no}"))))
}

/// A class a sample.
fn one(table: &Table, rows: &[usize], name: &str, options: &ImageOptions, known: &Known) -> Result<Read> {
    let column = needed(table, name)?;
    let texts: Vec<Option<String>> = rows.iter().map(|&row| column.text(row)).collect();
    let given = || texts.iter().flatten();
    if let Some(text) = given().find(|text| text.contains('|') && !known.names.contains(text)) {
        let expected = "a class, or separator = \"|\" in [[data]] for findings in one text";
        return Err(Error::input(&table.file, format!("column `{name}`"), format!("`{text}`"), expected));
    }
    let answers: Option<Vec<Answer>> = texts.iter().map(|text| Answer::of(text.as_deref())).collect();
    let has = |answer: Answer| answers.as_ref().is_some_and(|answers| answers.contains(&answer));
    // -1 and 1 alone may as well be two classes: those are the labels' own matter.
    let graded = has(Answer::Uncertain)
        && (has(Answer::No) || has(Answer::Missing) || options.uncertain.is_some() || !has(Answer::Yes));
    let yes_or_no = answers.filter(|_| graded || options.uncertain.is_some());
    let mut unanswered = Unanswered::new(table, options);
    let (mut kept, mut written) = (Vec::new(), Vec::new());
    for (position, (&row, text)) in rows.iter().zip(&texts).enumerate() {
        let answer = match (&yes_or_no, text) {
            (Some(answers), _) => answers[position],
            (None, None) => Answer::Missing,
            (None, Some(text)) => {
                kept.push(row);
                written.push(text.clone());
                continue;
            }
        };
        if let Some(yes) = unanswered.settle(answer, name, row, rows)? {
            kept.push(row);
            written.push(u8::from(yes).to_string());
        }
    }
    if kept.is_empty() {
        return Err(none_left(table, rows.len()));
    }
    let mut told = None;
    if let Some((texts, remark)) = named_by_column(name, &written, known) {
        (written, told) = (texts, Some(remark));
    }
    let title = format!("column `{name}`");
    let entry = |position: usize| format!("row {}", kept[position]);
    let place = Place { file: &table.file, column: &title, entry: &entry };
    let Classes { labels, names, mut remarks } = classes(&Written::Texts(written), known, &place)?;
    remarks.extend(told);
    remarks.extend(unanswered.remarks(rows.len(), kept.len()));
    Ok(Read { rows: kept, labels: Labels::Class(labels), classes: names, remarks })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_column_called_like_a_class_says_which_class_is_1() {
        let known = Known::named(&["pneumonia", "normal"]);
        let written = ["1", "0", "True"].map(String::from);
        let (texts, _) = named_by_column("Pneumonia", &written, &known).unwrap();
        assert_eq!(texts, ["pneumonia", "normal", "pneumonia"]);
        let (texts, _) = named_by_column("normal", &written, &known).unwrap();
        assert_eq!(texts, ["normal", "pneumonia", "normal"]);
        assert!(named_by_column("label", &written, &known).is_none());
        assert!(named_by_column("normal", &["2".to_string()], &known).is_none());
    }
}
