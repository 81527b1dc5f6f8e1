//! What a kill at any moment leaves, and what comes of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::tests::{plan, push, rows, study, temporaries, version};
use super::*;
use crate::results::clearing::remove;
use crate::results::settle::STEPS;
use crate::results::sources::{TABLES, parts_in};
use crate::results::table_file::{is_whole, temporary};
use crate::results::{Results, read_rows};

/// Every `.parquet` below `dir` can be read to its end.
fn assert_all_whole(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_all_whole(&path);
        } else if path.extension().is_some_and(|e| e == "parquet") {
            assert!(is_whole(&path).unwrap(), "{}", path.display());
        }
    }
}

#[test]
fn kill_at_any_step_of_a_part_loses_only_that_part() {
    for killed_after in 0..=PART_STEPS.len() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), &study(), Shard::WHOLE).unwrap();
        push(&mut store, 0);
        store.flush().unwrap();
        push(&mut store, 1);
        let folder = parts_folder(dir.path(), Shard::WHOLE);
        let part = Source { folder: folder.clone(), kind: Kind::Part(1) };
        for step in &PART_STEPS[..killed_after] {
            store.pending.step(&part, *step).unwrap();
        }
        // A kill while a file is being written leaves a torn temporary.
        if let Some((table, false)) = PART_STEPS.get(killed_after) {
            fs::write(temporary(&part.file(table)), b"PAR1 torn").unwrap();
        }
        drop(store);
        assert_all_whole(dir.path());
        let mut store = Store::open(dir.path(), &study(), Shard::WHOLE).unwrap();
        let survived = killed_after == PART_STEPS.len();
        assert_eq!(store.finished().len(), if survived { 2 } else { 1 }, "killed after step {killed_after}");
        assert_eq!(temporaries(dir.path()), 0);
        assert_eq!(names(&folder).unwrap().len(), if survived { 6 } else { 3 });
        if !survived {
            push(&mut store, 1);
        }
        store.finish(&plan(2)).unwrap();
        let results = Results::open(dir.path()).unwrap();
        assert_eq!(results.cell_ids(), plan(2));
        assert_eq!(read_rows::<SampleRow>(&dir.path().join("samples-1-of-1.parquet")).unwrap().len(), 10);
    }
}

/// Takes the steps of `finish` one by one up to `killed_after`, as a kill there would leave the folder.
fn finish_partly(dir: &Path, plan: &[Text], killed_after: usize) {
    let parts = parts_of(dir, Shard::WHOLE).unwrap();
    let settling = Settling::new(dir, Shard::WHOLE, parts.clone(), plan, &HashSet::new()).unwrap();
    STEPS.iter().take(killed_after).for_each(|step| step(&settling).unwrap());
    let removals = parts.iter().flat_map(|part| TABLES.iter().rev().map(|table| part.file(table)));
    removals.take(killed_after.saturating_sub(STEPS.len())).for_each(|file| remove(&file).unwrap());
    fs::write(dir.join("cells-1-of-1.tmp"), b"torn").unwrap();
}

#[test]
fn kill_at_any_step_of_compaction_loses_nothing_and_repeats_nothing() {
    // With a first compaction, and with one that must merge an older file.
    for older in [false, true] {
        for killed_after in 0..=STEPS.len() + 6 {
            let dir = tempfile::tempdir().unwrap();
            let mut store = Store::open(dir.path(), &study(), Shard::WHOLE).unwrap();
            push(&mut store, 3);
            if older {
                store.finish(&plan(4)).unwrap();
            }
            for cell in [2, 0] {
                push(&mut store, cell);
                store.flush().unwrap();
            }
            finish_partly(dir.path(), &plan(4), killed_after);
            drop(store);
            assert_all_whole(dir.path());
            assert_eq!(Results::open(dir.path()).unwrap().cells().unwrap().len(), 3);
            let mut store = Store::open(dir.path(), &study(), Shard::WHOLE).unwrap();
            assert_eq!(store.finished().len(), 3, "older {older}, killed after {killed_after}");
            push(&mut store, 1);
            store.finish(&plan(4)).unwrap();
            let order: Vec<(Text, u64)> = read_rows::<SampleRow>(&dir.path().join("samples-1-of-1.parquet"))
                .unwrap()
                .into_iter()
                .map(|row| (row.cell_id, row.sample))
                .collect();
            let expected: Vec<(Text, u64)> =
                plan(4).iter().flat_map(|cell| (0..5).map(|i| (cell.clone(), i))).collect();
            assert_eq!(order, expected);
            assert!(!dir.path().join("parts").exists());
            assert_eq!(temporaries(dir.path()), 0);
        }
    }
}

/// Finishes those cells of `plan` that the folder lacks, as a sweep does; how many it did, and how many it put aside.
fn resume(dir: &Path, plan: &[Text], shard: Shard) -> (usize, usize) {
    let mut store = Store::open(dir, &study(), shard).unwrap();
    let missing: Vec<&Text> = plan.iter().filter(|cell| !store.finished().contains(*cell)).collect();
    let done = missing.len();
    for id in missing {
        let (mut cell, mut metrics, mut samples) = rows(id.len());
        cell.cell_id.clone_from(id);
        metrics.iter_mut().for_each(|row| row.cell_id.clone_from(id));
        samples.iter_mut().for_each(|row| row.cell_id.clone_from(id));
        store.push(cell, metrics, samples).unwrap();
    }
    let retired = store.finish(plan).unwrap();
    (done, retired)
}

/// The cells of which a file has rows, in its order.
fn cells_in<R: Row>(file: &Path, id: fn(&R) -> &Text) -> Vec<Text> {
    let rows = read_rows::<R>(file).unwrap();
    let mut ids: Vec<Text> = rows.iter().map(|row| id(row).clone()).collect();
    ids.dedup();
    ids
}

/// The cells of the three tables of `source`, which must agree.
fn cells_of(source: &Source) -> Vec<Text> {
    let cells = cells_in::<CellRow>(&source.file("cells"), |row| &row.cell_id);
    assert_eq!(cells_in::<MetricRow>(&source.file("metrics"), |row| &row.cell_id), cells);
    assert_eq!(cells_in::<SampleRow>(&source.file("samples"), |row| &row.cell_id), cells);
    assert_eq!(read_rows::<SampleRow>(&source.file("samples")).unwrap().len(), 5 * cells.len());
    cells
}

fn retired_in(dir: &Path) -> Vec<Vec<Text>> {
    parts_in(&dir.join("retired")).unwrap().iter().map(cells_of).collect()
}

#[test]
fn kill_at_any_step_of_putting_an_earlier_model_aside_loses_nothing_and_mixes_nothing() {
    let (old, new) = (version("old", 0..3), version("new", 0..3));
    let whole = |dir: &Path| Source { folder: dir.to_path_buf(), kind: Kind::Shard(Shard::WHOLE) };
    for killed_after in 0..=STEPS.len() + 3 {
        // The model stays, or the one before comes back: cells that lost their samples must not count as finished.
        for back in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            assert_eq!(resume(dir.path(), &old, Shard::WHOLE), (3, 0));
            let mut store = Store::open(dir.path(), &study(), Shard::WHOLE).unwrap();
            for id in &new {
                let cell = CellRow { cell_id: id.clone(), ..Default::default() };
                let metric = MetricRow { cell_id: id.clone(), ..Default::default() };
                let sample = |i| SampleRow { cell_id: id.clone(), sample: i, ..Default::default() };
                store.push(cell, vec![metric], (0..5).map(sample).collect()).unwrap();
            }
            store.flush().unwrap();
            finish_partly(dir.path(), &new, killed_after);
            drop(store);
            assert_all_whole(dir.path());
            let seen = Results::open(dir.path()).unwrap().restricted(&new);
            assert_eq!(seen.cells().unwrap().len(), 3, "killed after {killed_after}");
            assert!(new.iter().all(|cell| seen.samples(cell).unwrap().len() == 5));
            let (plan, other) = if back { (&old, &new) } else { (&new, &old) };
            resume(dir.path(), plan, Shard::WHOLE);
            assert_eq!(cells_of(&whole(dir.path())), *plan, "killed after {killed_after}");
            let kept = retired_in(dir.path());
            assert!(other.iter().all(|cell| kept.concat().contains(cell)), "{killed_after}: {kept:?}");
            assert!(
                kept.concat().iter().all(|cell| kept.concat().iter().filter(|c| *c == cell).count() == 1)
            );
            assert_eq!(resume(dir.path(), plan, Shard::WHOLE), (0, 0));
            assert_eq!(temporaries(dir.path()), 0);
            assert!(!dir.path().join(".retiring-1-of-1").exists());
        }
    }
}

#[test]
fn an_earlier_model_leaves_the_other_shards_files_too() {
    let dir = tempfile::tempdir().unwrap();
    let shards = [Shard::new(1, 2).unwrap(), Shard::new(2, 2).unwrap()];
    let (old, new) = (version("old", 0..4), version("new", 0..4));
    let mut store = Store::open(dir.path(), &study(), shards[0]).unwrap();
    store.push(CellRow { cell_id: old[0].clone(), ..Default::default() }, vec![], vec![]).unwrap();
    store.finish(&old).unwrap();
    // Still held: its own process puts the cell aside.
    assert_eq!(resume(dir.path(), &new, shards[1]), (4, 0));
    assert_eq!(store.finish(&new).unwrap(), 1);
    drop(store);
    assert_eq!(resume(dir.path(), &old, shards[0]), (4, 4));
    assert_eq!(Results::open(dir.path()).unwrap().cell_ids(), old);
}
