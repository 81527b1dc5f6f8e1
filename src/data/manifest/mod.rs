//! A manifest: a CSV that lists image files with their labels, and who each is of.

mod answers;
mod files;
mod findings;
mod labels;
mod repeats;

use std::collections::BTreeMap;
use std::path::Path;

use super::image_set::{self, Listed};
use super::labels::same;
use super::request::Request;
use super::table::Table;
use super::{Dataset, Remark, SplitNames};
use crate::{Error, Result};

/// What columns of splits are called elsewhere.
const SPLIT_COLUMNS: [&str; 7] = ["strat_fold", "fold", "set", "subset", "partition", "phase", "kfold"];

/// Reads the images that the CSV at `path` lists: a column of files (`path`, relative to the CSV), one or several of labels (`label`), and
/// optionally `split` (absent: everything is `all`), `patient` (the group) and any others. `request.images` says which columns they are, what
/// becomes of labels that are no answer, and how files are read. Files are opened for the samples alone that `request.limit` leaves.
///
/// # Errors
/// A missing column or file, labels that need a word (names in no order, uncertain or missing ones), and what [`image_set::read`] refuses.
pub fn open(path: &Path, request: &Request) -> Result<Dataset> {
    let table = Table::read(path)?;
    let options = &request.images;
    let paths = files::column(&table, options)?;
    if let Some((role, name)) =
        options.columns.iter().find(|(role, name)| *role != "path" && table.column(name).is_none())
    {
        let found = format!("no column `{name}`");
        let expected = format!("one of {}", table.names.join(", "));
        return Err(Error::input(&table.file, format!("columns.{role}"), found, expected));
    }
    let rows = rows_of(&table, options.column("split"), &request.split, &request.splits)?;
    let read = labels::read(&table, &rows, options, &request.labels, &request.known())?;
    let read = if request.labels.once { repeats::once(&table, paths, read)? } else { read };
    let mut remarks = read.remarks;
    let listed: Vec<Option<String>> = read.rows.iter().map(|&row| table.exact(paths, row)).collect();
    remarks.extend(repeats::remark(&listed, &read.labels));
    let mut subgroups = columns(&table, &read.rows, options);
    let named = options.columns.contains_key("patient");
    if !named
        && request.group.is_none()
        && !subgroups.contains_key("patient")
        && let Some(patients) = files::patients(&table, paths, &read.rows)
    {
        let text = "patients are the folders `patient...` in the paths: there is no column `patient`";
        remarks.push(Remark::note(text));
        subgroups.insert("patient".into(), patients);
    }
    let listed = Listed {
        name: table.file.clone(),
        split: request.split.clone(),
        sha256: table.sha256.clone(),
        labels: read.labels,
        classes: read.classes,
        index: read.rows.iter().map(|&row| row as u64).collect(),
        subgroups,
        remarks,
    };
    let file = |index: u64| files::locate(&table, paths, path, index as usize, options);
    image_set::read(listed, &file, request)
}

fn rows_of(table: &Table, name: &str, split: &str, names: &SplitNames) -> Result<Vec<usize>> {
    let column = table.column(name);
    let text = |row: usize| column.and_then(|column| column.text(row));
    let in_split = |&row: &usize| text(row).and_then(|text| names.of(&text)) == Some(split);
    let rows: Vec<usize> = (0..table.rows()).filter(|row| split == "all" || in_split(row)).collect();
    if !rows.is_empty() {
        return Ok(rows);
    }
    let (found, expected) = match column {
        Some(_) => {
            let mut values: Vec<String> = (0..table.rows()).filter_map(text).collect();
            values.sort();
            values.dedup();
            values.truncate(12);
            (
                format!("no row of it in column `{name}`, which has {}", values.join(", ")),
                format!(
                    "rows of it, split = \"all\", or a line in [[data]] with the values of each split: {}",
                    SplitNames::LINE
                ),
            )
        }
        None => {
            let like = |name: &&String| SPLIT_COLUMNS.iter().any(|usual| same(name, usual));
            let guess = table.names.iter().find(like).map_or("NAME".to_string(), |name| format!("{name:?}"));
            (
                format!("no column `{name}`"),
                format!(
                    "split = \"all\" of a study's [[data]], or columns = {{ split = {guess} }} in [[data]], and {} where its values are others. A TRAIN.toml, or \
                     a [[recipe]], learns from a file with such a column: train, val or test in each row",
                    SplitNames::LINE
                ),
            )
        }
    };
    Err(Error::input(&table.file, format!("split {split}"), found, expected))
}

/// Every column that is neither paths nor labels, by its role where it has one; missing values are called so.
fn columns(table: &Table, rows: &[usize], options: &super::ImageOptions) -> BTreeMap<String, Vec<String>> {
    // As the file has them: `007` is not `7`.
    let text = |at: usize, row: usize| table.exact(at, row).unwrap_or_else(|| "missing".to_string());
    let role = |name: &String| {
        options.columns.iter().find(|(_, own)| *own == name).map_or(name, |(role, _)| role).clone()
    };
    let labels = labels::columns(options);
    let offered = table.names.iter().enumerate().filter(|(_, name)| !labels.contains(&name.as_str()));
    offered
        .map(|(at, name)| (role(name), rows.iter().map(|&row| text(at, row)).collect()))
        .filter(|(role, _)| role != "path")
        .collect()
}
