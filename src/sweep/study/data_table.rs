//! `[[data]]`: which samples are attacked, and how their file is read.

use std::path::Path;

use super::subjects::{fresh_id, needed};
use crate::Result;
use crate::data::Request;
use crate::data::image_keys::bins;
use crate::data::keys::{self, SPLITS};
use crate::document::{Item, Table, words};

/// The keys that a TRAIN.toml does not have: there the splits have names of their own, and nothing is broken down.
const OWN: [&str; 6] = ["id", "split", "limit", "seed", "subgroups", "bins"];

/// A `[[data]]` table.
#[derive(Clone, Debug)]
pub struct DataEntry {
    /// Its id in the study.
    pub id: String,
    /// What to read; a path is already relative to the working folder.
    pub request: Request,
    /// The line of its table.
    pub line: usize,
}

/// The name of a split; the value of a column is none, but may be called one.
fn split<'t>(item: &Item<'t>) -> Result<&'static str> {
    let value =
        item.is_list() || item.number().is_ok() || item.word().is_ok_and(|word| word.parse::<f64>().is_ok());
    if value {
        let expected = format!(
            "one of {}; values of a column of splits are called so by splits = {{ test = {} }} beside split = \"test\"",
            SPLITS.join(", "),
            item.plain()
        );
        return Err(item.error(expected));
    }
    item.choice(&SPLITS)
}

/// The tables of `[[data]]`.
pub(super) fn data(root: &Table, folder: &Path) -> Result<Vec<DataEntry>> {
    let tables = needed(root, "data")?;
    let mut entries: Vec<DataEntry> = Vec::new();
    for table in &tables {
        table.allow(&[&OWN[..], &keys::all()].concat())?;
        let id = fresh_id(table, entries.iter().map(|entry| entry.id.as_str()))?;
        let split = table.read("split", split)?;
        let mut request = keys::request(table, folder)?;
        if let Some(split) = split {
            request.split = split.to_string();
        }
        request.split_given = split.is_some();
        request.limit = table.read("limit", |item| item.whole(1, u64::MAX))?.map(|limit| limit as usize);
        request.seed = table.read("seed", |item| item.whole(0, u64::MAX))?.unwrap_or(0);
        request.subgroups = table.read("subgroups", words)?.unwrap_or_default();
        let ranges =
            |item: &Item| bins(&item.plain()).map_err(|(found, expected)| item.error_found(found, expected));
        request.bins = table.read("bins", ranges)?.unwrap_or_default();
        entries.push(DataEntry { id, request, line: table.line() });
    }
    Ok(entries)
}
