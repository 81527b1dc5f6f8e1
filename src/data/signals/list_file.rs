//! The CSV that lists recordings, as it is written.

use std::path::{Path, PathBuf};

use super::recording::ENDINGS;
use crate::{Error, Result, files};

/// The largest list that is read. 1 GiB.
const MAX_BYTES: u64 = 1 << 30;

/// A CSV in memory.
pub(super) struct List {
    pub(super) names: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl List {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = files::read_bytes(path, MAX_BYTES)?;
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => error.as_bytes().iter().map(|&byte| char::from(byte)).collect(),
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let first = text.lines().next().unwrap_or_default();
        let delimiter =
            [b',', b';', b'\t'].into_iter().max_by_key(|&d| first.bytes().filter(|&b| b == d).count());
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter.unwrap_or(b','))
            .has_headers(false)
            .from_reader(text.as_bytes());
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| {
                let expected = "rows of as many columns as the first line has";
                Error::input(path.display(), format!("row {}", rows.len()), error, expected)
            })?;
            rows.push(record.iter().map(|cell| cell.trim().to_string()).collect::<Vec<String>>());
        }
        if rows.len() < 2 {
            return Err(Error::input(
                path.display(),
                "list",
                "no rows",
                "a line of column names, then a record a line",
            ));
        }
        let names = rows.remove(0);
        Ok(Self { names, rows })
    }

    /// Whether its first line names no columns, as in the lists of the PhysioNet challenges: a cell of it is a recording that is there.
    pub(super) fn begins_with_a_record(&self, folder: &Path) -> bool {
        self.names.iter().any(|cell| !cell.is_empty() && with_ending(&folder.join(cell)).is_file())
    }

    /// Takes the first line for a row; two columns are a record and its label, others have their numbers from 1 for names.
    pub(super) fn name_columns(&mut self) {
        let names = match self.names.len() {
            2 => vec!["record".to_string(), "label".to_string()],
            count => (1..=count).map(|number| number.to_string()).collect(),
        };
        self.rows.insert(0, std::mem::replace(&mut self.names, names));
    }

    /// The column that the study names, or the first with a usual name.
    pub(super) fn column(
        &self,
        path: &Path,
        key: &str,
        named: Option<&str>,
        usual: &[&str],
    ) -> Result<Option<usize>> {
        let position = |name: &str| self.names.iter().position(|own| own.eq_ignore_ascii_case(name));
        match named {
            None => Ok(usual.iter().find_map(|name| position(name))),
            Some(name) => position(name).map(Some).ok_or_else(|| {
                let expected = format!("one of {}", self.names.join(", "));
                Error::input(
                    path.display(),
                    format!("records.{key}"),
                    format!("no column `{name}`"),
                    expected,
                )
            }),
        }
    }

    pub(super) fn cells(&self, column: usize) -> impl Iterator<Item = &str> {
        self.rows.iter().map(move |row| row[column].as_str())
    }
}

/// A record is named with or without its ending.
pub(super) fn with_ending(path: &Path) -> PathBuf {
    let known = path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
    match known.as_deref() {
        Some(ending) if ENDINGS.contains(&ending) => path.to_path_buf(),
        Some("dat" | "mat") => path.with_extension("hea"),
        _ => {
            let mut with = |ending: &str| PathBuf::from(format!("{}.{ending}", path.display()));
            ENDINGS.map(&mut with).into_iter().find(|file| file.exists()).unwrap_or_else(|| with("hea"))
        }
    }
}
