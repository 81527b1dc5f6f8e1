//! `[[data]]`: which samples are attacked, and how their file is read.

use std::path::Path;

use super::document::{Item, Table};
use super::signal_keys;
use super::subjects::{fresh_id, needed, pair, words};
use crate::Result;
use crate::data::image_keys::bins;
use crate::data::labels::same;
use crate::data::registry::ENTRIES;
use crate::data::{ArrayOptions, Bounds, ImageOptions, InputArray, LabelOptions, Layout, Request, Source};

/// Splits of a data set.
pub(super) const SPLITS: [&str; 4] = ["train", "val", "test", "all"];

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
            "arrays",
            "layout",
            "bounds",
        ];
        table.allow(
            &[&own[..], &ImageOptions::KEYS[..], &LabelOptions::KEYS[..], &signal_keys::KEYS].concat(),
        )?;
        let id = fresh_id(table, entries.iter().map(|entry| entry.id.as_str()))?;
        let split = table.read("split", |item| item.choice(&SPLITS))?;
        let mut request = Request::new(source(table, folder)?, split.unwrap_or("test"));
        request.split_given = split.is_some();
        request.limit = table.read("limit", |item| item.whole(1, u64::MAX))?.map(|limit| limit as usize);
        request.seed = table.read("seed", |item| item.whole(0, u64::MAX))?.unwrap_or(0);
        request.group = table.read("group", Item::text)?;
        request.subgroups = table.read("subgroups", words)?.unwrap_or_default();
        request.inputs = table.read("inputs", input_arrays)?.unwrap_or_default();
        request.classes = table.read("classes", classes)?.unwrap_or_default();
        request.classes_of_data = !request.classes.is_empty();
        request.arrays = arrays(table)?;
        request.signals = signal_keys::options(table, folder)?;
        image_keys(table, folder, &mut request)?;
        label_keys(table, &mut request.labels)?;
        entries.push(DataEntry { id, request, line: table.line() });
    }
    Ok(entries)
}

/// `arrays = { x = NAME, y = NAME }`, `layout` and `bounds`: how an npz archive is read.
fn arrays(table: &Table) -> Result<ArrayOptions> {
    let mut options = ArrayOptions::default();
    if let Some(item) = table.get("arrays") {
        let names = item.table("{ x = NAME, y = NAME }, the arrays of samples and labels")?;
        names.allow(&["x", "y"])?;
        (options.x, options.y) = (names.read("x", Item::text)?, names.read("y", Item::text)?);
    }
    options.layout = table.read("layout", layout)?;
    if let Some(stated) = table.read("bounds", bounds)? {
        options.bounds = Bounds::Stated(stated);
    }
    Ok(options)
}

fn layout(item: &Item) -> Result<Layout> {
    let name = item.choice(&Layout::NAMES)?;
    Layout::named(name).ok_or_else(|| item.error(Layout::NAMES.join(", ")))
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

/// What the table says of labels.
fn label_keys(table: &Table, options: &mut LabelOptions) -> Result<()> {
    for key in LabelOptions::KEYS {
        let Some(item) = table.get(key) else { continue };
        let read = options.set(key, &item.plain());
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
            return Ok(InputArray { array: name.to_string(), bounds: None, scale: 1.0, layout: None });
        }
        let table = item.table(
            "an array's name, or { array = NAME, bounds = [LOW, HIGH], scale = NUMBER, layout = LAYOUT }",
        )?;
        table.allow(&["array", "bounds", "scale", "layout"])?;
        let scale = |item: &Item| {
            item.number_in(f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX), "a positive number")
        };
        Ok(InputArray {
            array: table.require("array", "the array's name")?.text()?,
            bounds: table.read("bounds", bounds)?,
            scale: table.read("scale", scale)?.unwrap_or(1.0) as f32,
            layout: table.read("layout", layout)?,
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
    let records = signal_keys::records(table, folder)?.map(Source::Records);
    let mut given = [name, file, manifest, records].into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(source), None) => Ok(source),
        (None, _) => Err(table.error("name", "none of name, path, manifest, records", "one of them")),
        _ => Err(table.error("name", "more than one of name, path, manifest, records", "one of them")),
    }
}

fn registered(item: &Item) -> Result<String> {
    let names: Vec<&str> = ENTRIES.iter().map(|entry| entry.name).collect();
    item.choice(&names).map(str::to_string)
}
