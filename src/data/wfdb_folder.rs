//! A folder of WFDB records with reference annotations (`.hea`, `.dat`, `.atr`), read as a data set of beats.

use std::path::{Path, PathBuf};

use super::beats::{self, Beat};
use super::npz::file_sha256;
use super::subset::sha256;
use super::wfdb::{Record, sibling};
use super::{Dataset, wfdb_annotations};
use crate::{Error, Result};

/// All beats of all records in the folder, by AAMI class, grouped by record; see [`beats::dataset`].
///
/// # Errors
/// A folder without records, and whatever reading one of them refuses.
pub fn open(folder: &Path, split: &str) -> Result<Dataset> {
    open_headers(folder, &headers(folder)?, split)
}

/// The beats of the one record whose header is at `header`.
///
/// # Errors
/// As [`open`].
pub fn open_record(header: &Path, split: &str) -> Result<Dataset> {
    open_headers(header, &[header.to_path_buf()], split)
}

/// Cuts the beats of every record in the folder, at most `max_normal` of class N a record.
///
/// # Errors
/// As [`open`].
pub fn cut(folder: &Path, max_normal: Option<usize>) -> Result<Vec<Beat>> {
    cut_headers(&headers(folder)?, max_normal)
}

fn open_headers(name: &Path, headers: &[PathBuf], split: &str) -> Result<Dataset> {
    let mut sums = String::new();
    for header in headers {
        for ending in ["hea", "dat", "atr"] {
            let path = sibling(header, ending);
            if path.exists() {
                sums += &file_sha256(&path)?;
            }
        }
    }
    beats::dataset(&name.display().to_string(), &sha256(sums.as_bytes()), &cut_headers(headers, None)?, split)
}

fn cut_headers(headers: &[PathBuf], max_normal: Option<usize>) -> Result<Vec<Beat>> {
    let mut all = Vec::new();
    for header in headers {
        let record = Record::read(header)?;
        let annotations = wfdb_annotations::read(&sibling(header, "atr"))?;
        let number = record.header.record.parse::<u16>().map_err(|_| {
            let found = format!("`{}`", record.header.record);
            Error::input(header.display(), "record's name", found, "a number, as MIT-BIH's records have")
        })?;
        all.extend(beats::cut(&record, number, &annotations, max_normal)?);
    }
    Ok(all)
}

fn headers(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut headers = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        if path.extension().is_some_and(|ending| ending == "hea") {
            headers.push(path);
        }
    }
    headers.sort();
    if headers.is_empty() {
        return Err(Error::input(folder.display(), "folder", "no .hea file", "WFDB records"));
    }
    Ok(headers)
}
