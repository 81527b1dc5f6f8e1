//! The part of a plan that trains models: cells by recipe, defence and threat.

use crate::Result;
use crate::sweep::study::Study;
use crate::sweep::trained::{TrainedCell, cells};

/// Cells of one threat on one recipe under one defence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainedCount {
    /// The threat's table in a study file.
    pub table: &'static str,
    /// The recipe's id.
    pub recipe: String,
    /// The defence's id.
    pub defense: String,
    /// Cells. One of poisoning or of a backdoor trains a model of its own; those of membership inference share theirs.
    pub cells: u64,
    /// Different seeds among them: each has an unpoisoned twin, or a target.
    pub seeds: u64,
}

/// Counts of all cells of a study that train models, in the study's order.
///
/// # Errors
/// Too many cells.
pub(super) fn count(study: &Study) -> Result<Vec<TrainedCount>> {
    let mut counts: Vec<TrainedCount> = Vec::new();
    let of = |cell: &TrainedCell| TrainedCount {
        table: cell.threat.table(),
        recipe: study.recipes[cell.recipe].id.clone(),
        defense: study.defenses[cell.defense].id.clone(),
        cells: 0,
        seeds: study.seeds.len() as u64,
    };
    for cell in cells(study)? {
        let mut new = of(&cell);
        let key = |count: &TrainedCount| (count.table, count.recipe.clone(), count.defense.clone());
        match counts.iter_mut().find(|count| key(count) == key(&new)) {
            Some(known) => known.cells += 1,
            None => {
                new.cells = 1;
                counts.push(new);
            }
        }
    }
    Ok(counts)
}
