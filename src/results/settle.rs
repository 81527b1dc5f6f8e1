//! How a shard comes to rest: cells that the study no longer has are put aside, those that another shard's file has are left out, and
//! its parts become one file a table.
//!
//! Steps, each of which a kill may follow: stale cells go whole to `retired/`; the shard's `cells` file stops naming
//! them and the doubled ones, so that none is read from here when its samples go; then the three tables are written anew.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::clearing::damaged;
use super::company::{Company, held_samples};
use super::flags::mark;
use super::records::{CellRow, MetricRow, SampleRow};
use super::schema::Row;
use super::shard::Shard;
use super::sources::{Homes, Kind, Source, parts_in};
use super::table_file::{lasting, publish, sync_folder, write_rows, write_temporary};
use super::text::Text;
use crate::{Error, Result};

/// A shard that is being settled; the caller holds it and the lock of the folder's finished files.
pub(super) struct Settling {
    dir: PathBuf,
    target: Source,
    homes: Homes,
    /// Planned cells in the plan's order.
    order: Vec<Text>,
    /// Cells that the plan lacks.
    stale: Vec<Text>,
    /// Those of them that are not in `retired/` yet, and where they go.
    retiring: Vec<Text>,
    retired: Source,
    /// Cells that another shard's finished file has.
    doubled: Vec<Text>,
    /// Whether the shard's finished file names stale or doubled cells.
    shrinks: bool,
    needed: bool,
}

/// One step of settling.
pub(super) type Step = fn(&Settling) -> Result<()>;

/// The steps in their order.
pub(super) const STEPS: [Step; 9] = [
    Settling::retire::<SampleRow>,
    Settling::retire::<MetricRow>,
    Settling::retire::<CellRow>,
    Settling::mark,
    Settling::forget_stale,
    Settling::compact::<SampleRow>,
    Settling::compact::<MetricRow>,
    Settling::compact_cells,
    Settling::unmark,
];

impl Settling {
    /// What is to do for the shard's finished file and these parts; `plan` are the ids of the study's cells, `elsewhere` those that other
    /// shards' finished files have.
    pub(super) fn new(
        dir: &Path,
        shard: Shard,
        parts: Vec<Source>,
        plan: &[Text],
        elsewhere: &HashSet<Text>,
    ) -> Result<Self> {
        let target = Source { folder: dir.to_path_buf(), kind: Kind::Shard(shard) };
        let had_file = target.file(CellRow::TABLE).exists();
        let new_rows = !parts.is_empty();
        let homes = Homes::of(had_file.then(|| target.clone()).into_iter().chain(parts).collect())?;
        let Split { order, doubled, stale } = split(&homes, plan, elsewhere);
        let folder = dir.join("retired");
        let earlier = parts_in(&folder)?;
        let number = earlier.last().map_or(0, |last| match last.kind {
            Kind::Part(number) => number + 1,
            Kind::Shard(_) => 0,
        });
        let mut there = Vec::new();
        for part in if stale.is_empty() { Vec::new() } else { earlier } {
            // What changed on a disk there does not count as put aside.
            if damaged(&part)?.is_none() {
                there.push(part);
            }
        }
        let there = Homes::of(there)?;
        let retiring = stale.iter().filter(|cell| !there.contains(cell)).cloned().collect();
        let retired = Source { folder, kind: Kind::Part(number) };
        let shrinks = had_file && stale.iter().chain(&doubled).any(|cell| homes.home(cell) == Some(0));
        let mut settling = Self {
            dir: dir.to_path_buf(),
            target,
            homes,
            order,
            stale,
            retiring,
            retired,
            doubled,
            shrinks,
            needed: true,
        };
        settling.needed = !had_file
            || new_rows
            || !settling.stale.is_empty()
            || settling.shrinks
            || marker(dir, shard).exists();
        Ok(settling)
    }

    /// Takes all steps, none where there is nothing new; how many cells are put aside.
    pub(super) fn run(&self) -> Result<usize> {
        if self.needed {
            STEPS.iter().try_for_each(|step| step(self))?;
        }
        Ok(self.stale.len())
    }

    /// What says that the shard's tables may hold rows of cells that its `cells` file no longer names.
    fn marker(&self) -> PathBuf {
        let Kind::Shard(shard) = self.target.kind else { unreachable!("a target is a shard's file") };
        marker(&self.dir, shard)
    }

    /// Writes one table of the cells that are put aside.
    fn retire<R: Row>(&self) -> Result<()> {
        if self.retiring.is_empty() {
            return Ok(());
        }
        fs::create_dir_all(&self.retired.folder).map_err(Error::io(&self.retired.folder))?;
        self.write::<R>(&self.retired, &self.retiring)
    }

    fn mark(&self) -> Result<()> {
        if !self.shrinks {
            return Ok(());
        }
        let marker = self.marker();
        fs::write(&marker, b"").map_err(Error::io(&marker))?;
        sync_folder(&self.dir)
    }

    /// Rewrites the shard's `cells` without stale and doubled ones, the other tables as they are.
    fn forget_stale(&self) -> Result<()> {
        if !self.shrinks {
            return Ok(());
        }
        let file = Homes::of(vec![self.target.clone()])?;
        let gone: HashSet<&Text> = self.stale.iter().chain(&self.doubled).collect();
        let kept = file.cells.iter().filter(|cell| !gone.contains(cell)).map(Text::as_str);
        let cells: Vec<CellRow> = file.places::<CellRow>()?.rows(kept)?;
        write_rows(&self.target.file(CellRow::TABLE), &cells)
    }

    /// Writes one table of the finished shard.
    fn compact<R: Row>(&self) -> Result<()> {
        self.write::<R>(&self.target, &self.order)
    }

    /// Writes the finished shard's `cells`, checked against each other: they are read once for that, and once more to be written.
    fn compact_cells(&self) -> Result<()> {
        let places = self.homes.places::<CellRow>()?;
        let rows = || places.row_batches::<CellRow>(self.order.iter().map(Text::as_str));
        let mut company = Company::default();
        for batch in rows() {
            batch?.iter().for_each(|cell| company.add(cell));
        }
        let mut fired = company.fired(|cells| held_samples(&self.homes, cells))?.into_iter();
        let checked = rows().map(|batch| {
            let mut cells = batch?;
            cells.iter_mut().zip(&mut fired).for_each(|(cell, fired)| mark(cell, &fired));
            CellRow::to_batch(&cells)
        });
        let file = self.target.file(CellRow::TABLE);
        write_temporary::<CellRow>(&file, lasting(), checked)?;
        publish(&file)
    }

    fn unmark(&self) -> Result<()> {
        match fs::remove_file(self.marker()) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(self.marker())(e)),
            _ => Ok(()),
        }
    }

    /// Writes the rows of `cells` in one table from their sources, streaming.
    fn write<R: Row>(&self, to: &Source, cells: &[Text]) -> Result<()> {
        let file = to.file(R::TABLE);
        let places = self.homes.places::<R>()?;
        write_temporary::<R>(&file, lasting(), places.batches::<R>(cells.iter().map(Text::as_str)))?;
        publish(&file)
    }
}

/// Whether a finished shard's file names cells that the plan lacks or that stand `elsewhere`, or was left while such cells were taken out.
pub(super) fn needs_settling(shard: &Source, plan: &[Text], elsewhere: &HashSet<Text>) -> Result<bool> {
    let Kind::Shard(own) = shard.kind else { return Ok(false) };
    let Split { doubled, stale, .. } = split(&Homes::of(vec![shard.clone()])?, plan, elsewhere);
    Ok(!doubled.is_empty() || !stale.is_empty() || marker(&shard.folder, own).exists())
}

/// The cells that a source names.
pub(super) fn cells_of(source: &Source) -> Result<Vec<Text>> {
    Ok(Homes::of(vec![source.clone()])?.cells)
}

/// What says that a shard's tables may hold rows of cells that its `cells` file no longer names.
fn marker(dir: &Path, shard: Shard) -> PathBuf {
    dir.join(format!(".retiring-{}", shard.stem()))
}

/// Finished cells by what becomes of them.
struct Split {
    /// Those that stay, in the plan's order.
    order: Vec<Text>,
    /// Planned ones that stand elsewhere.
    doubled: Vec<Text>,
    /// Those that the plan lacks, in their own order.
    stale: Vec<Text>,
}

fn split(homes: &Homes, plan: &[Text], elsewhere: &HashSet<Text>) -> Split {
    let mut seen = HashSet::new();
    let planned = plan.iter().filter(|cell| homes.contains(cell) && seen.insert(*cell)).cloned();
    let (doubled, order) = planned.partition(|cell| elsewhere.contains(cell));
    let stale = homes.cells.iter().filter(|cell| !seen.contains(cell)).cloned().collect();
    Split { order, doubled, stale }
}
