//! Labels that are findings: each in a column of its own, or several in one text.

use std::collections::BTreeSet;

use super::super::labels::{Known, Listed, Place, Standing, findings, same};
use super::super::signals::listing::statements;
use super::super::table::{Column, Table};
use super::super::{LabelOptions, Labels, UNLABELLED};
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
    let names: Vec<String> = columns.iter().map(|(finding, _)| finding.clone()).collect();
    let entry = |position: usize| format!("row {}", rows[position]);
    let place = Place { file: &table.file, column: "label", entry: &entry };
    let (standings, mut remarks) = findings(&names, Listed::Columns, known, &place)?;
    let column = |standing: &Standing| {
        let own = standing.position().map(|at| columns[at].1.as_str());
        own.map(|name| Ok((name, needed(table, name)?))).transpose()
    };
    let columns: Vec<Option<(&str, &Column)>> = standings.iter().map(column).collect::<Result<_>>()?;
    let mut unanswered = Unanswered::new(table, options, false);
    let (mut kept, mut labels) = (Vec::new(), Vec::new());
    for &row in rows {
        let mut own = Vec::with_capacity(columns.len());
        for column in &columns {
            let settled = match column {
                Some((name, column)) => {
                    let answer = Answer::in_column(table, name, column, row)?;
                    unanswered.settle(answer, name, row, rows)?
                }
                None => Settled::Unlabelled,
            };
            own.push(settled);
        }
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
    let classes = known.names_of(standings.len(), |at| names[at].clone());
    Ok(Read { rows: kept, labels: Labels::Findings(labels), classes, remarks })
}

/// Findings in one text: `Edema|Effusion`, `No Finding`; without a separator Python's lists, `['Edema', 'Effusion']`.
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
            None => statements(text).into_iter().flatten().collect(),
        };
        let said = |part: &String| !part.is_empty() && (!same(part, "no finding") || named(part));
        parts.into_iter().filter(said).collect()
    };
    // What may be found at all is known of the whole file, not of a split.
    let all: BTreeSet<String> =
        (0..table.rows()).filter_map(|row| column.text(row)).flat_map(|text| parts(&text)).collect();
    let all: Vec<String> = all.into_iter().collect();
    let title = format!("column `{name}`");
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
    Ok(Read { rows: kept, labels: Labels::Findings(labels), classes, remarks })
}
