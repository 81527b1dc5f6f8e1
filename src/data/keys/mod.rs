//! The keys by which a study's `[[data]]` and a TRAIN.toml's `[data]` say what is read and how: one set of them, read in one place.

mod signals;

use std::path::Path;

use super::labels::same;
use super::registry::ENTRIES;
use super::{
    ArrayOptions, Bounds, ImageOptions, InputArray, LabelOptions, Layout, Request, Source, SplitNames,
};
use crate::Result;
use crate::document::{Item, Table, pair, words};

/// Splits of a data set.
pub(crate) const SPLITS: [&str; 4] = ["train", "val", "test", "all"];

/// Where the data are, whose they are, what their labels mean, how arrays lie.
const KEYS: [&str; 10] =
    ["name", "path", "manifest", "group", "splits", "inputs", "classes", "arrays", "layout", "bounds"];

/// All keys that say how data are read.
pub(crate) fn all() -> Vec<&'static str> {
    [&KEYS[..], &ImageOptions::KEYS, &LabelOptions::KEYS, &signals::KEYS].concat()
}

/// What the keys of a table ask for, of the test split; paths are relative to `folder`.
///
/// # Errors
/// A key with a bad value, with its line, what was found and what was expected.
pub(crate) fn request(table: &Table, folder: &Path) -> Result<Request> {
    let mut request = Request::new(source(table, folder)?, "test");
    request.group = table.read("group", Item::text)?;
    request.inputs = table.read("inputs", input_arrays)?.unwrap_or_default();
    request.classes = table.read("classes", classes)?.unwrap_or_default();
    request.classes_of_data = !request.classes.is_empty();
    request.arrays = arrays(table)?;
    request.signals = signals::options(table, folder)?;
    request.splits = table.read("splits", split_names)?.unwrap_or_default();
    request.signals.list.splits.clone_from(&request.splits);
    for key in ImageOptions::KEYS {
        let Some(item) = table.get(key) else { continue };
        let read = request.images.set(key, &item.plain(), folder);
        read.map_err(|(found, expected)| item.error_found(found, expected))?;
    }
    for key in LabelOptions::KEYS {
        let Some(item) = table.get(key) else { continue };
        let read = request.labels.set(key, &item.plain());
        read.map_err(|(found, expected)| item.error_found(found, expected))?;
    }
    Ok(request)
}

/// `splits = { val = 9, test = [10, "extra"] }`: values of a column, each of one split.
fn split_names(item: &Item) -> Result<SplitNames> {
    let expected = "the values of each split: { val = [9], test = [10] }";
    let read = item.plain().try_into::<SplitNames>();
    read.map_err(|error| item.error_found(error.message().trim_end().to_string(), expected))
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

/// Names of the model's outputs in their order, each once.
pub(crate) fn classes(item: &Item) -> Result<Vec<String>> {
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
pub(crate) fn bounds(item: &Item) -> Result<[f32; 2]> {
    let [low, high] = pair(item, "[smallest, largest]", f64::from(f32::MIN), f64::from(f32::MAX))?;
    Ok([low as f32, high as f32])
}

fn source(table: &Table, folder: &Path) -> Result<Source> {
    let path = |item: &Item| item.text().map(|text| folder.join(text));
    let name = table.read("name", registered)?.map(Source::Name);
    let file = table.read("path", path)?.map(Source::Path);
    let manifest = table.read("manifest", path)?.map(Source::Manifest);
    let records = signals::records(table, folder)?.map(Source::Records);
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
