//! What is cleared from a results folder before it is worked on: what a kill left half done, and what changed on a disk.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::hold::try_lock;
use super::records::{CellRow, MetricRow, SampleRow};
use super::schema::Row;
use super::shard::Shard;
use super::sources::{
    Homes, Kind, Source, TABLES, finished_shards, names, part_number, parts_folder, parts_of, run_files,
    shards_with, shards_with_parts,
};
use super::table_file::{is_whole, read_batches, sync_folder, temporary};
use crate::telling::tell;
use crate::{Error, Result};

/// Removes temporaries and parts that lack a table: what a kill leaves; the shard must be locked.
pub(super) fn remove_leftovers(dir: &Path, shard: Shard) -> Result<()> {
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
        if !part.is_complete() {
            remove_part(&part)?;
        }
    }
    Ok(())
}

/// Takes out what changed after it was written (a bit on a disk, say), so that its cells run again: a part is removed, a finished shard's
/// tables move to `damaged/`, all three, since a cell needs its rows in each. What another process works on is left to that.
pub(super) fn put_aside_damaged(dir: &Path, own: Shard) -> Result<()> {
    for source in finished_shards(dir)? {
        if let Kind::Shard(shard) = source.kind
            && let Some(file) = damaged(&source)?
            && let Some(_held) = held(dir, shard, own)?
        {
            told(&file, "its shard's tables are now in damaged/, and their cells run again");
            // `cells` first, so that they stop counting before they lose rows.
            TABLES.iter().rev().try_for_each(|table| put_aside(dir, &source.file(table)))?;
        }
    }
    for shard in shards_with_parts(dir)? {
        for part in parts_of(dir, shard)? {
            if let Some(file) = damaged(&part)?
                && let Some(_held) = held(dir, shard, own)?
            {
                told(&file, "removed, and its cells run again");
                remove_part(&part)?;
            }
        }
    }
    for file in run_files(dir)? {
        if !is_whole(&file)? {
            told(&file, "now in damaged/: what it said of a run is lost");
            put_aside(dir, &file)?;
        }
    }
    Ok(())
}

/// The first of a source's files that is there and not as it was written.
pub(super) fn damaged(source: &Source) -> Result<Option<PathBuf>> {
    for file in TABLES.map(|table| source.file(table)) {
        if file.exists() && !is_whole(&file)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// A hold on a shard, for as long as it is kept: this process's own, or one that no other has.
fn held(dir: &Path, shard: Shard, own: Shard) -> Result<Option<Option<File>>> {
    Ok(if shard == own { Some(None) } else { try_lock(dir, shard)?.map(Some) })
}

fn told(file: &Path, what: &str) {
    tell(&format!("{}: changed after it was written: {what}", file.display()));
}

/// Moves a file of the folder to `damaged/`, if it is there.
fn put_aside(dir: &Path, file: &Path) -> Result<()> {
    let folder = dir.join("damaged");
    fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    let Some(name) = file.file_name().filter(|_| file.exists()) else { return Ok(()) };
    fs::rename(file, folder.join(name)).map_err(Error::io(file))?;
    sync_folder(dir)
}

/// Removes finished tables whose shard has no `cells` file: a kill came before that was written, and whoever reads all files would meet
/// their rows again in another shard's, which took in the parts.
pub(super) fn remove_orphans(dir: &Path) -> Result<()> {
    for source in shards_with(dir, SampleRow::TABLE)?.into_iter().chain(shards_with(dir, MetricRow::TABLE)?) {
        if !source.file(CellRow::TABLE).exists() {
            remove(&source.file(SampleRow::TABLE))?;
            remove(&source.file(MetricRow::TABLE))?;
        }
    }
    Ok(())
}

/// Checks that every finished shard has its three files.
pub(super) fn check_complete(dir: &Path) -> Result<()> {
    for shard in finished_shards(dir)? {
        if let Some(table) = TABLES.iter().find(|table| !shard.file(table).is_file()) {
            let (gone, cells) = (shard.file(table), shard.file(CellRow::TABLE));
            return Err(Error::Failed(format!(
                "{}: not there, though {} is: put it back, or remove that file, too, and the same command runs its cells again",
                gone.display(),
                cells.display()
            )));
        }
    }
    Ok(())
}

/// Checks that files of an earlier percuss have every column that must have a value, before hours go into cells that could not join them.
pub(super) fn check_columns(sources: &[Source]) -> Result<()> {
    fn first_row<R: Row>(source: &Source) -> Result<()> {
        let first = std::iter::once(0..1).collect();
        read_batches::<R>(&source.file(R::TABLE), Some(first))?.try_for_each(|batch| batch.map(drop))
    }
    sources.iter().try_for_each(|source| {
        first_row::<SampleRow>(source)?;
        first_row::<MetricRow>(source)?;
        first_row::<CellRow>(source)
    })
}

/// Removes a part, `cells` first, so that it stops counting before it loses rows.
pub(super) fn remove_part(part: &Source) -> Result<()> {
    TABLES.iter().rev().try_for_each(|table| remove(&part.file(table)))
}

/// Removes parts whose every cell is in the shard's file already: a kill came between compacting and removing.
pub(super) fn remove_compacted(dir: &Path, shard: Shard, homes: &Homes) -> Result<()> {
    for part in parts_of(dir, shard)? {
        let needed = homes.sources.iter().position(|source| *source == part);
        if needed.is_some_and(|i| !homes.is_home(i)) {
            remove_part(&part)?;
        }
    }
    Ok(())
}

/// Removes the shard's parts, and the folders that this leaves empty.
pub(super) fn remove_parts(dir: &Path, shard: Shard) -> Result<()> {
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
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path)(e)),
        _ => Ok(()),
    }
}
