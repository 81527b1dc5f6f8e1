//! The checks of cells against each other where the cells are those of several shards.

use std::fs::File;
use std::path::Path;

use super::company::{check_across, held_samples};
use super::records::CellRow;
use super::schema::Row;
use super::sources::{Homes, finished_shards};
use super::table_file::{read_rows, write_rows};
use crate::{Error, Result};

/// Waits until no other process writes a finished `cells` file in `dir`; they are written by holders of this lock alone,
/// since a shard that finishes rewrites the flags of the others.
pub(super) fn lock_cells(dir: &Path) -> Result<File> {
    let path = dir.join(".lock-cells");
    // Not truncated and never removed: the lock is on the file, not in it.
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(Error::io(&path))?;
    file.lock().map_err(Error::io(&path))?;
    Ok(file)
}

/// Checks the cells of all finished shards against each other and rewrites each file whose flags this changes, so that
/// whoever reads the files themselves sees what [`Results::cells`](super::Results::cells) says; the caller holds the lock.
pub(super) fn check_finished(dir: &Path) -> Result<()> {
    let files: Vec<_> = finished_shards(dir)?.iter().map(|shard| shard.file(CellRow::TABLE)).collect();
    if files.len() < 2 {
        // A lone shard's cells were checked when they were written.
        return Ok(());
    }
    let tables = files.iter().map(|file| read_rows(file)).collect::<Result<Vec<Vec<CellRow>>>>()?;
    let mut checked = tables.concat();
    let homes = Homes::of(finished_shards(dir)?)?;
    check_across(&mut checked, |cells| held_samples(&homes, cells))?;
    let mut rest = checked.as_slice();
    for (file, before) in files.iter().zip(&tables) {
        let (now, later) = rest.split_at(before.len());
        rest = later;
        if now.iter().zip(before).any(|(now, before)| now.flags != before.flags) {
            write_rows(file, now)?;
        }
    }
    Ok(())
}
