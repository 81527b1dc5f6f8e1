//! Which recordings there are, and what stands beside each: patient, split, labels.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use super::list_columns::{LABELS, labels, split_names};
use super::list_file::{List, with_ending};
use super::options::ListColumns;
use super::recording::ENDINGS;
use crate::data::wfdb::Header;
use crate::data::{Remark, beats, table};
use crate::{Error, Result, files};

/// One recording of a listing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    /// Its header or file.
    pub path: PathBuf,
    /// What it is called: its path below the folder, without the ending.
    pub name: String,
    /// Whose it is, where a list says so.
    pub patient: Option<String>,
    /// `train`, `val` or `test`, where something says so.
    pub split: Option<String>,
    /// What a list says in other columns.
    pub columns: BTreeMap<String, String>,
}

/// Recordings in a fixed order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// Them.
    pub items: Vec<Item>,
    /// Their labels, where a list has some.
    pub labels: Option<ListedLabels>,
    /// Files that say which recordings there are.
    pub files: Vec<PathBuf>,
    /// What was assumed.
    pub remarks: Vec<Remark>,
}

/// Labels of a list, one entry an item.
#[derive(Clone, Debug, PartialEq)]
pub enum ListedLabels {
    /// One text each, of this column.
    Texts(String, Vec<String>),
    /// Statements each (codes of findings and diagnoses), of this column.
    Sets(String, Vec<BTreeSet<String>>),
    /// A column for every finding: 0, 1, -1 (uncertain), NaN (missing).
    Findings(Vec<String>, Vec<Vec<f64>>),
}

/// More files than this below a folder are taken for a wrong folder.
const MAX_FILES: usize = 1 << 21;
/// Folders within folders that are looked into.
const MAX_DEPTH: usize = 6;
/// PTB-XL's own list.
const PTB_XL: &str = "ptbxl_database.csv";

/// Everything that is a recording below `folder`, in the order of names; segments of others are none of their own. PTB-XL's folder is read by
/// its list.
///
/// # Errors
/// A folder without recordings, or that cannot be read.
pub fn folder(folder: &Path, columns: &ListColumns) -> Result<Listing> {
    let own = folder.join(PTB_XL);
    if own.is_file() {
        return list(&own, columns, true);
    }
    let mut paths = Vec::new();
    collect(folder, 0, &mut paths)?;
    paths.sort();
    let mut segments = HashSet::new();
    for path in paths.iter().filter(|path| is_header(path) && has_segments(path)) {
        let header = Header::read(path)?;
        segments.extend(header.segments.iter().map(|s| path.with_file_name(format!("{}.hea", s.name))));
    }
    paths.retain(|path| !segments.contains(path));
    let (paths, silent): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.into_iter().partition(|path| !is_header(path) || has_signals(path));
    if paths.is_empty() {
        let tables = tables_below(folder, 0);
        let expected = "WFDB records (.hea), EDF or BDF files; or images (PNG, JPEG, TIFF, BMP, DICOM) in a folder for each class";
        let (found, expected) = match tables.first().and_then(|path| Some((path, path.parent()?))) {
            None => ("none".to_string(), expected.to_string()),
            Some((first, own)) if own == folder => (
                format!("tables among other files ({}), such as {}", tables.len(), first.display()),
                format!(
                    "{expected}; or path = the table itself, or a folder of parts of one table alone (all .parquet or all .csv)"
                ),
            ),
            Some((first, own)) => (
                format!("tables in folders below it ({}), such as {}", tables.len(), first.display()),
                format!(
                    "{expected}; or the parts of one table in one folder, as path = {:?} has them: columns that only names of folders \
                     hold (KEY=VALUE) have to be written into the files",
                    own.display().to_string()
                ),
            ),
        };
        return Err(Error::input(folder.display(), "folder", found, expected));
    }
    let item = |path: &PathBuf| {
        let below = path.strip_prefix(folder).unwrap_or(path).with_extension("");
        Item { path: path.clone(), name: below.to_string_lossy().replace('\\', "/"), ..Item::default() }
    };
    let mut listing = Listing { items: paths.iter().map(item).collect(), ..Listing::default() };
    listing.split_as_mit_bih();
    if let Some(first) = silent.first() {
        let text = format!(
            "headers of no signals are left out: {}, the first is {}",
            silent.len(),
            item(first).name
        );
        listing.remarks.push(Remark::note(text));
    }
    Ok(listing)
}

/// The one recording at `path`.
pub fn one(path: &Path) -> Listing {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut listing = Listing {
        items: vec![Item { path: path.to_path_buf(), name, ..Item::default() }],
        ..Listing::default()
    };
    listing.split_as_mit_bih();
    listing
}

fn is_header(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "hea")
}

/// The words of a header's first line; only its start is read.
fn first_line(path: &Path) -> Vec<String> {
    use std::io::Read;
    let mut start = Vec::new();
    let read = files::open(path).map(|file| file.take(4096).read_to_end(&mut start));
    let text = String::from_utf8_lossy(&start);
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    let words = first.filter(|_| read.is_ok()).unwrap_or_default().split_whitespace();
    words.map(str::to_string).collect()
}

fn has_segments(path: &Path) -> bool {
    first_line(path).first().is_some_and(|name| name.contains('/'))
}

/// Whether a header is of more than annotations, as two of the Atrial Fibrillation Database are.
fn has_signals(path: &Path) -> bool {
    first_line(path).get(1).is_none_or(|count| count != "0")
}

fn collect(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(Error::io(&path))?;
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
        if kind.is_dir() && depth < MAX_DEPTH {
            collect(&path, depth + 1, paths)?;
        } else if !kind.is_dir() && ENDINGS.contains(&ending.as_str()) {
            paths.push(path);
        }
        if paths.len() > MAX_FILES {
            let found = format!("more than {MAX_FILES} recordings");
            return Err(Error::input(folder.display(), "folder", found, "a folder of fewer"));
        }
    }
    Ok(())
}

/// Tables below a folder, in the order of names, as far as it can be read.
fn tables_below(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    let mut tables = Vec::new();
    for path in entries {
        if path.is_dir() && depth < MAX_DEPTH {
            tables.extend(tables_below(&path, depth + 1));
        } else if path.is_file() && table::is_table(&path) {
            tables.push(path);
        }
        if tables.len() > MAX_FILES {
            break;
        }
    }
    tables
}

impl Listing {
    /// Records that are called as those of MIT-BIH are split as de Chazal et al. 2004 split them.
    fn split_as_mit_bih(&mut self) {
        let split = |item: &Item| item.name.parse::<u16>().ok().and_then(beats::split_of);
        let splits: Option<Vec<&str>> = self.items.iter().map(split).collect();
        let Some(splits) = splits else { return };
        for (item, split) in self.items.iter_mut().zip(splits) {
            item.split = Some(split.to_string());
        }
        self.remarks.push(Remark::note(
            "records have the numbers of MIT-BIH: split by patient as de Chazal et al. 2004 did (DS1 train and val, DS2 test)",
        ));
    }

    /// Whether something says which split an item belongs to.
    pub fn is_split(&self) -> bool {
        self.items.iter().any(|item| item.split.is_some())
    }
}

/// Usual names of a column of records. PTB-XL's 100 Hz come first: they are an hour's download less.
const PATHS: [&str; 11] = [
    "filename_lr",
    "filename_hr",
    "path",
    "record",
    "file",
    "filename",
    "file_name",
    "record_name",
    "ecg_path",
    "ecg_id",
    "id",
];
const PATIENTS: [&str; 4] = ["patient_id", "patient", "subject_id", "subject"];
const SPLITS: [&str; 3] = ["split", "strat_fold", "set"];

/// The recordings that the CSV at `path` lists, with their labels; without any where annotations have them (`labelled` is false) and no column does.
///
/// # Errors
/// A CSV that cannot be read; columns that are not there; labels, splits or files that are none.
pub fn list(path: &Path, columns: &ListColumns, labelled: bool) -> Result<Listing> {
    let mut table = List::read(path)?;
    let mut remarks = Vec::new();
    let folder =
        columns.folder.clone().unwrap_or_else(|| path.parent().unwrap_or(Path::new("")).to_path_buf());
    if table.begins_with_a_record(&folder) {
        table.name_columns();
        remarks.push(Remark::note(format!(
            "the first line is a record's: the columns are called {}",
            table.names.join(", ")
        )));
    }
    let all = || table.names.join(", ");
    let files = table.column(path, "path", columns.path.as_deref(), &PATHS)?.ok_or_else(|| {
        let expected = "records = { csv = \"FILE.csv\", path = \"COLUMN\", labels = \"COLUMN\" }";
        Error::input(path.display(), "columns", format!("{}: none is called path or record", all()), expected)
    })?;
    if columns.path.is_none() {
        remarks.push(Remark::note(format!("column `{}` names the records", table.names[files])));
    }
    let patients = table.column(path, "patient", columns.patient.as_deref(), &PATIENTS)?;
    let splits = table.column(path, "split", columns.split.as_deref(), &SPLITS)?;
    let splits = splits.map(|at| split_names(path, &table, at, &columns.splits, &mut remarks)).transpose()?;
    let mut items = Vec::new();
    let mut seen = HashSet::new();
    for (row, cells) in table.rows.iter().enumerate() {
        let name = &cells[files];
        if name.is_empty() || !seen.insert(name) {
            let found = if name.is_empty() { "nothing".into() } else { format!("`{name}` again") };
            let place = format!("row {}, column `{}`", row + 1, table.names[files]);
            return Err(Error::input(path.display(), place, found, "a record, each once"));
        }
        let other = |name: &str| table.names.iter().position(|own| own.eq_ignore_ascii_case(name));
        let columns = ["sex", "age", "site", "device"]
            .into_iter()
            .filter_map(|name| Some((name.to_string(), cells[other(name)?].clone())))
            .collect();
        items.push(Item {
            path: with_ending(&folder.join(name)),
            name: name.clone(),
            patient: patients.map(|at| cells[at].clone()).filter(|patient| !patient.is_empty()),
            split: splits.as_ref().and_then(|splits| splits[row].clone()),
            columns,
        });
    }
    let known =
        labelled || !columns.labels.is_empty() || table.column(path, "labels", None, &LABELS)?.is_some();
    let labels = known.then(|| labels(path, &table, columns, &mut remarks)).transpose()?;
    Ok(Listing { items, labels, files: vec![path.to_path_buf()], remarks })
}

/// Whether a CSV lists recordings: PTB-XL's own, or one of its making.
pub fn is_list(path: &Path) -> bool {
    use std::io::Read;
    let mut start = Vec::new();
    let read = files::open(path).map(|file| file.take(1 << 16).read_to_end(&mut start));
    let text = String::from_utf8_lossy(&start);
    let first = text.lines().next().unwrap_or_default();
    read.is_ok()
        && first
            .split([',', ';', '\t'])
            .any(|name| ["filename_lr", "filename_hr"].contains(&name.trim_matches('"')))
}

/// SNOMED codes of a header's comments: `Dx: 426783006,164889003`.
pub fn diagnoses(comments: &[String]) -> Option<BTreeSet<String>> {
    let codes = comments.iter().find_map(|line| {
        let (key, codes) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case("dx").then_some(codes)
    })?;
    Some(codes.split(',').map(|code| code.trim().to_string()).filter(|code| !code.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn diagnoses_are_codes_of_a_comment() {
        let set = |names: &[&str]| Some(names.iter().map(|name| name.to_string()).collect::<BTreeSet<_>>());
        assert_eq!(
            diagnoses(&["Age: 74".into(), "Dx: 59118001, 426783006".into()]),
            set(&["426783006", "59118001"])
        );
        assert_eq!(diagnoses(&["Age: 74".into()]), None);
    }
}
