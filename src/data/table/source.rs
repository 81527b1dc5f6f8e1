//! Where a table lies: a file by its ending, or a folder of parts as Spark writes it.

use std::path::{Path, PathBuf};

use super::{Raw, Reading, Table, Wanted, csv, parquet};
use crate::data::npz::file_sha256;
use crate::data::subset::sha256;
use crate::memory::Room;
use crate::{Error, Result};

/// Endings of texts that are read as CSV; each may be followed by `.gz`.
const TEXTS: [&str; 4] = ["csv", "tsv", "tab", "txt"];
/// Endings of Parquet files.
const PARQUET: [&str; 2] = ["parquet", "pq"];
/// The largest text that is read whole, in bytes.
const MAX_TEXT: u64 = 4 << 30;
/// Bytes of memory for each of a text: itself, its cells and the numbers that they become (measured: 4.2).
pub(super) const IN_MEMORY: u64 = 5;
/// More parts than this are refused.
const MAX_PARTS: usize = 100_000;

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Text,
    Parquet,
}

fn format_of(path: &Path) -> Option<Format> {
    let name = path.file_name()?.to_str()?.to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let (_, ending) = name.rsplit_once('.')?;
    if TEXTS.contains(&ending) {
        Some(Format::Text)
    } else {
        PARQUET.contains(&ending).then_some(Format::Parquet)
    }
}

/// Whether a path is a table by its ending, or a folder of parts of one.
pub fn is_table(path: &Path) -> bool {
    if path.is_dir() {
        partition(path, 0).is_some() || parts(path).is_ok_and(|parts| !parts.is_empty())
    } else {
        format_of(path).is_some()
    }
}

/// The format of the first part below folders that are called `KEY=VALUE`, and such a folder.
fn partition(folder: &Path, depth: usize) -> Option<(Format, String)> {
    /// More keys than a table has.
    const DEEPEST: usize = 8;
    let below = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let below: Vec<PathBuf> = below.collect();
    let named = |path: &Path| path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_string();
    let own = below.iter().filter(|path| path.is_file() && depth > 0).find_map(|path| format_of(path));
    if let Some(format) = own {
        return Some((format, named(folder)));
    }
    let keyed = below.iter().filter(|path| depth < DEEPEST && named(path).contains('=') && path.is_dir());
    let first = keyed.min()?;
    partition(first, depth + 1).map(|(format, _)| (format, named(first)))
}

/// What makes one table of a folder of partitions, keys among its columns; texts stay as they are written.
fn joined(folder: &Path, format: Format) -> String {
    let name = folder.display();
    match format {
        Format::Parquet => format!(
            "one table: python -c 'import pandas; pandas.read_parquet(\"{name}\").to_parquet(\"{name}.parquet\")', and path = \"{name}.parquet\""
        ),
        Format::Text => format!(
            "one table: python -c 'import pandas, pathlib; pandas.concat(pandas.read_csv(f, dtype=str).assign(**dict(p.split(\"=\", 1) for p in \
             f.parts if \"=\" in p)) for f in sorted(pathlib.Path(\"{name}\").rglob(\"*.csv\"))).to_csv(\"{name}.csv\", index=False)', and \
             path = \"{name}.csv\""
        ),
    }
}

/// The spec beside a table: `cohort.toml` beside `cohort.csv`, `cohort.tsv.gz` or the folder `cohort.parquet`.
pub fn spec_path(table: &Path) -> PathBuf {
    let gz = table.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
    let table = if gz { table.with_extension("") } else { table.to_path_buf() };
    if table.is_dir() && format_of(&table).is_none() {
        let mut name = table.file_name().unwrap_or_default().to_os_string();
        name.push(".toml");
        return table.with_file_name(name);
    }
    table.with_extension("toml")
}

/// The parts of a table in a folder, by name; what begins with `_` or `.` is none.
fn parts(folder: &Path) -> Result<Vec<PathBuf>> {
    if let Some((format, name)) = partition(folder, 0) {
        return Err(Error::input(
            folder.display(),
            "folder",
            format!("the partition `{name}`"),
            joined(folder, format),
        ));
    }
    let mut parts = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = entry.map_err(Error::io(folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(['_', '.']) {
            continue;
        }
        let format = format_of(&path).filter(|_| path.is_file());
        if format == Some(Format::Parquet) || (name.starts_with("part-") && format.is_some()) {
            parts.push(path);
        }
        if parts.len() > MAX_PARTS {
            return Err(Error::input(folder.display(), "parts", format!("more than {MAX_PARTS}"), "fewer"));
        }
    }
    parts.sort();
    Ok(parts)
}

/// See [`Table::read_columns`].
pub(super) fn read(path: &Path, delimiter: Option<char>, reading: &Reading, wanted: Wanted) -> Result<Table> {
    if std::fs::metadata(path).map_err(Error::io(path))?.is_dir() {
        return read_parts(path, delimiter, reading, wanted);
    }
    let (sum, raw) = read_file(path, delimiter, reading.room, wanted)?;
    Table::new(path.display().to_string(), sum, raw, reading)
}

fn read_file(path: &Path, delimiter: Option<char>, room: Room, wanted: Wanted) -> Result<(String, Raw)> {
    match format_of(path) {
        Some(Format::Parquet) => Ok((file_sha256(path)?, parquet::read(path, room, wanted)?)),
        Some(Format::Text) => {
            room.afford_file(path, IN_MEMORY, "")?;
            let bytes = crate::files::read_bytes(path, MAX_TEXT)?;
            Ok((sha256(&bytes), csv::read(&path.display().to_string(), &bytes, delimiter, room, wanted)?))
        }
        None => {
            let expected = "csv, tsv, txt (each also .gz) or parquet";
            Err(Error::input(path.display(), "file ending", "another one", expected))
        }
    }
}

fn read_parts(folder: &Path, delimiter: Option<char>, reading: &Reading, wanted: Wanted) -> Result<Table> {
    let mut sums = String::new();
    let mut whole: Option<Raw> = None;
    let parts = parts(folder)?;
    for part in &parts {
        let (sum, raw) = read_file(part, delimiter, reading.room, wanted)?;
        sums += &sum;
        match &mut whole {
            None => whole = Some(raw),
            // Spark writes parts without rows.
            Some(whole) if raw.names == whole.names => {
                for (cells, more) in whole.cells.iter_mut().zip(raw.cells) {
                    let name = || format!("column in {}", part.display());
                    cells.append(more).map_err(|found| {
                        Error::input(folder.display(), name(), found, "its type in the first part")
                    })?;
                }
            }
            Some(whole) => {
                let expected = format!("the columns of the first part: {}", whole.names.join(", "));
                return Err(Error::input(part.display(), "columns", raw.names.join(", "), expected));
            }
        }
    }
    let Some(mut raw) = whole else {
        let expected = "a file, or a folder of parts (part-*.parquet, part-*.csv)";
        return Err(Error::input(folder.display(), "table", "a folder without parts of a table", expected));
    };
    raw.remarks
        .push(crate::data::Remark::note(format!("{} parts, in the order of their names", parts.len())));
    Table::new(folder.display().to_string(), sha256(sums.as_bytes()), raw, reading)
}
