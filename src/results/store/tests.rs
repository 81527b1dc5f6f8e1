//! A results folder as a store leaves it; what the other tests of stores share.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use crate::results::Results;
use crate::results::hold::STUDY_FILE;

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

pub(super) fn push(store: &mut Store, cell: usize) {
    let (cell, metrics, samples) = rows(cell);
    store.push(cell, metrics, samples).unwrap();
}

pub(super) fn temporaries(dir: &Path) -> usize {
    let count = |folder: &Path| names(folder).unwrap().iter().filter(|n| n.ends_with(".tmp")).count();
    count(dir) + count(&parts_folder(dir, Shard::WHOLE))
}

/// A cell of the model that a study had before, or of the one that it has.
pub(super) fn version(model: &str, cells: std::ops::Range<usize>) -> Vec<Text> {
    cells.map(|i| format!("{model}{i}").into()).collect()
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
