//! What is printed of a results folder: the short tables, and below them the flags that fired.

use crate::Result;
use crate::results::seeds::over_seeds;
use crate::results::table::{shown_cells, table};
use crate::results::trained_table::trained_table;
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
    let trained = trained_table(&over_seeds(results)?);
    let cells = shown_cells(&overview);
    // Where nothing but training was done there are no budgets to speak of.
    let evasion = if cells.is_empty() && !trained.is_empty() {
        String::new()
    } else {
        table(&overview, &results.metrics_of(cells.iter().map(Text::as_str))?)
    };
    let parts = [evasion, trained, overview.flagged()];
    Ok(parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n"))
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
