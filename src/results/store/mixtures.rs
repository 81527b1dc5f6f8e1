//! Whatever mixture of shards, kills and reruns a folder has seen, each cell stands once.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::tests::{plan, rows, study};
use super::*;
use crate::results::settle::STEPS;
use crate::results::sources::{TABLES, shards_with};
use crate::results::{Results, read_rows};

pub(super) const CELLS: usize = 24;

/// SplitMix64.
pub(super) struct Draw(pub(super) u64);

impl Draw {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// A process on a shard, and the cells that it has still to do: those that were not there when it began.
pub(super) struct Process {
    pub(super) store: Store,
    todo: Vec<usize>,
}

pub(super) fn begin(dir: &Path, shard: Shard) -> Process {
    let store = Store::open(dir, &study(), shard).unwrap();
    let own = (0..CELLS).filter(|&i| shard.owns(i));
    let todo = own.filter(|i| !store.finished().contains(&plan(CELLS)[*i])).collect();
    Process { store, todo }
}

impl Process {
    pub(super) fn push(&mut self, most: usize) {
        for cell in self.todo.drain(..most.min(self.todo.len())) {
            let (cell, metrics, samples) = rows(cell);
            self.store.push(cell, metrics, samples).unwrap();
        }
    }

    /// Ends at some step of writing a part or of settling, as a kill there would leave the folder.
    fn kill(mut self, draw: &mut Draw) {
        if draw.below(2) == 0 {
            self.push(1);
            let folder = parts_folder(&self.store.dir, self.store.shard);
            fs::create_dir_all(&folder).unwrap();
            let part = Source { folder, kind: Kind::Part(self.store.next_part) };
            let steps = PART_STEPS.iter().take(draw.below(PART_STEPS.len() + 1));
            steps.for_each(|step| self.store.pending.step(&part, *step).unwrap());
            return;
        }
        let Store { dir, shard, .. } = &self.store;
        let elsewhere =
            self.store.others().unwrap().iter().flat_map(|other| cells_of(other).unwrap()).collect();
        let parts = parts_of(dir, *shard).unwrap();
        let settling = Settling::new(dir, *shard, parts.clone(), &plan(CELLS), &elsewhere).unwrap();
        STEPS.iter().take(draw.below(STEPS.len() + 1)).for_each(|step| step(&settling).unwrap());
    }

    pub(super) fn finish(&mut self) {
        self.push(CELLS);
        self.store.finish(&plan(CELLS)).unwrap();
        let own: Vec<Text> =
            (0..CELLS).filter(|&i| self.store.shard.owns(i)).map(|i| plan(CELLS)[i].clone()).collect();
        assert_eq!(self.store.missing(&own).unwrap(), Vec::<Text>::new());
    }
}

/// The rows of a table in all finished files, as a notebook reads them: `glob("TABLE-*.parquet")`.
fn globbed<R: Row>(dir: &Path) -> Vec<R> {
    let files = shards_with(dir, R::TABLE).unwrap();
    files.iter().flat_map(|shard| read_rows::<R>(&shard.file(R::TABLE)).unwrap()).collect()
}

fn assert_each_once<T: Ord + std::fmt::Debug>(mut keys: Vec<T>, seed: u64) {
    keys.sort();
    assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "mixture {seed}: {keys:?}");
}

fn check(dir: &Path, seed: u64) {
    assert_each_once(globbed::<CellRow>(dir).into_iter().map(|row| row.cell_id).collect(), seed);
    // A kill while cells are taken out, or before a `cells` file is written, leaves rows of theirs until the next run.
    let orphans = |table| shards_with(dir, table).unwrap().iter().any(|shard| !shard.is_complete());
    let marked = names(dir).unwrap().iter().any(|name| name.starts_with(".retiring-"));
    if !marked && !TABLES.into_iter().any(orphans) {
        let samples = globbed::<SampleRow>(dir);
        assert_each_once(samples.into_iter().map(|row| (row.cell_id, row.sample)).collect(), seed);
        assert_each_once(globbed::<MetricRow>(dir).into_iter().map(|row| row.cell_id).collect(), seed);
    }
    let results = Results::open(dir).unwrap();
    assert_each_once(results.cell_ids().to_vec(), seed);
    for cell in results.cell_ids() {
        assert_eq!(results.samples(cell).unwrap().len(), 5, "mixture {seed}, {cell}");
    }
}

#[test]
fn whatever_ran_in_a_folder_each_cell_stands_once() {
    let shards = [(1, 1), (1, 2), (2, 2), (1, 3), (2, 3), (3, 3), (1, 7), (4, 7)];
    for seed in 0..12 {
        let dir = tempfile::tempdir().unwrap();
        let mut draw = Draw(seed);
        let mut live: Vec<Process> = Vec::new();
        for _ in 0..25 {
            let at = draw.below(live.len().max(1));
            match draw.below(6) {
                0 | 1 => {
                    let (index, count) = shards[draw.below(shards.len())];
                    let shard = Shard::new(index, count).unwrap();
                    if live.len() < 4 && live.iter().all(|process| process.store.shard != shard) {
                        live.push(begin(dir.path(), shard));
                    }
                }
                2 | 3 if !live.is_empty() => {
                    live[at].push(1 + draw.below(6));
                    live[at].store.flush().unwrap();
                }
                4 if !live.is_empty() => live.swap_remove(at).kill(&mut draw),
                5 if !live.is_empty() => {
                    live[at].finish();
                    check(dir.path(), seed);
                    if draw.below(2) == 0 {
                        live.swap_remove(at);
                    }
                }
                _ => {}
            }
        }
        drop(live);
        let mut last = begin(dir.path(), Shard::WHOLE);
        last.finish();
        check(dir.path(), seed);
        let mut cells: Vec<Text> =
            globbed::<CellRow>(dir.path()).into_iter().map(|row| row.cell_id).collect();
        cells.sort();
        assert_eq!(cells, plan(CELLS), "mixture {seed}");
        assert_eq!(globbed::<SampleRow>(dir.path()).len(), 5 * CELLS, "mixture {seed}");
        assert!(!dir.path().join("parts").exists(), "mixture {seed}");
    }
}

#[test]
fn tables_that_a_kill_left_without_their_cells_are_no_doubles_of_another_shards() {
    let dir = tempfile::tempdir().unwrap();
    let shard = Shard::new(1, 2).unwrap();
    let mut killed = begin(dir.path(), shard);
    killed.push(CELLS);
    killed.store.flush().unwrap();
    let parts = parts_of(dir.path(), shard).unwrap();
    let settling = Settling::new(dir.path(), shard, parts, &plan(CELLS), &HashSet::new()).unwrap();
    // Samples and metrics are finished, `cells` are not.
    STEPS[..STEPS.len() - 2].iter().for_each(|step| step(&settling).unwrap());
    drop(killed);
    begin(dir.path(), Shard::WHOLE).finish();
    assert_eq!(globbed::<SampleRow>(dir.path()).len(), 5 * CELLS);
    check(dir.path(), 0);
}

#[test]
fn what_was_removed_while_a_shard_ran_is_missed() {
    let ids = plan(4);
    for removed in
        ["", "parts", "parts/shard-1-of-1/000000.samples.parquet", "parts/shard-1-of-1/000000.cells.parquet"]
    {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let mut process = begin(&out, Shard::WHOLE);
        process.push(2);
        process.store.flush().unwrap();
        let path = if removed.is_empty() { out.clone() } else { out.join(removed) };
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap()
        } else {
            fs::remove_file(&path).unwrap()
        }
        assert_eq!(process.store.missing(&ids[..2]).unwrap(), ids[..2], "{removed:?}");
        process.todo.truncate(2);
        process.push(2);
        process.store.flush().unwrap();
        assert_eq!(process.store.missing(&ids).unwrap(), ids[..2], "{removed:?}");
        // The folder is the study's again, and held.
        assert!(out.join(".lock-1-of-1").exists() && out.join("study.resolved.toml").exists());
        assert!(Store::open(&out, &study(), Shard::WHOLE).is_err(), "{removed:?}");
        drop(process);
        let mut again = begin(&out, Shard::WHOLE);
        again.todo.retain(|cell| *cell < 4);
        again.push(4);
        again.store.finish(&ids).unwrap();
        assert_eq!(again.store.missing(&ids).unwrap(), Vec::<Text>::new(), "{removed:?}");
    }
}

/// Follows what the refusals say until a store opens.
fn mended(dir: &Path, shard: Shard) -> Process {
    for _ in 0..3 {
        let Err(error) = Store::open(dir, &study(), shard) else { break };
        let text = error.to_string();
        let (_, named) = text.split_once(".parquet: not there, though ").unwrap();
        fs::remove_file(named.split_once(" is: ").unwrap().0).unwrap();
    }
    begin(dir, shard)
}

#[test]
fn whichever_tables_of_a_shard_were_removed_its_cells_stand_once_in_the_end() {
    let removed = Shard::new(2, 2).unwrap();
    for subset in 1..8 {
        let gone: Vec<&str> =
            (0..3).filter(|table| subset >> table & 1 == 1).map(|table| TABLES[table]).collect();
        for next in [&[Shard::WHOLE][..], &[removed], &[Shard::new(1, 2).unwrap(), Shard::WHOLE]] {
            let dir = tempfile::tempdir().unwrap();
            begin(dir.path(), Shard::new(1, 2).unwrap()).finish();
            begin(dir.path(), removed).finish();
            let source = Source { folder: dir.path().to_path_buf(), kind: Kind::Shard(removed) };
            gone.iter().for_each(|table| fs::remove_file(source.file(table)).unwrap());
            let refused = !gone.contains(&CellRow::TABLE);
            assert_eq!(Store::open(dir.path(), &study(), next[0]).is_err(), refused, "{gone:?}");
            // A reader says the same.
            let read = Results::open(dir.path()).err().map(|error| (error.exit_code(), error.to_string()));
            assert_eq!(
                read.is_some_and(|(code, text)| code == 1 && text.contains("not there, though")),
                refused
            );
            next.iter().for_each(|&shard| mended(dir.path(), shard).finish());
            check(dir.path(), subset as u64);
            let counts = [globbed::<CellRow>(dir.path()).len(), globbed::<MetricRow>(dir.path()).len()];
            assert_eq!(
                (counts, globbed::<SampleRow>(dir.path()).len()),
                ([CELLS; 2], 5 * CELLS),
                "{gone:?}, {next:?}"
            );
        }
    }
}

#[test]
fn a_finished_shard_without_one_of_its_tables_is_told() {
    for table in TABLES.iter().filter(|table| **table != CellRow::TABLE) {
        let dir = tempfile::tempdir().unwrap();
        begin(dir.path(), Shard::WHOLE).finish();
        fs::remove_file(dir.path().join(format!("{table}-1-of-1.parquet"))).unwrap();
        let error = Store::open(dir.path(), &study(), Shard::WHOLE).err().unwrap();
        assert!(error.to_string().contains(&format!("{table}-1-of-1.parquet: not there")), "{error}");
        assert_eq!(error.exit_code(), 1);
        // The mend, followed.
        fs::remove_file(dir.path().join("cells-1-of-1.parquet")).unwrap();
        begin(dir.path(), Shard::WHOLE).finish();
        check(dir.path(), 0);
        assert_eq!(globbed::<CellRow>(dir.path()).len(), CELLS);
    }
}

#[test]
fn a_copy_of_a_table_is_told() {
    use crate::results::others_told;
    let dir = tempfile::tempdir().unwrap();
    let mut process = begin(dir.path(), Shard::WHOLE);
    process.finish();
    process.store.record_run(&RunRow::default()).unwrap();
    for own in ["curves.parquet", "seeds.parquet"] {
        fs::write(dir.path().join(own), b"").unwrap();
    }
    assert_eq!(others_told(dir.path()).unwrap(), None);
    for copy in
        ["cells-1-of-1 (copy).parquet", "samples-1-of-1 2.parquet", "cells-1-of-1.sync-conflict.parquet"]
    {
        let path = dir.path().join(copy);
        fs::copy(dir.path().join("cells-1-of-1.parquet"), &path).unwrap();
        assert!(others_told(dir.path()).unwrap().unwrap().contains(copy));
        fs::remove_file(path).unwrap();
    }
}
