//! Which file a row of a manifest names.

use std::path::{Path, PathBuf};

use super::super::ImageOptions;
use super::super::table::{Column, Table};
use crate::{Error, Result};

const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "tif", "tiff", "bmp", "dcm", "dicom"];

/// The place of the column of paths.
pub(super) fn column(table: &Table, options: &ImageOptions) -> Result<usize> {
    let name = options.column("path");
    if let Some(position) = table.position(name) {
        return Ok(position);
    }
    let known = table.names.join(", ");
    let like = |column: &Column| {
        let text = (0..table.rows()).find_map(|row| column.text(row)).unwrap_or_default().to_lowercase();
        text.rsplit_once('.').is_some_and(|(_, ending)| ENDINGS.contains(&ending))
    };
    let guess = table.names.iter().zip(&table.columns).find(|(_, column)| like(column));
    let expected = match guess {
        Some((guess, _)) => format!("columns = {{ path = {guess:?} }} in [[data]] (the columns are {known})"),
        None => format!("columns = {{ path = NAME }} in [[data]], one of {known}"),
    };
    Err(Error::input(&table.file, "manifest", format!("no column `{name}`"), expected))
}

/// The file of a row.
///
/// # Errors
/// No path, or no file there: the error has the row, and the lines that help if the file is found elsewhere.
pub(super) fn locate(
    table: &Table,
    paths: usize,
    manifest: &Path,
    row: usize,
    options: &ImageOptions,
) -> Result<PathBuf> {
    let place = format!("column `{}`, row {row}", options.column("path"));
    let Some(text) = table.exact(paths, row) else {
        return Err(Error::input(&table.file, place, "nothing", "a file"));
    };
    let own = manifest.parent().unwrap_or(Path::new(""));
    let folder = options.base.as_deref().unwrap_or(own);
    // A path that Windows wrote.
    let text = text.replace('\\', "/");
    let name = format!("{}{}", text.strip_prefix(options.strip.as_str()).unwrap_or(&text), options.suffix);
    let file = folder.join(&name);
    if file.exists() {
        return Ok(file);
    }
    let found = format!("no file {}", file.display());
    let expected = elsewhere(own, &text, options).unwrap_or_else(|| {
        "a file there; files = { base = FOLDER, strip = \"BEGINNING/\", suffix = \".png\" } in [[data]] says where paths begin, what of \
         them is left out and what is added"
            .to_string()
    });
    Err(Error::input(&table.file, place, found, expected))
}

/// The line of `files` under which the file is there: another folder, a beginning less, an ending more.
fn elsewhere(own: &Path, text: &str, options: &ImageOptions) -> Option<String> {
    let absolute = std::path::absolute(own).ok()?;
    let folders = options.base.iter().map(PathBuf::as_path).chain(absolute.ancestors().take(4));
    let folders: Vec<&Path> = folders.collect();
    let cuts = text.match_indices('/').map(|(at, _)| at + 1);
    for cut in std::iter::once(0).chain(cuts) {
        for folder in &folders {
            for suffix in ["", ".png", ".jpg", ".jpeg", ".dcm", ".tif", ".bmp"] {
                let (strip, rest) = text.split_at(cut);
                if rest.is_empty() || !folder.join(format!("{rest}{suffix}")).is_file() {
                    continue;
                }
                let keys = [
                    ("base", folder.display().to_string()),
                    ("strip", strip.into()),
                    ("suffix", suffix.into()),
                ];
                let keys = keys
                    .iter()
                    .filter(|(key, value)| !value.is_empty() && (*key != "base" || *folder != absolute));
                let keys: Vec<String> = keys.map(|(key, value)| format!("{key} = {value:?}")).collect();
                return Some(format!("files = {{ {} }} in [[data]], where it is found", keys.join(", ")));
            }
        }
    }
    None
}

/// The folders `patient00001` of paths as CheXpert has them, where every path has one.
pub(super) fn patients(table: &Table, paths: usize, rows: &[usize]) -> Option<Vec<String>> {
    let patient = |&row: &usize| {
        let text = table.exact(paths, row)?;
        let numbered = |part: &&str| {
            let number = part.strip_prefix("patient");
            number.is_some_and(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()))
        };
        text.split(['/', '\\']).find(numbered).map(str::to_string)
    };
    rows.iter().map(patient).collect()
}
