//! Images in npz archives: MedMNIST's layout (`train_images`, `train_labels`, ...) and plain `x`, `y`.

use std::collections::BTreeMap;
use std::path::Path;

use super::check::MAX_CLASSES;
use super::npz::{Array, Npz, Numbers, file_sha256};
use super::{Dataset, Domain, Labels};
use crate::{Error, Result};

const SPLITS: [&str; 3] = ["train", "val", "test"];

/// Reads one split (`all` joins them in the order train, val, test) of the archive at `path`.
///
/// Layouts: `{split}_images` (n, h, w) or (n, h, w, c) with `{split}_labels` (n), (n, 1) or (n, k) for k findings, as
/// MedMNIST v2 (Yang et al. 2023) has them; or `x_{split}` and `y_{split}`; or `x` and `y`, whose only split is `all`.
/// Unsigned bytes are pixels from 0 to 255; other numbers keep their value, with the range of the file's images, all splits together, as bounds.
/// Any further array of n numbers named `{split}_NAME` (or `NAME`) is offered as the column `NAME`.
///
/// # Errors
/// A missing array or split, a shape or a label that does not fit.
pub fn open(path: &Path, split: &str, classes: Option<&[&str]>) -> Result<Dataset> {
    let mut npz = Npz::open(path)?;
    let layouts = layouts(&npz);
    let wanted: Vec<&Layout> = layouts.iter().filter(|l| split == "all" || l.split == split).collect();
    if wanted.is_empty() {
        let existing = layouts.iter().map(|l| l.split).collect::<Vec<_>>().join(", ");
        let (found, expected) = if existing.is_empty() {
            let arrays = npz.names().join(", ");
            (format!("the arrays {arrays}"), "{split}_images and {split}_labels, or x and y".to_string())
        } else {
            (format!("no split `{split}`"), format!("one of {existing}, all"))
        };
        return Err(Error::input(path.display(), "split", found, expected));
    }
    let mut parts = Vec::new();
    for layout in &wanted {
        parts.push(Part::read(&mut npz, layout, first_index(&layouts, layout, path)?)?);
    }
    let bounds = if parts[0].pixels { (0.0, 255.0) } else { whole_range(&mut npz, &layouts)? };
    join(path, split, parts, known_classes(&mut npz, &layouts, classes)?, bounds)
}

/// The smallest and largest value of all splits: what an attack may do must not depend on the split that is opened.
fn whole_range(npz: &mut Npz, layouts: &[Layout]) -> Result<(f32, f32)> {
    layouts.iter().try_fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), layout| {
        let (least, most) = range(&npz.array(&layout.images)?.numbers.to_f32());
        Ok((low.min(least), high.max(most)))
    })
}

struct Layout {
    split: &'static str,
    images: String,
    labels: String,
}

/// The splits of an archive, in their order.
pub(super) fn splits(npz: &Npz) -> Vec<&'static str> {
    layouts(npz).iter().map(|layout| layout.split).collect()
}

fn layouts(npz: &Npz) -> Vec<Layout> {
    let mut found = Vec::new();
    for split in SPLITS {
        for (images, labels) in [
            (format!("{split}_images"), format!("{split}_labels")),
            (format!("x_{split}"), format!("y_{split}")),
        ] {
            if npz.has(&images) && npz.has(&labels) {
                found.push(Layout { split, images, labels });
                break;
            }
        }
    }
    if found.is_empty() && npz.has("x") && npz.has("y") {
        found.push(Layout { split: "all", images: "x".into(), labels: "y".into() });
    }
    found
}

/// A sample's index counts through the splits in order, so that it is the same whichever split is opened.
fn first_index(layouts: &[Layout], wanted: &Layout, path: &Path) -> Result<u64> {
    let mut npz = Npz::open(path)?;
    let mut first = 0;
    for layout in layouts.iter().take_while(|l| l.split != wanted.split) {
        first += npz.array(&layout.labels)?.shape.first().copied().unwrap_or(0) as u64;
    }
    Ok(first)
}

struct Part {
    shape: Vec<usize>,
    pixels: bool,
    values: Vec<f32>,
    label_shape: Vec<usize>,
    labels: Vec<i64>,
    first_index: u64,
    columns: BTreeMap<String, Vec<String>>,
}

impl Part {
    fn read(npz: &mut Npz, layout: &Layout, first_index: u64) -> Result<Self> {
        let file = npz.path().display().to_string();
        let images = npz.array(&layout.images)?;
        let shape = sample_shape(&images).ok_or_else(|| {
            let place = format!("array `{}`", layout.images);
            Error::input(
                &file,
                place,
                format!("shape {:?}", images.shape),
                "(n, features), (n, h, w) or (n, h, w, channels), no extent 0",
            )
        })?;
        let n = images.shape[0];
        let (label_shape, labels) = read_labels(npz, &file, &layout.labels, n)?;
        let columns = read_columns(npz, layout, n)?;
        let pixels = matches!(images.numbers, Numbers::U8(_));
        Ok(Self { shape, pixels, values: images.numbers.to_f32(), label_shape, labels, first_index, columns })
    }
}

fn sample_shape(images: &Array) -> Option<Vec<usize>> {
    if images.shape.contains(&0) {
        return None;
    }
    match images.shape[..] {
        [_, features] => Some(vec![features]),
        [_, h, w] => Some(vec![h, w, 1]),
        [_, h, w, c] => Some(vec![h, w, c]),
        _ => None,
    }
}

fn read_labels(npz: &mut Npz, file: &str, name: &str, n: usize) -> Result<(Vec<usize>, Vec<i64>)> {
    let place = format!("array `{name}`");
    let array = npz.array(name)?;
    let fits = matches!(array.shape[..], [m] | [m, _] if m == n) && !array.shape.contains(&0);
    if !fits {
        let expected = format!("({n}), ({n}, 1) or ({n}, findings), as there are images");
        return Err(Error::input(file, place, format!("shape {:?}", array.shape), expected));
    }
    let labels = array
        .numbers
        .to_i64()
        .map_err(|at| Error::input(file, &place, format!("a fraction at {at}"), "whole numbers"))?;
    if let Some(at) = labels.iter().position(|&l| l < 0 || l as usize >= MAX_CLASSES) {
        return Err(Error::input(
            file,
            format!("{place}, entry {at}"),
            labels[at],
            format!("a class from 0 to {}", MAX_CLASSES - 1),
        ));
    }
    Ok((array.shape, labels))
}

fn read_columns(npz: &mut Npz, layout: &Layout, n: usize) -> Result<BTreeMap<String, Vec<String>>> {
    let mut columns = BTreeMap::new();
    for array_name in npz.names().to_vec() {
        if array_name == layout.images || array_name == layout.labels {
            continue;
        }
        let prefix = format!("{}_", layout.split);
        let column = match array_name.strip_prefix(&prefix) {
            Some(rest) => rest.to_string(),
            None if layout.split == "all" => array_name.clone(),
            None => continue,
        };
        // An array that cannot be read as numbers is some other program's: only asking for it is an error.
        let Ok(array) = npz.array(&array_name) else { continue };
        if array.shape.first() == Some(&n) && array.shape.iter().product::<usize>() == n {
            let texts = match &array.numbers {
                Numbers::U8(v) => v.iter().map(u8::to_string).collect(),
                Numbers::Integer(v) => v.iter().map(i64::to_string).collect(),
                Numbers::Float(v) => v.iter().map(f64::to_string).collect(),
            };
            columns.insert(column, texts);
        }
    }
    Ok(columns)
}

/// Class names: the registry's, or numbers up to the largest label of any split.
fn known_classes(npz: &mut Npz, layouts: &[Layout], classes: Option<&[&str]>) -> Result<Vec<String>> {
    if let Some(classes) = classes {
        return Ok(classes.iter().map(|c| c.to_string()).collect());
    }
    let file = npz.path().display().to_string();
    let mut count = 0;
    for layout in layouts {
        let n = npz.array(&layout.labels)?.shape.first().copied().unwrap_or(0);
        let (shape, labels) = read_labels(npz, &file, &layout.labels, n)?;
        count = count.max(match shape[..] {
            [_, k] if k > 1 => k,
            _ => labels.iter().max().map_or(0, |&l| l as usize + 1),
        });
    }
    // Two classes at least: a file of one class only still belongs to a yes-or-no question.
    Ok((0..count.max(2)).map(|k| k.to_string()).collect())
}

fn join(
    path: &Path,
    split: &str,
    parts: Vec<Part>,
    classes: Vec<String>,
    (low, high): (f32, f32),
) -> Result<Dataset> {
    let file = path.display().to_string();
    let shape = parts[0].shape.clone();
    if let Some(odd) = parts.iter().find(|p| p.shape != shape || p.pixels != parts[0].pixels) {
        return Err(Error::input(file, "splits", format!("{:?}", odd.shape), format!("{shape:?} in all")));
    }
    let findings = matches!(parts[0].label_shape[..], [_, k] if k > 1).then(|| parts[0].label_shape[1]);
    if parts
        .iter()
        .any(|p| matches!(p.label_shape[..], [_, k] if k > 1).then(|| p.label_shape[1]) != findings)
        || findings.is_some_and(|k| k != classes.len())
    {
        return Err(Error::input(
            file,
            "labels",
            format!("shape {:?}", parts[0].label_shape),
            format!("{} findings or one class a sample, alike in all splits", classes.len()),
        ));
    }
    let pixels = parts[0].pixels;
    let sha256 = file_sha256(path)?;
    let index =
        parts.iter().flat_map(|p| (0..p.label_shape[0] as u64).map(move |i| p.first_index + i)).collect();
    let labels: Vec<i64> = parts.iter().flat_map(|p| p.labels.iter().copied()).collect();
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in parts[0].columns.keys().filter(|k| parts.iter().all(|p| p.columns.contains_key(*k))) {
        columns.insert(name.clone(), parts.iter().flat_map(|p| p.columns[name].iter().cloned()).collect());
    }
    let values: Vec<f32> = parts.into_iter().flat_map(|p| p.values).collect();
    Ok(Dataset {
        name: file,
        split: split.to_string(),
        synthetic: false,
        sha256,
        shape,
        inputs: Vec::new(),
        labels: match findings {
            // check() refuses what is not 0 or 1; the cast must not turn 256 into 0.
            Some(_) => Labels::Findings(labels.iter().map(|&l| l.min(255) as u8).collect()),
            None => Labels::Class(labels.iter().map(|&l| l as u32).collect()),
        },
        classes,
        unit: if pixels { "pixel" } else { "value" }.to_string(),
        group: columns.get("group").cloned(),
        subgroups: columns,
        index,
        domain: Domain::uniform(low, high),
        values,
        samples_per_second: None,
        remarks: Vec::new(),
    })
}

fn range(values: &[f32]) -> (f32, f32) {
    values
        .iter()
        .filter(|v| v.is_finite())
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
}
