//! What a kill, a full disk or a second process does to a results folder.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;

use super::*;
use crate::results::hold::STUDY_FILE;
use crate::results::settle::STEPS;
use crate::results::sources::parts_in;
use crate::results::{Results, read_rows};

pub(super) fn study() -> StudyText {
    StudyText { name: "a".into(), text: "name = \"a\"\n".into() }
}

pub(super) fn rows(cell: usize) -> (CellRow, Vec<MetricRow>, Vec<SampleRow>) {
    let cell_id: Text = format!("cell{cell:03}").into();
    let metric = MetricRow {
        cell_id: cell_id.clone(),
        metric: "auroc".into(),
        scope: "all".into(),
        ..Default::default()
    };
    // Out of order on purpose: the store sorts them.
    let samples = (0..5).rev().map(|i| SampleRow {
        cell_id: cell_id.clone(),
        sample: i,
        l2: (cell * 10) as f64 + i as f64,
        scores_adv: vec![0.25, 0.75],
        ..Default::default()
    });
    let samples = samples.collect();
    (CellRow { cell_id, n: 5, ..Default::default() }, vec![metric], samples)
}

pub(super) fn plan(n: usize) -> Vec<Text> {
    (0..n).map(|i| format!("cell{i:03}").into()).collect()
}

fn push(store: &mut Store, cell: usize) {
    let (cell, metrics, samples) = rows(cell);
    store.push(cell, metrics, samples).unwrap();
}

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

fn temporaries(dir: &Path) -> usize {
    let count = |folder: &Path| names(folder).unwrap().iter().filter(|n| n.ends_with(".tmp")).count();
    count(dir) + count(&parts_folder(dir, Shard::WHOLE))
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

/// A cell of the model that a study had before, or of the one that it has.
fn version(model: &str, cells: std::ops::Range<usize>) -> Vec<Text> {
    cells.map(|i| format!("{model}{i}").into()).collect()
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

#[test]
fn shards_finish_and_are_read_at_the_same_time() {
    use crate::results::curves::write_curves;
    const SHARDS: u32 = 4;
    let plan: Vec<Text> = (1..=SHARDS).flat_map(|shard| version(&format!("s{shard}-"), 0..6)).collect();
    for _ in 0..2 {
        let dir = tempfile::tempdir().unwrap();
        let together = std::sync::Barrier::new(SHARDS as usize);
        std::thread::scope(|scope| {
            for index in 1..=SHARDS {
                let (dir, plan, together) = (dir.path(), &plan, &together);
                scope.spawn(move || {
                    let mut store = Store::open(dir, &study(), Shard::new(index, SHARDS).unwrap()).unwrap();
                    together.wait();
                    for id in version(&format!("s{index}-"), 0..6) {
                        let cell = CellRow {
                            norm: Some("linf".into()),
                            eps: Some(f64::from(index)),
                            cell_id: id.clone(),
                            ..Default::default()
                        };
                        let sample = |i| SampleRow { cell_id: id.clone(), sample: i, ..Default::default() };
                        store.push(cell, vec![], (0..50).map(sample).collect()).unwrap();
                        store.flush().unwrap();
                        Results::read_undisturbed(dir, plan, write_curves).unwrap();
                    }
                    store.finish(plan).unwrap();
                    Results::read_undisturbed(dir, plan, write_curves).unwrap();
                });
            }
        });
        let curves = Results::open(dir.path()).unwrap().curves().unwrap();
        assert_eq!(curves.iter().map(|row| (row.n, row.n_cells)).collect::<Vec<_>>(), [(50, 6); 4]);
        assert_eq!(temporaries(dir.path()), 0);
    }
}

#[test]
fn comments_and_layout_do_not_make_another_study() {
    let dir = tempfile::tempdir().unwrap();
    let named = |text: &str| StudyText { name: "a".into(), text: text.into() };
    drop(Store::open(dir.path(), &named("name = \"a\" # first\nseeds = [0, 1]\n"), Shard::WHOLE).unwrap());
    let stored = fs::read(dir.path().join(STUDY_FILE)).unwrap();
    drop(
        Store::open(dir.path(), &named("# later\nseeds = [\n  0, 1,\n]\nname = 'a'\n"), Shard::WHOLE)
            .unwrap(),
    );
    assert_eq!(fs::read(dir.path().join(STUDY_FILE)).unwrap(), stored);
    for other in ["name = \"a\"\nseeds = [1, 0]\n", "name = \"a\"\n", "name = "] {
        let error = Store::open(dir.path(), &named(other), Shard::WHOLE).err().unwrap();
        assert_eq!(error.exit_code(), 2, "{other}");
    }
}

/// A sink that is full after `room` bytes.
struct Full {
    room: usize,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.room == 0 {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.room);
        self.room -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_full_after_any_byte_is_an_error_that_names_the_file() {
    use crate::results::table_file::{PASSING, encode};
    let (_, _, samples) = rows(0);
    let path = Path::new("out/samples.tmp");
    let whole = encode::<SampleRow, _>(Vec::new(), path, PASSING, batches_of(&samples)).unwrap().len();
    // The header, the footer's end, and a stride between that meets every page and the footer.
    for room in (0..16).chain((16..whole - 16).step_by(29)).chain(whole - 16..whole) {
        let error = encode::<SampleRow, _>(Full { room }, path, PASSING, batches_of(&samples))
            .err()
            .expect("it is full");
        assert!(
            matches!(&error, Error::Io { path: p, source } if p == path && source.kind() == std::io::ErrorKind::StorageFull),
            "{room} of {whole} bytes: {error}"
        );
    }
    assert!(encode::<SampleRow, _>(Full { room: whole }, path, PASSING, batches_of(&samples)).is_ok());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_no_parquet_and_a_later_flush_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), &study(), Shard::WHOLE).unwrap();
    push(&mut store, 0);
    let folder = parts_folder(dir.path(), Shard::WHOLE);
    fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.join("000000.metrics.tmp")).unwrap();
    let error = store.flush().unwrap_err();
    assert!(error.to_string().contains("000000.metrics.tmp: No space left"), "{error}");
    assert_eq!(error.exit_code(), 1);
    assert!(!folder.join("000000.metrics.parquet").exists());
    // The failed write removed the link, so there is room now.
    store.flush().unwrap();
    assert_eq!(finished_cells(dir.path()).unwrap().cells, plan(1));
}

#[test]
fn a_refused_file_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), &study(), Shard::WHOLE).unwrap();
    push(&mut store, 0);
    // A folder in the file's place is refused to every user, root included.
    fs::create_dir(dir.path().join("samples-1-of-1.tmp")).unwrap();
    let error = store.finish(&plan(1)).unwrap_err();
    assert!(error.to_string().contains("samples-1-of-1.tmp"), "{error}");
    assert!(!dir.path().join("samples-1-of-1.parquet").exists());
    assert_eq!(finished_cells(dir.path()).unwrap().cells, plan(1));
}

/// Pushes a cell of one configuration over a ladder of budgets, of a hundred samples of which those in `robust` stay so;
/// a larger budget must not leave more robust.
fn push_rung(store: &mut Store, eps: f64, robust: std::ops::Range<u64>) {
    const SAMPLES: u64 = 100;
    let cell_id: Text = format!("eps{eps}").into();
    let sample = |sample| SampleRow {
        cell_id: cell_id.clone(),
        sample,
        robust: robust.contains(&sample),
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

#[cfg(unix)]
#[test]
fn the_study_is_as_readable_as_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), &study(), Shard::WHOLE).unwrap();
    push(&mut store, 0);
    store.finish(&plan(1)).unwrap();
    let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    fs::write(dir.path().join("any"), b"").unwrap();
    assert_eq!(mode(STUDY_FILE), mode("any"));
    assert_eq!(mode("cells-1-of-1.parquet"), mode("any"));
}
