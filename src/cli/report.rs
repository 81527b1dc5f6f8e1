//! What is printed of a results folder: the short table, and below it the flags that fired.

use crate::Result;
use crate::results::table::{shown_cells, table};
use crate::results::{Overview, Results, Text};
use crate::sweep::run::Report;

/// The table and the flags of a sweep's own cells, of all shards so far; empty where none is finished.
pub(super) fn swept(report: &Report) -> Result<String> {
    let text = Results::read_undisturbed(&report.out, &report.ids, shown)?;
    Ok(text.unwrap_or_default())
}

/// The table and the flags of all cells that `results` has; empty where it has none.
pub(super) fn shown(results: &Results) -> Result<String> {
    let overview = Overview::of(results)?;
    if overview.is_empty() {
        return Ok(String::new());
    }
    let cells = shown_cells(&overview);
    let metrics = results.metrics_of(cells.iter().map(Text::as_str))?;
    let (table, flags) = (table(&overview, &metrics), overview.flagged());
    Ok(if flags.is_empty() { table } else { format!("{table}\n{flags}") })
}

/// What became of cells that the folder had of an earlier model or data set, as a line; empty where there are none.
pub(super) fn retired(report: &Report) -> String {
    match report.retired {
        0 => String::new(),
        n => format!(
            "{n} {} of an earlier model or data set moved to retired/\n",
            if n == 1 { "cell" } else { "cells" }
        ),
    }
}
