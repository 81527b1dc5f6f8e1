//! What a reader is shown of many cells: they are looked at one by one, and little of them is kept.

use std::collections::BTreeMap;

use super::panels::{Gallery, Panel, short};
use super::reader::Results;
use super::records::{CellRow, CurveRow};
use super::text::Text;
use crate::Result;

/// What the picture, the table and the list of flags need.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    cells: usize,
    gallery: Gallery,
    /// By flag: how many cells have it, and the first of them.
    flags: BTreeMap<Text, (usize, String)>,
}

impl Overview {
    /// Of all cells of a results folder.
    ///
    /// # Errors
    /// As [`Results::for_each_cell`].
    pub fn of(results: &Results) -> Result<Self> {
        let mut overview = Self::default();
        results.for_each_cell(|cell| {
            overview.add(&cell);
            Ok(())
        })?;
        Ok(overview)
    }

    /// Of these cells.
    pub fn of_cells(cells: &[CellRow]) -> Self {
        let mut overview = Self::default();
        cells.iter().for_each(|cell| overview.add(cell));
        overview
    }

    /// One more cell.
    pub fn add(&mut self, cell: &CellRow) {
        self.cells += 1;
        self.gallery.add(cell);
        for flag in &cell.flags {
            self.flags.entry(flag.clone()).or_insert_with(|| (0, example(cell))).0 += 1;
        }
    }

    /// Whether no cell was added.
    pub fn is_empty(&self) -> bool {
        self.cells == 0
    }

    /// The cells as a reader looks at them.
    pub(super) fn panels(&self, curves: &[CurveRow]) -> Vec<Panel> {
        self.gallery.panels(curves)
    }

    /// A line for each flag that fired: on how many cells, and on which one, say. Empty where none did.
    pub fn flagged(&self) -> String {
        let line = |(flag, (count, example)): (&Text, &(usize, String))| {
            let (many, separator) = if *count == 1 { ("cell", ":") } else { ("cells, e.g.", "") };
            format!("{flag}: {count} {many}{separator} {example}: see `flags`\n")
        };
        self.flags.iter().map(line).collect()
    }
}

fn example(cell: &CellRow) -> String {
    let budget = cell.norm.as_deref().zip(cell.eps);
    let budget = budget.map_or(String::new(), |(norm, eps)| format!(" {norm} eps {}", short(eps)));
    format!("{}{budget} on {}", cell.attack, cell.model)
}
