//! Cells that answer yes, no, perhaps or nothing, and what becomes of those that are no answer.

use std::collections::BTreeMap;

use super::super::labels::yes_or_no;
use super::super::table::{Column, Table};
use super::super::{LabelOptions, Policy, Remark};
use crate::{Error, Result};

/// What a cell says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Yes,
    No,
    Uncertain,
    Missing,
}

impl Answer {
    pub(super) fn of(text: Option<&str>) -> Option<Self> {
        Some(match text.map(str::trim) {
            None | Some("") => Self::Missing,
            Some(text) => match (text.parse::<f64>(), yes_or_no(text)) {
                (Ok(1.0), _) | (_, Some(true)) => Self::Yes,
                (Ok(0.0), _) | (_, Some(false)) => Self::No,
                (Ok(-1.0), _) => Self::Uncertain,
                _ => return None,
            },
        })
    }

    /// Of a column that holds answers alone.
    fn in_column(table: &Table, name: &str, column: &Column, row: usize) -> Result<Self> {
        let text = column.text(row);
        Self::of(text.as_deref()).ok_or_else(|| {
            let expected = "1 (there), 0 (not there), -1 (uncertain) or nothing (missing)";
            let found = format!("`{}`", text.unwrap_or_default());
            Error::input(&table.file, format!("column `{name}`, row {row}"), found, expected)
        })
    }
}

/// What an answer comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Settled {
    Label(bool),
    /// The sample is left out.
    LeftOut,
    /// This finding of the sample is.
    Unlabelled,
}

/// Settles answers; counts what was uncertain or missing, by column, and says what became of it.
pub(super) struct Unanswered<'a> {
    table: &'a Table,
    options: &'a LabelOptions,
    /// One class a sample: without a label there is nothing left of it.
    alone: bool,
    counts: BTreeMap<(&'static str, String), usize>,
}

impl<'a> Unanswered<'a> {
    pub(super) fn new(table: &'a Table, options: &'a LabelOptions, alone: bool) -> Self {
        Self { table, options, alone, counts: BTreeMap::new() }
    }

    /// What an answer counts as.
    pub(super) fn settle(
        &mut self,
        answer: Answer,
        column: &str,
        row: usize,
        rows: &[usize],
    ) -> Result<Settled> {
        let (what, policy) = match answer {
            Answer::Yes => return Ok(Settled::Label(true)),
            Answer::No => return Ok(Settled::Label(false)),
            Answer::Uncertain => ("uncertain", self.options.uncertain),
            Answer::Missing => ("missing", self.options.missing),
        };
        let Some(policy) = policy else {
            return Err(self.unstated(what, answer, column, row, rows));
        };
        *self.counts.entry((what, column.to_string())).or_default() += 1;
        Ok(match policy {
            Policy::Positive => Settled::Label(true),
            Policy::Negative => Settled::Label(false),
            Policy::Drop => Settled::LeftOut,
            Policy::Ignore => Settled::Unlabelled,
        })
    }

    /// What the answers of a row come to, a column each; where there is no column nothing is labelled.
    pub(super) fn settle_row(
        &mut self,
        columns: &[Option<(&str, &Column)>],
        row: usize,
        rows: &[usize],
    ) -> Result<Vec<Settled>> {
        let mut settle = |column: &Option<(&str, &Column)>| match column {
            Some((name, column)) => {
                self.settle(Answer::in_column(self.table, name, column, row)?, name, row, rows)
            }
            None => Ok(Settled::Unlabelled),
        };
        columns.iter().map(&mut settle).collect()
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
            "0 or 1, or a line in [[data]] that says what it counts as: {what} = \"negative\", \"positive\", \"drop\" (leaves the sample out) or \
             \"ignore\" (leaves out this finding of it)"
        );
        Error::input(&self.table.file, format!("column `{column}`, row {row}"), found, expected)
    }

    pub(super) fn remarks(self, all: usize, kept: usize) -> Vec<Remark> {
        let mut remarks = Vec::new();
        for what in ["uncertain", "missing"] {
            let own: Vec<_> = self.counts.iter().filter(|((kind, _), _)| *kind == what).collect();
            let total: usize = own.iter().map(|(_, count)| *count).sum();
            let policy = if what == "uncertain" { self.options.uncertain } else { self.options.missing };
            let Some(policy) = policy.filter(|_| total > 0) else { continue };
            let each: Vec<String> =
                own.iter().map(|((_, column), count)| format!("{column} {count}")).collect();
            let policy = if self.alone && policy == Policy::Ignore { Policy::Drop } else { policy };
            remarks.push(Remark::note(format!("{}: {}", policy.told(total, what), each.join(", "))));
        }
        if kept < all {
            let are = if all - kept == 1 {
                "samples is left out for its label"
            } else {
                "samples are left out for their labels"
            };
            remarks.push(Remark::note(format!("{} of {all} {are}", all - kept)));
        }
        remarks
    }
}

pub(super) fn none_left(table: &Table, all: usize) -> Error {
    let expected = "samples whose labels are an answer";
    Error::input(&table.file, "labels", format!("all {all} samples left out"), expected)
}
