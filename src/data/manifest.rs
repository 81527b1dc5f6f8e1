//! A manifest: a CSV that lists image files with their labels, and who each is of.

use std::io::BufReader;
use std::path::Path;

use super::labels::{self, Classes, Known, Place, Written};
use super::npz::file_sha256;
use super::subset::sha256;
use super::table::{Column, Table};
use super::{Dataset, Domain, Labels};
use crate::{Error, Result};

/// Larger images than this are refused: no model here takes them, and a header may lie.
const MAX_PIXELS: u64 = 1 << 26;

/// Reads the images that the CSV at `path` lists: columns `path` (PNG files, relative to the CSV) and `label`, and
/// optionally `split` (absent: everything is `all`), `patient` (the group) and any others.
///
/// Labels are classes by the number of the model's output, or by its name. 8-bit pixels go from 0 to 255, 16-bit ones are
/// divided by 257; alpha is dropped. All images must have one shape.
///
/// # Errors
/// A missing column or file, an image that is damaged, too large, or of another shape than the first.
pub fn open(path: &Path, split: &str, known: &Known) -> Result<Dataset> {
    let table = Table::read(path)?;
    let paths = table.require("path", "manifest")?;
    let Classes { labels, names: classes, remarks } = labels(&table, known)?;
    let rows = rows_of(&table, split)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut shape = Vec::new();
    let mut values = Vec::new();
    let mut sums = table.sha256.clone();
    for &row in &rows {
        let Some(name) = paths.text(row) else {
            return Err(Error::input(&table.file, format!("column `path`, row {row}"), "nothing", "a file"));
        };
        let image = folder.join(name);
        let (this_shape, pixels) = read_png(&image)?;
        if !shape.is_empty() && shape != this_shape {
            let found = format!("{this_shape:?}");
            return Err(Error::input(
                image.display(),
                "shape",
                found,
                format!("{shape:?}, as the first image"),
            ));
        }
        shape = this_shape;
        values.extend(pixels);
        sums += &file_sha256(&image)?;
    }
    let text = |column: &Column, row: usize| column.text(row).unwrap_or_else(|| "missing".to_string());
    let offered =
        table.names.iter().zip(&table.columns).filter(|(name, _)| !matches!(name.as_str(), "path" | "label"));
    let subgroups: std::collections::BTreeMap<_, Vec<String>> = offered
        .map(|(name, column)| (name.clone(), rows.iter().map(|&r| text(column, r)).collect()))
        .collect();
    Ok(Dataset {
        name: table.file.clone(),
        split: split.to_string(),
        synthetic: false,
        sha256: sha256(sums.as_bytes()),
        shape,
        inputs: Vec::new(),
        values,
        labels: Labels::Class(rows.iter().map(|&row| labels[row]).collect()),
        classes,
        unit: "pixel".to_string(),
        group: subgroups.get("patient").cloned(),
        subgroups,
        index: rows.iter().map(|&row| row as u64).collect(),
        domain: Domain::uniform(0.0, 255.0),
        samples_per_second: None,
        remarks,
    })
}

fn rows_of(table: &Table, split: &str) -> Result<Vec<usize>> {
    let column = table.column("split");
    let in_split = |&row: &usize| match column {
        Some(column) => column.text(row).as_deref() == Some(split),
        None => false,
    };
    let rows: Vec<usize> = (0..table.rows()).filter(|row| split == "all" || in_split(row)).collect();
    if !rows.is_empty() {
        return Ok(rows);
    }
    let found = if column.is_some() { "no row of it" } else { "no column `split`" };
    Err(Error::input(&table.file, format!("split {split}"), found, "rows of it, or split all"))
}

fn labels(table: &Table, known: &Known) -> Result<Classes> {
    let column = table.require("label", "manifest")?;
    let entry = |row: usize| format!("row {row}");
    let place = Place { file: &table.file, column: "column `label`", entry: &entry };
    let missing =
        |row: usize| Error::input(&table.file, format!("column `label`, row {row}"), "nothing", "a class");
    let written = match column {
        Column::Number(values) => {
            let value = |(row, value): (usize, &Option<f64>)| value.ok_or_else(|| missing(row));
            Written::Numbers(values.iter().enumerate().map(value).collect::<Result<_>>()?)
        }
        Column::Category(values) => {
            let value = |(row, value): (usize, &Option<String>)| value.clone().ok_or_else(|| missing(row));
            Written::Texts(values.iter().enumerate().map(value).collect::<Result<_>>()?)
        }
    };
    labels::classes(&written, known, &place)
}

/// The shape `[height, width, channels]` and the pixels of a PNG file.
///
/// # Errors
/// A file that is missing, damaged, no PNG, or larger than 2^26 pixels.
pub fn read_png(path: &Path) -> Result<(Vec<usize>, Vec<f32>)> {
    let bad = |error: &dyn std::fmt::Display| {
        Error::input(path.display(), "image", error.to_string(), "an undamaged PNG file")
    };
    let file = crate::files::open(path)?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    // Palettes and depths below 8 bits become 8-bit channels.
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(|e| bad(&e))?;
    let (width, height) = (reader.info().width, reader.info().height);
    let size = reader.output_buffer_size().filter(|_| u64::from(width) * u64::from(height) <= MAX_PIXELS);
    let Some(size) = size else {
        return Err(bad(&format!("{width} x {height} pixels")));
    };
    let mut bytes = vec![0; size];
    let frame = reader.next_frame(&mut bytes).map_err(|e| bad(&e))?;
    bytes.truncate(frame.buffer_size());
    let (channels, colours) = match frame.color_type {
        png::ColorType::Grayscale => (1, 1),
        png::ColorType::GrayscaleAlpha => (2, 1),
        png::ColorType::Rgb => (3, 3),
        png::ColorType::Rgba => (4, 3),
        png::ColorType::Indexed => return Err(bad(&"a palette that was not expanded")),
    };
    let samples: Vec<f32> = match frame.bit_depth {
        png::BitDepth::Sixteen => {
            bytes.chunks_exact(2).map(|b| f32::from(u16::from_be_bytes([b[0], b[1]])) / 257.0).collect()
        }
        _ => bytes.iter().map(|&b| f32::from(b)).collect(),
    };
    let pixels = samples.chunks_exact(channels).flat_map(|pixel| pixel[..colours].iter().copied()).collect();
    Ok((vec![height as usize, width as usize, colours], pixels))
}
