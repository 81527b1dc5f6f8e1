//! The results folder of a sweep: parts while it runs, one file a shard a table when it is done.
//!
//! A part is three files, written in the order `samples`, `metrics`, `cells`, each under a temporary name, synced
//! and renamed. A cell is finished exactly when its `cells` row is in a whole part or in the shard's file, so a kill
//! at any moment loses only the cells that were not yet in a part, and never leaves a half-written `.parquet`.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::joint::{check_finished, lock_cells};
use super::records::{CellRow, MetricRow, RunRow, SampleRow};
use super::schema::Row;
use super::settle::{Settling, is_stale};
use super::shard::Shard;
use super::sources::{
    Homes, Kind, Source, TABLES, discover, finished_shards, look_again, names, part_number, parts_folder,
    parts_of,
};
use super::table_file::{
    PASSING, batches_of, is_whole, publish, sync_folder, temporary, write_rows, write_temporary,
};
use super::text::Text;
use crate::{Error, Result};

/// A part is written when so many sample rows wait ...
const PART_ROWS: usize = 16_384;
/// ... or the oldest waiting cell is so old: what a kill can lose.
const PART_AGE: Duration = Duration::from_secs(1);
/// The study that a folder belongs to.
const STUDY_FILE: &str = "study.resolved.toml";
/// What the first line of [`STUDY_FILE`] begins with.
const STUDY_MARK: &str = "# percuss study, sha256 ";

/// The resolved study that a folder belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyText {
    /// Its name.
    pub name: String,
    /// Its complete text, as TOML.
    pub text: String,
}

impl StudyText {
    /// SHA-256 of the text, in hexadecimal.
    pub fn sha256(&self) -> String {
        Sha256::digest(self.text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Cells that are computed and not yet in a part.
#[derive(Default)]
struct Pending {
    cells: Vec<CellRow>,
    metrics: Vec<MetricRow>,
    samples: Vec<SampleRow>,
    since: Option<Instant>,
}

/// One process's hold on one shard of a results folder.
pub struct Store {
    dir: PathBuf,
    shard: Shard,
    finished: HashSet<Text>,
    next_part: u64,
    pending: Pending,
    // Held until the store is dropped; the system releases it when the process dies.
    _lock: File,
}

impl Store {
    /// Opens (or creates) `dir` for one shard of a study, and clears what a killed run left half done.
    ///
    /// # Errors
    /// [`Error::Input`] where the folder holds another study or another process holds the shard; [`Error::Io`] naming
    /// the file where the system refuses.
    pub fn open(dir: &Path, study: &StudyText, shard: Shard) -> Result<Self> {
        fs::create_dir_all(dir).map_err(Error::io(dir))?;
        claim(dir, study)?;
        let lock = lock(dir, shard)?;
        // Else what looks left over may be another shard's rewriting of our flags, or what goes is just being read.
        let writing = lock_cells(dir)?;
        remove_leftovers(dir, shard)?;
        let homes = finished_cells(dir)?;
        remove_compacted(dir, shard, &homes)?;
        drop(writing);
        let next_part = parts_of(dir, shard)?.last().map_or(0, |part| match part.kind {
            Kind::Part(number) => number + 1,
            Kind::Shard(_) => 0,
        });
        let finished = homes.cells.into_iter().collect();
        Ok(Self {
            dir: dir.to_path_buf(),
            shard,
            finished,
            next_part,
            pending: Pending::default(),
            _lock: lock,
        })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Ids of the cells that need not run again, of every shard in the folder.
    pub fn finished(&self) -> &HashSet<Text> {
        &self.finished
    }

    /// Adds a finished cell; it is on disk at the latest after the next [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`Error::Failed`] where a row belongs to another cell or the cell was finished before; else as `flush`.
    pub fn push(
        &mut self,
        cell: CellRow,
        metrics: Vec<MetricRow>,
        mut samples: Vec<SampleRow>,
    ) -> Result<()> {
        let id = cell.cell_id.clone();
        if metrics.iter().any(|m| m.cell_id != id) || samples.iter().any(|s| s.cell_id != id) {
            return Err(Error::Failed(format!("cell {id}: a row of another cell was handed in with it")));
        }
        if !self.finished.insert(id.clone()) {
            return Err(Error::Failed(format!("cell {id} was finished before")));
        }
        samples.sort_by_key(|row| row.sample);
        self.pending.cells.push(cell);
        self.pending.metrics.extend(metrics);
        self.pending.samples.extend(samples);
        let since = *self.pending.since.get_or_insert_with(Instant::now);
        if self.pending.samples.len() >= PART_ROWS || since.elapsed() >= PART_AGE {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes the waiting cells as one part.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file; the cells stay waiting, so that a later flush may succeed.
    pub fn flush(&mut self) -> Result<()> {
        if self.pending.cells.is_empty() {
            return Ok(());
        }
        let folder = parts_folder(&self.dir, self.shard);
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let part = Source { folder, kind: Kind::Part(self.next_part) };
        for step in PART_STEPS {
            self.pending.step(&part, step)?;
        }
        self.pending.clear();
        self.next_part += 1;
        Ok(())
    }

    /// Merges the parts into one file a table, rows in the order of `plan` (ids of the study's cells, of all shards),
    /// checks the cells of all finished shards against each other, and removes the parts. Cells that the plan lacks, those
    /// of an earlier model or data set, move to `retired/`; from other finished shards, too, unless a process holds them.
    /// Returns how many moved. Where there is nothing new, nothing is rewritten.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file; the parts then remain and the same call may be made again.
    pub fn finish(&mut self, plan: &[Text]) -> Result<usize> {
        self.flush()?;
        self.pending = Pending::default();
        // Who reads many files holds this lock, too, so that none changes while it is read.
        let _writing = lock_cells(&self.dir)?;
        let parts = parts_of(&self.dir, self.shard)?;
        let mut retired = Settling::new(&self.dir, self.shard, parts, plan)?.run()?;
        remove_parts(&self.dir, self.shard)?;
        for other in finished_shards(&self.dir)? {
            let Kind::Shard(shard) = other.kind else { continue };
            if shard == self.shard || !is_stale(&other, plan)? {
                continue;
            }
            // A process that holds the shard does this when it finishes.
            if let Some(_held) = try_lock(&self.dir, shard)? {
                retired += Settling::new(&self.dir, shard, Vec::new(), plan)?.run()?;
            }
        }
        // After a kill just above, too: what the flags say does not depend on who finished when.
        check_finished(&self.dir)?;
        Ok(retired)
    }

    /// Records this invocation in a file of its own.
    pub fn record_run(&self, run: &RunRow) -> Result<()> {
        let stem = format!("{}-{}-", RunRow::TABLE, self.shard.stem());
        let earlier = names(&self.dir)?
            .into_iter()
            .filter_map(|name| name.strip_prefix(&stem)?.strip_suffix(".parquet")?.parse::<u64>().ok());
        let number = earlier.max().map_or(0, |last| last + 1);
        write_rows(&self.dir.join(format!("{stem}{number:06}.parquet")), std::slice::from_ref(run))
    }
}

/// One step of writing a part: a table, and whether it is written (under its temporary name) or published.
type PartStep = (&'static str, bool);

/// The steps of writing a part, in order; a kill may fall between any two.
const PART_STEPS: [PartStep; 6] = [
    (SampleRow::TABLE, false),
    (SampleRow::TABLE, true),
    (MetricRow::TABLE, false),
    (MetricRow::TABLE, true),
    (CellRow::TABLE, false),
    (CellRow::TABLE, true),
];

impl Pending {
    /// Nothing waits any more; the room stays.
    fn clear(&mut self) {
        self.cells.clear();
        self.metrics.clear();
        self.samples.clear();
        self.since = None;
    }

    /// Takes one step of writing the waiting cells as `part`.
    fn step(&self, part: &Source, (table, publishing): PartStep) -> Result<()> {
        let file = part.file(table);
        if publishing {
            publish(&file)
        } else if table == SampleRow::TABLE {
            write_temporary::<SampleRow>(&file, PASSING, batches_of(&self.samples))
        } else if table == MetricRow::TABLE {
            write_temporary::<MetricRow>(&file, PASSING, batches_of(&self.metrics))
        } else {
            write_temporary::<CellRow>(&file, PASSING, batches_of(&self.cells))
        }
    }
}

/// Makes `dir` the study's own, or checks that it is.
fn claim(dir: &Path, study: &StudyText) -> Result<()> {
    let path = dir.join(STUDY_FILE);
    if !path.exists() {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".study-").suffix(".tmp");
        // A temporary file is private by default; this one becomes as readable as the umask lets any file be.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(dir).map_err(Error::io(&path))?;
        let text = format!("{STUDY_MARK}{}\n{}", study.sha256(), study.text);
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(Error::io(&path))?;
        match file.persist_noclobber(&path) {
            Ok(_) => sync_folder(dir)?,
            // Another shard was first: the check below decides.
            Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::io(&path)(e.error)),
        }
    }
    let text = crate::files::read_text(&path)?;
    let there = text.split_once('\n').and_then(|(mark, body)| Some((mark.strip_prefix(STUDY_MARK)?, body)));
    let named = |name: &str, hash: &str| format!("study `{name}` ({})", hash.get(..12).unwrap_or(hash));
    let expected = format!("{}; another study needs another --out", named(&study.name, &study.sha256()));
    match there {
        Some((hash, _)) if hash == study.sha256() => Ok(()),
        Some((_, body)) if same_study(body, &study.text) => Ok(()),
        Some((hash, body)) => {
            let name = body.parse::<toml::Table>().ok();
            let name = name.as_ref().and_then(|t| t.get("name")?.as_str()).unwrap_or("unnamed");
            Err(Error::input(path.display(), "name", named(name, hash), expected))
        }
        None => Err(Error::input(path.display(), "line 1", "no study hash", expected)),
    }
}

/// Whether two texts say the same: comments and layout do not count.
fn same_study(a: &str, b: &str) -> bool {
    matches!((a.parse::<toml::Table>(), b.parse::<toml::Table>()), (Ok(a), Ok(b)) if a == b)
}

/// Takes the shard for this process.
fn lock(dir: &Path, shard: Shard) -> Result<File> {
    try_lock(dir, shard)?.ok_or_else(|| {
        Error::input(
            lock_file(dir, shard).display(),
            format!("shard {shard}"),
            "a lock that another percuss process holds",
            "one process a shard",
        )
    })
}

fn lock_file(dir: &Path, shard: Shard) -> PathBuf {
    dir.join(format!(".lock-{}", shard.stem()))
}

/// Takes the shard for this process unless another one holds it.
fn try_lock(dir: &Path, shard: Shard) -> Result<Option<File>> {
    let path = lock_file(dir, shard);
    // Not truncated and never removed: the lock is on the file, not in it.
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(Error::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(Error::io(&path)(e)),
    }
}

/// Removes temporaries and parts that are not whole; the shard must be locked.
fn remove_leftovers(dir: &Path, shard: Shard) -> Result<()> {
    let target = Source { folder: dir.to_path_buf(), kind: Kind::Shard(shard) };
    for table in TABLES {
        remove(&temporary(&target.file(table)))?;
    }
    let folder = parts_folder(dir, shard);
    let found = names(&folder)?;
    for name in found.iter().filter(|n| n.ends_with(".tmp") && part_number(n).is_some()) {
        remove(&folder.join(name))?;
    }
    let numbers: HashSet<u64> = found.iter().filter_map(|name| part_number(name)).collect();
    for number in numbers {
        let part = Source { folder: folder.clone(), kind: Kind::Part(number) };
        if !part_is_whole(&part)? {
            remove_part(&part)?;
        }
    }
    Ok(())
}

/// Whether all three files of a part are there and whole.
fn part_is_whole(part: &Source) -> Result<bool> {
    for table in TABLES {
        let file = part.file(table);
        if !file.exists() || !is_whole(&file)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes a part, `cells` first, so that it stops counting before it loses rows.
fn remove_part(part: &Source) -> Result<()> {
    TABLES.iter().rev().try_for_each(|table| remove(&part.file(table)))
}

/// Removes parts whose every cell is in the shard's file already: a kill came between compacting and removing.
fn remove_compacted(dir: &Path, shard: Shard, homes: &Homes) -> Result<()> {
    for part in parts_of(dir, shard)? {
        let needed = homes.sources.iter().position(|source| *source == part);
        if needed.is_some_and(|i| !homes.is_home(i)) {
            remove_part(&part)?;
        }
    }
    Ok(())
}

/// Removes the shard's parts, and the folders that this leaves empty.
fn remove_parts(dir: &Path, shard: Shard) -> Result<()> {
    for part in parts_of(dir, shard)? {
        remove_part(&part)?;
    }
    for folder in [parts_folder(dir, shard), dir.join("parts")] {
        // Another shard may still have parts there.
        let _ = fs::remove_dir(folder);
    }
    Ok(())
}

/// Removes a file if it is there.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path)(e)),
        _ => Ok(()),
    }
}

/// The finished cells of every shard in the folder.
fn finished_cells(dir: &Path) -> Result<Homes> {
    look_again(|| Homes::of(discover(dir)?))
}

#[cfg(test)]
mod tests;
