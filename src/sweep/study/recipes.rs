//! `[[recipe]]`: what models are trained by, for the threats that train some.

use std::path::{Path, PathBuf};

use super::subjects::fresh_id;
use crate::Result;
use crate::document::Table;

/// A `[[recipe]]` table.
#[derive(Clone, Debug, PartialEq)]
pub struct RecipeEntry {
    /// Its id in the study.
    pub id: String,
    /// A TRAIN.toml, relative to the working folder: data, architecture, optimiser. Its seed gives way to the study's seeds.
    pub file: PathBuf,
    /// The line of its table.
    pub line: usize,
}

/// The tables of `[[recipe]]`.
pub(super) fn read(root: &Table, folder: &Path) -> Result<Vec<RecipeEntry>> {
    let Some(item) = root.get("recipe") else { return Ok(Vec::new()) };
    let mut entries: Vec<RecipeEntry> = Vec::new();
    for table in &item.tables()? {
        table.allow(&["id", "train"])?;
        let id = fresh_id(table, entries.iter().map(|entry| entry.id.as_str()))?;
        let file = table.require("train", "the TRAIN.toml that says how its models are trained")?.text()?;
        entries.push(RecipeEntry { id, file: folder.join(file), line: table.line() });
    }
    Ok(entries)
}
