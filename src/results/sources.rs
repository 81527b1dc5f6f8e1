//! The files of a results folder that hold rows, and where in them each cell's rows lie.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::places::{Place, Places};
use super::records::{CellRow, MetricRow, SampleRow};
use super::schema::Row;
use super::shard::Shard;
use super::table_file::cell_ranges;
use super::text::Text;
use crate::{Error, Result};

/// The three tables that a sweep writes, in the order in which they are published: `cells` last, since a cell
/// counts as finished exactly when its row there can be read.
pub(super) const TABLES: [&str; 3] = [SampleRow::TABLE, MetricRow::TABLE, CellRow::TABLE];

/// Three files that belong together: a finished shard's, or one part's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    /// Folder of the files.
    pub(super) folder: PathBuf,
    /// The shard whose finished file this is, or a part's number.
    pub(super) kind: Kind,
}

/// What a [`Source`] is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// `TABLE-I-of-N.parquet` in the results folder.
    Shard(Shard),
    /// `NNNNNN.TABLE.parquet` in a shard's parts folder.
    Part(u64),
}

impl Source {
    /// The file of one table.
    pub(super) fn file(&self, table: &str) -> PathBuf {
        self.folder.join(match self.kind {
            Kind::Shard(shard) => format!("{table}-{}.parquet", shard.stem()),
            Kind::Part(number) => format!("{number:06}.{table}.parquet"),
        })
    }

    /// Whether all three files are there.
    pub(super) fn is_complete(&self) -> bool {
        TABLES.iter().all(|table| self.file(table).is_file())
    }
}

/// The folder of a shard's parts.
pub(super) fn parts_folder(dir: &Path, shard: Shard) -> PathBuf {
    dir.join("parts").join(format!("shard-{}", shard.stem()))
}

/// File names in `folder`, sorted; none where there is no such folder.
pub(super) fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(folder)(e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        // A name that is not UTF-8 is none of ours.
        names.extend(entry.map_err(Error::io(folder))?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// The number of the part that the file `name` belongs to.
pub(super) fn part_number(name: &str) -> Option<u64> {
    let (number, rest) = name.split_once('.')?;
    let known = TABLES.iter().any(|t| rest.strip_prefix(t).is_some_and(|e| e == ".parquet" || e == ".tmp"));
    number.parse().ok().filter(|_| known)
}

/// The shards that have a finished file of this table, in order.
pub(super) fn shards_with(dir: &Path, table: &str) -> Result<Vec<Source>> {
    let shard = |name: &String| {
        Shard::from_stem(name.strip_prefix(table)?.strip_prefix('-')?.strip_suffix(".parquet")?)
    };
    let mut shards: Vec<Shard> = names(dir)?.iter().filter_map(shard).collect();
    shards.sort_by_key(|shard| (shard.count(), shard.index()));
    let source = |shard| Source { folder: dir.to_path_buf(), kind: Kind::Shard(shard) };
    Ok(shards.into_iter().map(source).collect())
}

/// The finished shards of the folder, in order.
pub(super) fn finished_shards(dir: &Path) -> Result<Vec<Source>> {
    shards_with(dir, CellRow::TABLE)
}

/// The files of the folder that record invocations, by name.
pub(super) fn run_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let is_run = |name: &&String| name.starts_with("runs-") && name.ends_with(".parquet");
    Ok(names(dir)?.iter().filter(is_run).map(|name| dir.join(name)).collect())
}

/// A line about Parquet files that lie in the folder and are none of a sweep's, if there are any: whoever reads all files named so reads their
/// rows, too.
///
/// # Errors
/// A folder that cannot be listed.
pub fn others_told(dir: &Path) -> Result<Option<String>> {
    let is_own = |name: &String| {
        let stem = name.trim_end_matches(".parquet");
        let shard = |table: &&str| stem.strip_prefix(*table).and_then(|rest| rest.strip_prefix('-'));
        let of_shard = TABLES.iter().find_map(shard).is_some_and(|stem| Shard::from_stem(stem).is_some());
        let run = stem.strip_prefix("runs-").and_then(|rest| rest.rsplit_once('-'));
        let of_run = run.is_some_and(|(shard, number)| {
            Shard::from_stem(shard).is_some() && number.bytes().all(|digit| digit.is_ascii_digit())
        });
        of_shard || of_run || ["curves", "seeds"].contains(&stem)
    };
    let others: Vec<String> = names(dir)?
        .into_iter()
        .filter(|name| name.ends_with(".parquet") && !name.starts_with('.') && !is_own(name))
        .collect();
    let about = "which no sweep wrote: whoever reads cells-*.parquet and the like counts the rows of a copy twice; move it out";
    Ok((!others.is_empty()).then(|| format!("{}: {}, {about}", dir.display(), others.join(", "))))
}

/// Every source of the folder that holds finished cells: finished shards first, then parts in order.
pub(super) fn discover(dir: &Path) -> Result<Vec<Source>> {
    let mut sources = finished_shards(dir)?;
    for shard in shards_with_parts(dir)? {
        sources.extend(parts_of(dir, shard)?);
    }
    Ok(sources)
}

/// The shards that have a folder of parts, in order.
pub(super) fn shards_with_parts(dir: &Path) -> Result<Vec<Shard>> {
    let folders = names(&dir.join("parts"))?;
    let mut shards: Vec<Shard> =
        folders.iter().filter_map(|name| Shard::from_stem(name.strip_prefix("shard-")?)).collect();
    shards.sort_by_key(|shard| (shard.count(), shard.index()));
    Ok(shards)
}

/// The parts of a shard whose `cells` file is there, in order.
pub(super) fn parts_of(dir: &Path, shard: Shard) -> Result<Vec<Source>> {
    parts_in(&parts_folder(dir, shard))
}

/// The parts in `folder` whose `cells` file is there, in order.
pub(super) fn parts_in(folder: &Path) -> Result<Vec<Source>> {
    let mut numbers: Vec<u64> = names(folder)?
        .iter()
        .filter(|name| name.ends_with(".cells.parquet"))
        .filter_map(|name| part_number(name))
        .collect();
    numbers.sort_unstable();
    Ok(numbers.into_iter().map(|n| Source { folder: folder.to_path_buf(), kind: Kind::Part(n) }).collect())
}

/// Reads again where files vanished between listing and reading: a process that finished removed its parts.
pub(super) fn look_again<T>(read: impl Fn() -> Result<T>) -> Result<T> {
    const TRIES: usize = 5;
    for _ in 1..TRIES {
        match read() {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    read()
}

/// Which source each finished cell is read from, in the sources' order.
pub(super) struct Homes {
    /// The sources.
    pub(super) sources: Vec<Source>,
    /// Finished cells in file order.
    pub(super) cells: Vec<Text>,
    home: HashMap<Text, usize>,
}

impl Homes {
    /// Reads the ids of every source's cells; a cell that several hold (a kill while compacting) is read from the first.
    pub(super) fn of(sources: Vec<Source>) -> Result<Self> {
        let (mut cells, mut home) = (Vec::new(), HashMap::new());
        for (i, source) in sources.iter().enumerate() {
            for (cell, _) in cell_ranges::<CellRow>(&source.file(CellRow::TABLE))? {
                home.entry(cell.clone()).or_insert_with(|| {
                    cells.push(cell);
                    i
                });
            }
        }
        Ok(Self { sources, cells, home })
    }

    /// Whether the cell is finished.
    pub(super) fn contains(&self, cell: &str) -> bool {
        self.home.contains_key(cell)
    }

    /// The position of the source that the cell is read from.
    pub(super) fn home(&self, cell: &str) -> Option<usize> {
        self.home.get(cell).copied()
    }

    /// Leaves out every cell that is not among `cells`.
    pub(super) fn retain(&mut self, cells: &[Text]) {
        let kept: HashSet<&Text> = cells.iter().collect();
        self.cells.retain(|cell| kept.contains(cell));
        self.home.retain(|cell, _| kept.contains(cell));
    }

    /// Whether any cell is read from the source at `position`.
    pub(super) fn is_home(&self, position: usize) -> bool {
        self.home.values().any(|home| *home == position)
    }

    /// Where in the table `R` each cell's rows lie.
    pub(super) fn places<R: Row>(&self) -> Result<Places> {
        let mut places: HashMap<Text, Vec<Place>> = HashMap::new();
        for (i, source) in self.sources.iter().enumerate() {
            for (cell, rows) in cell_ranges::<R>(&source.file(R::TABLE))? {
                // The name that is there already serves all tables.
                if let Some((cell, _)) = self.home.get_key_value(&cell).filter(|(_, home)| **home == i) {
                    places.entry(cell.clone()).or_default().push(Place { source: i, rows });
                }
            }
        }
        Ok(Places::new(self.sources.iter().map(|s| s.file(R::TABLE)).collect(), places))
    }
}
