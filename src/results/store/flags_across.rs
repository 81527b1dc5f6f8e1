//! Flags of cells among others, whichever shards they are of.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::tests::{study, temporaries};
use super::*;
use crate::results::{Results, read_rows};

/// Pushes a cell of one configuration over a ladder of budgets, of a hundred samples of which those in `robust` stay so;
/// a larger budget must not leave more robust.
fn push_rung(store: &mut Store, eps: f64, robust: std::ops::Range<u64>) {
    const SAMPLES: u64 = 100;
    let cell_id: Text = format!("eps{eps}").into();
    let sample = |sample| SampleRow {
        cell_id: cell_id.clone(),
        sample,
        robust: robust.contains(&sample),
        success: Some(!robust.contains(&sample)),
        ..Default::default()
    };
    let samples: Vec<SampleRow> = (0..SAMPLES).map(sample).collect();
    let left = samples.iter().filter(|row| row.robust).count();
    let cell = CellRow {
        cell_id: cell_id.clone(),
        n: SAMPLES,
        attack: "pgd".into(),
        knowledge: "white".into(),
        norm: Some("linf".into()),
        eps: Some(eps),
        robust_accuracy: Some(left as f64 / SAMPLES as f64),
        params: format!("{{\"eps\":{eps}}}").into(),
        flags: vec!["few-groups".into()],
        ..Default::default()
    };
    store.push(cell, vec![], samples).unwrap();
}

/// The ids of all rungs of these tests.
fn rungs() -> Vec<Text> {
    (1..=4).map(|eps| format!("eps{eps}").into()).collect()
}

/// The flags of a shard's own file, as a notebook reads them.
fn flags_in_file(dir: &Path, shard: Shard) -> Vec<Vec<Text>> {
    let file = Source { folder: dir.to_path_buf(), kind: Kind::Shard(shard) }.file("cells");
    read_rows::<CellRow>(&file).unwrap().into_iter().map(|cell| cell.flags).collect()
}

/// The flags of every cell, as a reader of the folder sees them.
fn flags_read(dir: &Path) -> Vec<Vec<Text>> {
    Results::open(dir).unwrap().cells().unwrap().iter().map(|cell| cell.flags.clone()).collect()
}

#[test]
fn cells_of_different_shards_are_checked_against_each_other() {
    use crate::results::flags::LARGER_BUDGET_WEAKER;
    let dir = tempfile::tempdir().unwrap();
    let shards = [Shard::new(1, 2).unwrap(), Shard::new(2, 2).unwrap()];
    let [mut first, mut second] = shards.map(|shard| Store::open(dir.path(), &study(), shard).unwrap());
    // The cell that contradicts the other is in the shard that finishes first.
    push_rung(&mut first, 2.0, 0..90);
    first.finish(&rungs()).unwrap();
    assert_eq!(flags_in_file(dir.path(), shards[0]), [["few-groups"]]);
    push_rung(&mut second, 1.0, 0..50);
    second.flush().unwrap();
    // While the second shard has but parts, readers see it already.
    let expected = [vec!["few-groups", LARGER_BUDGET_WEAKER], vec!["few-groups"]];
    assert_eq!(flags_read(dir.path()), expected);
    assert_eq!(flags_in_file(dir.path(), shards[0]), [["few-groups"]]);
    // The first shard's process still lives and holds its lock: its file is made right all the same.
    second.finish(&rungs()).unwrap();
    assert_eq!(flags_in_file(dir.path(), shards[0]), expected[..1]);
    assert_eq!(flags_in_file(dir.path(), shards[1]), expected[1..]);
    assert_eq!(flags_read(dir.path()), expected);
    // Nothing new: nothing is rewritten.
    let written = || {
        let files = ["cells-1-of-2.parquet", "cells-2-of-2.parquet"].map(|name| dir.path().join(name));
        files.map(|file| fs::metadata(file).unwrap().modified().unwrap())
    };
    let before = written();
    first.finish(&rungs()).unwrap();
    assert_eq!(written(), before);
    assert_eq!(temporaries(dir.path()), 0);
}

#[test]
fn cells_in_parts_are_tested_by_the_samples_in_parts() {
    use crate::results::flags::LARGER_BUDGET_WEAKER;
    // Ten more stay robust in either case: all of them beside the same 45, or 55 that the smaller budget broke.
    for (smaller, contradicts) in [(0..45, true), (55..100, false)] {
        let dir = tempfile::tempdir().unwrap();
        let shards = [Shard::new(1, 2).unwrap(), Shard::new(2, 2).unwrap()];
        let [mut first, mut second] = shards.map(|shard| Store::open(dir.path(), &study(), shard).unwrap());
        push_rung(&mut first, 2.0, 0..55);
        first.flush().unwrap();
        push_rung(&mut second, 1.0, smaller);
        second.flush().unwrap();
        assert!(shards.iter().all(|shard| !parts_of(dir.path(), *shard).unwrap().is_empty()));
        let larger = if contradicts { vec!["few-groups", LARGER_BUDGET_WEAKER] } else { vec!["few-groups"] };
        let expected = [larger, vec!["few-groups"]];
        assert_eq!(flags_read(dir.path()), expected);
        // Finished files say the same.
        first.finish(&rungs()).unwrap();
        second.finish(&rungs()).unwrap();
        assert_eq!(shards.map(|shard| flags_in_file(dir.path(), shard)).concat(), expected);
    }
}

#[test]
fn shards_that_finish_at_the_same_time_flag_every_contradiction() {
    const SHARDS: u32 = 4;
    // Each budget leaves more robust than the one before, so all but the first contradict another shard's cell.
    for _ in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let together = std::sync::Barrier::new(SHARDS as usize);
        std::thread::scope(|scope| {
            for index in 1..=SHARDS {
                let (dir, together) = (dir.path(), &together);
                scope.spawn(move || {
                    let mut store = Store::open(dir, &study(), Shard::new(index, SHARDS).unwrap()).unwrap();
                    push_rung(&mut store, f64::from(index), 0..u64::from(index) * 10);
                    together.wait();
                    store.finish(&rungs()).unwrap();
                    // Opening again clears leftovers, and must not take another's file that is being written for one.
                    drop(store);
                    Store::open(dir, &study(), Shard::new(index, SHARDS).unwrap()).unwrap();
                });
            }
        });
        for index in 1..=SHARDS {
            let flags = flags_in_file(dir.path(), Shard::new(index, SHARDS).unwrap());
            assert_eq!(flags[0].len(), if index == 1 { 1 } else { 2 }, "shard {index}: {flags:?}");
        }
        assert_eq!(temporaries(dir.path()), 0);
    }
}
