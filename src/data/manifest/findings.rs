//! Labels that are findings: each in a column of its own, or several in one text.

use std::collections::BTreeSet;

use super::super::labels::{Known, Listed, Place, Standing, findings, listed, same};
use super::super::table::{Column, Table};
use super::super::{LabelOptions, Labels, Remark, UNLABELLED};
use super::answers::{Answer, Settled, Unanswered, none_left};
use super::labels::{Read, needed};
use crate::{Error, Result};

/// A column a finding, of 0, 1, -1 and nothing.
pub(super) fn in_columns(
    table: &Table,
    rows: &[usize],
    columns: &[(String, String)],
    options: &LabelOptions,
    known: &Known,
) -> Result<Read> {
    let (standings, mut remarks) = standings(table, rows, columns, known)?;
    let column = |standing: &Standing| {
        let own = standing.position().map(|at| columns[at].1.as_str());
        own.map(|name| Ok((name, needed(table, name)?))).transpose()
    };
    let cells: Vec<Option<(&str, &Column)>> = standings.iter().map(column).collect::<Result<_>>()?;
    let mut unanswered = Unanswered::new(table, options, false);
    let (mut kept, mut labels) = (Vec::new(), Vec::new());
    for &row in rows {
        let own = unanswered.settle_row(&cells, row, rows)?;
        if own.contains(&Settled::LeftOut) || own.iter().all(|settled| *settled == Settled::Unlabelled) {
            continue;
        }
        kept.push(row);
        labels.extend(own.into_iter().map(|settled| match settled {
            Settled::Label(there) => u8::from(there),
            _ => UNLABELLED,
        }));
    }
    if kept.is_empty() {
        return Err(none_left(table, rows.len()));
    }
    remarks.extend(unanswered.remarks(rows.len(), kept.len()));
    let classes = known.names_of(standings.len(), |at| columns[at].0.clone());
    Ok(Read { rows: kept, labels: Labels::Findings(labels), classes, remarks, listed: false })
}

/// Where each output's finding stands among columns, the findings' and the columns' names.
pub(super) fn standings(
    table: &Table,
    rows: &[usize],
    columns: &[(String, String)],
    known: &Known,
) -> Result<(Vec<Standing>, Vec<Remark>)> {
    let names: Vec<String> = columns.iter().map(|(finding, _)| finding.clone()).collect();
    let place = Place { file: &table.file, column: "label", entry: &|at| format!("row {}", rows[at]) };
    findings(&names, Listed::Columns, known, &place)
}

/// Findings in one text: `Edema|Effusion`, `No Finding`; without a separator Python's lists, `['Edema', 'Effusion']`, or one name.
pub(super) fn in_one_text(
    table: &Table,
    rows: &[usize],
    name: &str,
    separator: Option<&str>,
    options: &LabelOptions,
    known: &Known,
) -> Result<Read> {
    let column = needed(table, name)?;
    let named = |finding: &str| known.names.iter().any(|own| same(own, finding));
    let parts = |text: &str| -> Vec<String> {
        let parts: Vec<String> = match separator {
            Some(separator) => text.split(separator).map(|part| part.trim().to_string()).collect(),
            None => listed(text).unwrap_or_else(|| vec![text.trim().to_string()]),
        };
        let said = |part: &String| !part.is_empty() && (!same(part, "no finding") || named(part));
        parts.into_iter().filter(said).collect()
    };
    if separator.is_none() {
        refuse_vectors(table, rows, name, column)?;
    }
    // What may be found at all is known of the whole file, not of a split.
    let all: BTreeSet<String> =
        (0..table.rows()).filter_map(|row| column.text(row)).flat_map(|text| parts(&text)).collect();
    let all: Vec<String> = all.into_iter().collect();
    let title = format!("column `{name}`");
    // `Mass; Edema` must not pass for a finding of its own, which no output has.
    if let Some((text, letter)) = all.iter().find_map(|text| Some((text, between(text, known)?))) {
        let expected = format!("separator = \"{letter}\" in [[data]], if it stands between findings there");
        return Err(Error::input(&table.file, title, format!("`{text}`"), expected));
    }
    let entry = |position: usize| format!("row {}", rows[position]);
    let place = Place { file: &table.file, column: &title, entry: &entry };
    let (standings, mut remarks) = findings(&all, Listed::Names, known, &place)?;
    let mut unanswered = Unanswered::new(table, options, false);
    let (mut kept, mut labels) = (Vec::new(), Vec::new());
    for &row in rows {
        let own = match column.text(row) {
            Some(text) => parts(&text),
            None => match unanswered.settle(Answer::Missing, name, row, rows)? {
                Settled::Label(true) => {
                    let expected = "missing = \"negative\" or \"drop\": nothing says which finding is meant";
                    return Err(Error::input(&table.file, "missing", "\"positive\"", expected));
                }
                Settled::Label(false) => Vec::new(),
                Settled::LeftOut | Settled::Unlabelled => continue,
            },
        };
        kept.push(row);
        labels.extend(standings.iter().map(|standing| match standing {
            Standing::At(at) => u8::from(own.contains(&all[*at])),
            Standing::Nowhere => 0,
            Standing::Unlabelled => UNLABELLED,
        }));
    }
    if kept.is_empty() {
        return Err(none_left(table, rows.len()));
    }
    remarks.extend(unanswered.remarks(rows.len(), kept.len()));
    let classes = known.names_of(standings.len(), |at| all[at].clone());
    Ok(Read { rows: kept, labels: Labels::Findings(labels), classes, remarks, listed: true })
}

/// Refuses lists of 0 and 1, an answer for each finding: `[0, 1, 1]` could also be numbers of findings.
fn refuse_vectors(table: &Table, rows: &[usize], name: &str, column: &Column) -> Result<()> {
    let lists = || rows.iter().filter_map(|&row| Some((row, column.text(row)?)));
    let vector = |text: &str| {
        let own = listed(text).unwrap_or_default();
        own.len() > 1 && own.iter().all(|part| ["0", "1", "0.0", "1.0"].contains(&part.as_str()))
    };
    let Some((row, text)) = lists().find(|(_, text)| vector(text)) else { return Ok(()) };
    if lists().any(|(_, text)| !vector(&text)) {
        return Ok(());
    }
    let expected = "names of findings, ['Edema', 'Mass'], or a column of 0 and 1 for each: `label = [COLUMN, ...]` in `columns` of [[data]]";
    Err(Error::input(&table.file, format!("column `{name}`, row {row}"), format!("`{text}`"), expected))
}

/// What stands between findings of the model in a text that is none itself.
pub(super) fn between(text: &str, known: &Known) -> Option<char> {
    let named = |part: &str| known.names.iter().any(|own| same(own, part));
    let parts = |letter: &char| text.contains(*letter) && text.split(*letter).any(named);
    ['|', ';', ',', '/'].into_iter().find(parts).filter(|_| !named(text))
}
