//! The results folder of a sweep: parts while it runs, one file a shard a table when it is done.
//!
//! A part is three files, written in the order `samples`, `metrics`, `cells`, each under a temporary name, synced
//! and renamed. A cell is finished exactly when its `cells` row is in a whole part or in the shard's file, so a kill
//! at any moment loses only the cells that were not yet in a part, and never leaves a half-written `.parquet`.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::clearing::{
    check_columns, check_complete, put_aside_damaged, remove_compacted, remove_leftovers, remove_orphans,
    remove_parts,
};
use super::hold::{Hold, StudyText, try_lock};
use super::joint::{check_finished, lock_cells};
use super::records::{CellRow, MetricRow, RunRow, SampleRow};
use super::schema::Row;
use super::settle::{Settling, cells_of, needs_settling};
use super::shard::Shard;
use super::sources::{
    Homes, Kind, Source, discover, finished_shards, look_again, names, parts_folder, parts_of,
    shards_with_parts,
};
use super::table_file::{PASSING, batches_of, publish, write_rows, write_temporary};
use super::text::Text;
use crate::{Error, Result};

/// A part is written when so many sample rows wait ...
const PART_ROWS: usize = 16_384;
/// ... or the oldest waiting cell is so old: what a kill can lose.
const PART_AGE: Duration = Duration::from_secs(1);
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
    /// Rows in `samples` and `metrics` of the cells that this process wrote.
    written: HashMap<Text, [usize; 2]>,
    hold: Hold,
}

impl Store {
    /// Opens (or creates) `dir` for one shard of a study, and clears what a killed run left half done.
    ///
    /// # Errors
    /// [`Error::Input`] where the folder holds another study or another process holds the shard; [`Error::Io`] naming
    /// the file where the system refuses.
    pub fn open(dir: &Path, study: &StudyText, shard: Shard) -> Result<Self> {
        let hold = Hold::take(dir, study, shard)?;
        // Else what looks left over may be another shard's rewriting of our flags, or what goes is just being read.
        let writing = lock_cells(dir)?;
        remove_leftovers(dir, shard)?;
        put_aside_damaged(dir, shard)?;
        remove_orphans(dir)?;
        check_complete(dir)?;
        let homes = finished_cells(dir)?;
        check_columns(&homes.sources)?;
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
            written: HashMap::new(),
            hold,
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
        self.hold.renew()?;
        let folder = parts_folder(&self.dir, self.shard);
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let part = Source { folder, kind: Kind::Part(self.next_part) };
        for step in PART_STEPS {
            self.pending.step(&part, step)?;
        }
        for (id, rows) in self.pending.counts() {
            self.written.insert(id, rows);
        }
        self.pending.clear();
        self.next_part += 1;
        Ok(())
    }

    /// Looks at the folder: which of `cells` are not in it, or lack rows that this process wrote.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn missing(&self, cells: &[Text]) -> Result<Vec<Text>> {
        if !self.dir.is_dir() {
            return Ok(cells.to_vec());
        }
        let _writing = lock_cells(&self.dir)?;
        look_again(|| {
            let whole = discover(&self.dir)?.into_iter().filter(Source::is_complete).collect();
            let homes = Homes::of(whole)?;
            let [samples, metrics] = [homes.places::<SampleRow>()?, homes.places::<MetricRow>()?];
            let is_there = |cell: &Text| {
                let rows = || [samples.rows_of(cell), metrics.rows_of(cell)];
                homes.contains(cell) && self.written.get(cell).is_none_or(|written| *written == rows())
            };
            Ok(cells.iter().filter(|cell| !is_there(cell)).cloned().collect())
        })
    }

    /// Merges the parts into one file a table, rows in the order of `plan` (ids of the study's cells, of all shards),
    /// checks the cells of all finished shards against each other, and removes the parts. Parts of other shards that no
    /// process works on any more are taken in; what another shard's file has is left out, so that a cell stands in one file
    /// alone. Cells that the plan lacks, those of an earlier model or data set, move to `retired/`; from other finished
    /// shards, too, unless a process holds them. Returns how many moved. Where there is nothing new, nothing is rewritten.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file; the parts then remain and the same call may be made again.
    pub fn finish(&mut self, plan: &[Text]) -> Result<usize> {
        self.flush()?;
        self.pending = Pending::default();
        self.hold.renew()?;
        // Who reads many files holds this lock, too, so that none changes while it is read.
        let _writing = lock_cells(&self.dir)?;
        let left = self.left_behind()?;
        let mut parts = parts_of(&self.dir, self.shard)?;
        for (shard, _held) in &left {
            remove_leftovers(&self.dir, *shard)?;
            parts.extend(parts_of(&self.dir, *shard)?);
        }
        let mut elsewhere = HashSet::new();
        for other in self.others()? {
            elsewhere.extend(cells_of(&other)?);
        }
        let mut retired = Settling::new(&self.dir, self.shard, parts, plan, &elsewhere)?.run()?;
        remove_parts(&self.dir, self.shard)?;
        left.iter().try_for_each(|(shard, _held)| remove_parts(&self.dir, *shard))?;
        drop(left);
        retired += self.settle_others(plan)?;
        // After a kill just above, too: what the flags say does not depend on who finished when.
        check_finished(&self.dir)?;
        Ok(retired)
    }

    /// Shards with parts that no process works on any more, each held.
    fn left_behind(&self) -> Result<Vec<(Shard, File)>> {
        let mut left = Vec::new();
        for shard in shards_with_parts(&self.dir)?.into_iter().filter(|shard| *shard != self.shard) {
            left.extend(try_lock(&self.dir, shard)?.map(|held| (shard, held)));
        }
        Ok(left)
    }

    /// The finished files of all other shards.
    fn others(&self) -> Result<Vec<Source>> {
        let mut others = finished_shards(&self.dir)?;
        others.retain(|other| other.kind != Kind::Shard(self.shard));
        Ok(others)
    }

    /// Takes out of other shards' files what the plan lacks and what stands in an earlier file; how many cells were put aside.
    fn settle_others(&self, plan: &[Text]) -> Result<usize> {
        let (mut seen, mut retired) = (HashSet::new(), 0);
        for other in self.others()? {
            let Kind::Shard(shard) = other.kind else { continue };
            // A process that holds the shard does this when it finishes.
            if needs_settling(&other, plan, &seen)?
                && let Some(_held) = try_lock(&self.dir, shard)?
            {
                retired += Settling::new(&self.dir, shard, Vec::new(), plan, &seen)?.run()?;
            }
            seen.extend(cells_of(&other)?);
        }
        Ok(retired)
    }

    /// Records this invocation in a file of its own.
    pub fn record_run(&mut self, run: &RunRow) -> Result<()> {
        self.hold.renew()?;
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
    /// For each cell how many rows it has in `samples` and in `metrics`.
    fn counts(&self) -> HashMap<Text, [usize; 2]> {
        let none = |cell: &CellRow| (cell.cell_id.clone(), [0; 2]);
        let mut counts: HashMap<Text, [usize; 2]> = self.cells.iter().map(none).collect();
        let samples = self.samples.iter().map(|row| (&row.cell_id, 0));
        for (id, table) in samples.chain(self.metrics.iter().map(|row| (&row.cell_id, 1))) {
            if let Some(counts) = counts.get_mut(id) {
                counts[table] += 1;
            }
        }
        counts
    }

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

/// The finished cells of every shard in the folder.
fn finished_cells(dir: &Path) -> Result<Homes> {
    look_again(|| Homes::of(discover(dir)?))
}

#[cfg(test)]
mod damage;
#[cfg(test)]
mod earlier;
#[cfg(test)]
mod flags_across;
#[cfg(test)]
mod full_disks;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod mixtures;
#[cfg(test)]
mod tests;
