//! `[[data]]`: which samples are attacked, and how their file is read.

use std::path::Path;

use super::document::{Item, Table};
use super::subjects::{fresh_id, needed, pair, words};
use crate::Result;
use crate::data::image_keys::bins;
use crate::data::labels::same;
use crate::data::registry::ENTRIES;
use crate::data::{ImageOptions, InputArray, Request, Source};

/// Splits of a data set.
pub(super) const SPLITS: [&str; 4] = ["train", "val", "test", "all"];

/// A `[[data]]` table.
#[derive(Clone, Debug)]
pub struct DataEntry {
    /// Its id in the study.
    pub id: String,
    /// What to read; a path is already relative to the working folder.
    pub request: Request,
    /// Whether it says which split; else the test split is read.
    pub says_split: bool,
    /// The line of its table.
    pub line: usize,
}

/// The tables of `[[data]]`.
pub(super) fn data(root: &Table, folder: &Path) -> Result<Vec<DataEntry>> {
    let tables = needed(root, "data")?;
    let mut entries: Vec<DataEntry> = Vec::new();
    for table in &tables {
        let own = [
            "id",
            "name",
            "path",
            "manifest",
            "split",
            "limit",
            "seed",
            "group",
            "subgroups",
            "inputs",
            "classes",
        ];
        table.allow(&[&own[..], &ImageOptions::KEYS[..]].concat())?;
        let id = fresh_id(table, entries.iter().map(|entry| entry.id.as_str()))?;
        let split = table.read("split", |item| item.choice(&SPLITS))?;
        let says_split = split.is_some();
        let mut request = Request::new(source(table, folder)?, split.unwrap_or("test"));
        request.limit = table.read("limit", |item| item.whole(1, u64::MAX))?.map(|limit| limit as usize);
        request.seed = table.read("seed", |item| item.whole(0, u64::MAX))?.unwrap_or(0);
        request.group = table.read("group", Item::text)?;
        request.subgroups = table.read("subgroups", words)?.unwrap_or_default();
        request.inputs = table.read("inputs", input_arrays)?.unwrap_or_default();
        request.classes = table.read("classes", classes)?.unwrap_or_default();
        image_keys(table, folder, &mut request)?;
        entries.push(DataEntry { id, request, says_split, line: table.line() });
    }
    Ok(entries)
}

/// What the table says of images, and the ranges of its columns.
fn image_keys(table: &Table, folder: &Path, request: &mut Request) -> Result<()> {
    for key in ImageOptions::KEYS {
        let Some(item) = table.get(key) else { continue };
        let read = match key {
            "bins" => bins(&item.plain()).map(|bins| request.bins = bins),
            key => request.images.set(key, &item.plain(), folder),
        };
        read.map_err(|(found, expected)| item.error_found(found, expected))?;
    }
    Ok(())
}

/// Names of the model's outputs in their order, each once.
pub(super) fn classes(item: &Item) -> Result<Vec<String>> {
    let names = words(item)?;
    match names.iter().enumerate().find(|(at, name)| names[..*at].iter().any(|other| same(other, name))) {
        Some((_, name)) => {
            Err(item
                .error_found(format!("`{name}` twice"), "the names of the outputs in their order, each once"))
        }
        None => Ok(names),
    }
}

/// Arrays by their names, or with bounds and scale: `["x", { array = "age", bounds = [0, 120], scale = 10 }]`.
fn input_arrays(item: &Item) -> Result<Vec<InputArray>> {
    let array = |item: &Item| {
        if let Ok(name) = item.word() {
            return Ok(InputArray { array: name.to_string(), bounds: None, scale: 1.0 });
        }
        let table =
            item.table("an array's name, or { array = NAME, bounds = [LOW, HIGH], scale = NUMBER }")?;
        table.allow(&["array", "bounds", "scale"])?;
        let scale = |item: &Item| {
            item.number_in(f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX), "a positive number")
        };
        Ok(InputArray {
            array: table.require("array", "the array's name")?.text()?,
            bounds: table.read("bounds", bounds)?,
            scale: table.read("scale", scale)?.unwrap_or(1.0) as f32,
        })
    };
    item.values()?.iter().map(array).collect()
}

/// `[smallest, largest]` of values.
pub(super) fn bounds(item: &Item) -> Result<[f32; 2]> {
    let [low, high] = pair(item, "[smallest, largest]", f64::from(f32::MIN), f64::from(f32::MAX))?;
    Ok([low as f32, high as f32])
}

fn source(table: &Table, folder: &Path) -> Result<Source> {
    let path = |item: &Item| item.text().map(|text| folder.join(text));
    let name = table.read("name", registered)?.map(Source::Name);
    let file = table.read("path", path)?.map(Source::Path);
    let manifest = table.read("manifest", path)?.map(Source::Manifest);
    let mut given = [name, file, manifest].into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(source), None) => Ok(source),
        (None, _) => Err(table.error("name", "none of name, path, manifest", "one of them")),
        _ => Err(table.error("name", "more than one of name, path, manifest", "one of them")),
    }
}

fn registered(item: &Item) -> Result<String> {
    let names: Vec<&str> = ENTRIES.iter().map(|entry| entry.name).collect();
    item.choice(&names).map(str::to_string)
}
