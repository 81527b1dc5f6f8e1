//! What a kill, a full disk or a second process does to a results folder.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::results::{Results, read_rows};

fn study() -> StudyText {
    StudyText { name: "a".into(), text: "name = \"a\"\n".into() }
}

fn rows(cell: usize) -> (CellRow, Vec<MetricRow>, Vec<SampleRow>) {
    let cell_id = format!("cell{cell:03}");
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

fn plan(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("cell{i:03}")).collect()
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
fn finish_partly(dir: &Path, plan: &[String], killed_after: usize) {
    let target = Source { folder: dir.to_path_buf(), kind: Kind::Shard(Shard::WHOLE) };
    let had_file = target.file("cells").exists();
    let parts = parts_of(dir, Shard::WHOLE).unwrap();
    let homes =
        Homes::of(had_file.then(|| target.clone()).into_iter().chain(parts.clone()).collect()).unwrap();
    let order = planned_order(&homes, plan);
    let steps: [&dyn Fn(); 6] = [
        &|| compact::<SampleRow>(&target, &homes, &order).unwrap(),
        &|| compact::<MetricRow>(&target, &homes, &order).unwrap(),
        &|| compact_cells(&target, &homes, &order).unwrap(),
        &|| remove(&parts[0].file("cells")).unwrap(),
        &|| remove(&parts[0].file("metrics")).unwrap(),
        &|| remove(&parts[0].file("samples")).unwrap(),
    ];
    steps[..killed_after].iter().for_each(|step| step());
    fs::write(dir.join("cells-1-of-1.tmp"), b"torn").unwrap();
}

#[test]
fn kill_at_any_step_of_compaction_loses_nothing_and_repeats_nothing() {
    // With a first compaction, and with one that must merge an older file.
    for older in [false, true] {
        for killed_after in 0..=6 {
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
            let order: Vec<(String, u64)> =
                read_rows::<SampleRow>(&dir.path().join("samples-1-of-1.parquet"))
                    .unwrap()
                    .into_iter()
                    .map(|row| (row.cell_id, row.sample))
                    .collect();
            let expected: Vec<(String, u64)> =
                plan(4).iter().flat_map(|cell| (0..5).map(|i| (cell.clone(), i))).collect();
            assert_eq!(order, expected);
            assert!(!dir.path().join("parts").exists());
            assert_eq!(temporaries(dir.path()), 0);
        }
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
    use crate::results::table_file::encode;
    let (_, _, samples) = rows(0);
    let path = Path::new("out/samples.tmp");
    let whole = encode::<SampleRow, _>(Vec::new(), path, batches_of(&samples)).unwrap().len();
    // The header, the footer's end, and a stride between that meets every page and the footer.
    for room in (0..16).chain((16..whole - 16).step_by(29)).chain(whole - 16..whole) {
        let error =
            encode::<SampleRow, _>(Full { room }, path, batches_of(&samples)).err().expect("it is full");
        assert!(
            matches!(&error, Error::Io { path: p, source } if p == path && source.kind() == std::io::ErrorKind::StorageFull),
            "{room} of {whole} bytes: {error}"
        );
    }
    assert!(encode::<SampleRow, _>(Full { room: whole }, path, batches_of(&samples)).is_ok());
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

/// A cell of one configuration over a ladder of budgets; above 0 a larger budget must not leave more robust.
fn rung(eps: f64, robust: f64) -> CellRow {
    CellRow {
        cell_id: format!("eps{eps}"),
        attack: "pgd".into(),
        knowledge: "white".into(),
        norm: Some("linf".into()),
        eps: Some(eps),
        robust_accuracy: Some(robust),
        params: format!("{{\"eps\":{eps}}}"),
        flags: vec!["few-groups".into()],
        ..Default::default()
    }
}

/// The flags of a shard's own file, as a notebook reads them.
fn flags_in_file(dir: &Path, shard: Shard) -> Vec<Vec<String>> {
    let file = Source { folder: dir.to_path_buf(), kind: Kind::Shard(shard) }.file("cells");
    read_rows::<CellRow>(&file).unwrap().into_iter().map(|cell| cell.flags).collect()
}

#[test]
fn cells_of_different_shards_are_checked_against_each_other() {
    use crate::results::flags::LARGER_BUDGET_WEAKER;
    let dir = tempfile::tempdir().unwrap();
    let shards = [Shard::new(1, 2).unwrap(), Shard::new(2, 2).unwrap()];
    let [mut first, mut second] = shards.map(|shard| Store::open(dir.path(), &study(), shard).unwrap());
    // The cell that contradicts the other is in the shard that finishes first.
    first.push(rung(2.0, 0.9), vec![], vec![]).unwrap();
    first.finish(&[]).unwrap();
    assert_eq!(flags_in_file(dir.path(), shards[0]), [["few-groups"]]);
    second.push(rung(1.0, 0.5), vec![], vec![]).unwrap();
    second.flush().unwrap();
    // While the second shard has but parts, readers see it already.
    let seen = |dir: &Path| -> Vec<Vec<String>> {
        Results::open(dir).unwrap().cells().unwrap().into_iter().map(|cell| cell.flags).collect()
    };
    let expected = [vec!["few-groups", LARGER_BUDGET_WEAKER], vec!["few-groups"]];
    assert_eq!(seen(dir.path()), expected);
    assert_eq!(flags_in_file(dir.path(), shards[0]), [["few-groups"]]);
    // The first shard's process still lives and holds its lock: its file is made right all the same.
    second.finish(&[]).unwrap();
    assert_eq!(flags_in_file(dir.path(), shards[0]), expected[..1]);
    assert_eq!(flags_in_file(dir.path(), shards[1]), expected[1..]);
    assert_eq!(seen(dir.path()), expected);
    // Nothing new: nothing is rewritten.
    let written = || {
        let files = ["cells-1-of-2.parquet", "cells-2-of-2.parquet"].map(|name| dir.path().join(name));
        files.map(|file| fs::metadata(file).unwrap().modified().unwrap())
    };
    let before = written();
    first.finish(&[]).unwrap();
    assert_eq!(written(), before);
    assert_eq!(temporaries(dir.path()), 0);
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
                    let eps = f64::from(index);
                    store.push(rung(eps, eps / 10.0), vec![], vec![]).unwrap();
                    together.wait();
                    store.finish(&[]).unwrap();
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
