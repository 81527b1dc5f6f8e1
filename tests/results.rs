//! A results folder as its user meets it: what is written is what is read, twice the same, and never another study's.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

use percuss::results::{
    CellRow, CurveRow, DESCRIPTION, MetricRow, Results, Row, RunRow, SampleRow, Shard, Store, StudyText,
    Text, read_rows, write_rows,
};

fn study(name: &str) -> StudyText {
    StudyText { name: name.into(), text: format!("name = \"{name}\"\nseeds = [0]\n") }
}

/// A cell with every nullable column set.
fn full_cell(id: &str) -> CellRow {
    CellRow {
        cell_id: id.into(),
        study: "a".into(),
        model: "m".into(),
        model_sha256: "1a".into(),
        data: "d".into(),
        data_sha256: "2b".into(),
        split: "test".into(),
        sample_set_sha256: "3c".into(),
        synthetic: true,
        defense: "none".into(),
        adaptive: true,
        threat: "evasion".into(),
        attack: "pgd".into(),
        attack_revision: 3,
        knowledge: "white".into(),
        aim: Some("target".into()),
        target: Some(4),
        finding: Some("effusion".into()),
        classes: vec!["normal".into(), "pneumonia".into()],
        inputs: None,
        norm: Some("linf".into()),
        eps: Some(0.1),
        eps_unit: Some("mV".into()),
        steps: Some(40),
        step_size: Some(0.01),
        restarts: Some(2),
        random_start: Some(false),
        loss: Some("dlr".into()),
        stop: Some("steps".into()),
        curve: Some("grid".into()),
        seed: Some(7),
        params: "{\"a\":1}".into(),
        n: 100,
        n_attacked: 90,
        n_success: 30,
        n_recovered: 2,
        n_inferred: 0,
        n_groups: Some(12),
        clean_accuracy: Some(0.9),
        accuracy_adv: Some(0.62),
        robust_accuracy: Some(0.6),
        robust_accuracy_low: Some(0.5),
        robust_accuracy_high: Some(0.7),
        ci_method: Some("wilson-groups".into()),
        attack_success_rate: Some(1.0 / 3.0),
        asked: Some("robust accuracy".into()),
        n_concerned: Some(100),
        asked_clean: Some(0.9),
        asked_robust: Some(0.6),
        asked_robust_low: Some(0.5),
        asked_robust_high: Some(0.7),
        threshold: Some(0.4),
        median_l2: Some(f64::INFINITY),
        median_linf: Some(0.1),
        forward_calls: Some(40.5),
        gradient_calls: Some(40.0),
        zero_gradient_share: Some(0.25),
        flags: vec!["few-groups".into(), "gradients-zero".into()],
        precision: "f32".into(),
        device: "cpu".into(),
        version: "0.1.0".into(),
        device_seconds_attributed: 1.5,
    }
}

fn samples(id: &str, n: u64) -> Vec<SampleRow> {
    let row = |i: u64| SampleRow {
        cell_id: id.into(),
        sample: i,
        group: i.is_multiple_of(2).then(|| format!("g{}", i % 7).into()),
        label: 1,
        clean_pred: 1,
        adv_pred: (i % 3) as u32,
        scores_clean: vec![0.25, 0.75].into(),
        scores_adv: if i == 0 { Vec::new() } else { vec![0.5, f32::MIN_POSITIVE, i as f32] },
        success: [None, Some(true), Some(false)][(i % 3) as usize],
        robust: i % 3 == 1,
        l0: i,
        l1: 0.1,
        l2: 0.2,
        linf: f64::MIN_POSITIVE,
        steps_used: 9,
        forward_calls: 10,
        inferred: false,
        margin_clean: -1.5,
        margin_adv: f64::NEG_INFINITY,
    };
    (0..n).map(row).collect()
}

fn round_trip<R: Row + PartialEq + std::fmt::Debug>(rows: &[R]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("table.parquet");
    write_rows(&path, rows).unwrap();
    assert_eq!(read_rows::<R>(&path).unwrap(), rows);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary remains");
    // Rows are equal in Debug, too, which tells 0.0 from -0.0.
    assert_eq!(format!("{:?}", read_rows::<R>(&path).unwrap()), format!("{rows:?}"));
}

#[test]
fn every_column_of_every_table_survives_with_and_without_nulls() {
    round_trip(&[full_cell("x"), CellRow::default()]);
    round_trip(&samples("x", 10));
    round_trip::<SampleRow>(&[]);
    let metric = MetricRow {
        cell_id: "x".into(),
        metric: "auroc".into(),
        scope: "sex=F".into(),
        value_clean: Some(0.9),
        value: Some(-0.0),
        low: Some(0.7),
        high: Some(0.95),
        n: u64::try_from(i64::MAX).unwrap(),
        n_groups: Some(3),
        method: Some("wilson".into()),
    };
    round_trip(&[metric, MetricRow::default()]);
    let curve = CurveRow {
        model: "m".into(),
        aim: Some("any".into()),
        target: Some(1),
        finding: Some("f".into()),
        eps_unit: Some("mV".into()),
        n_groups: Some(2),
        clean_accuracy: Some(1.0),
        robust_accuracy: Some(0.5),
        robust_accuracy_low: Some(0.4),
        robust_accuracy_high: Some(0.6),
        ci_method: Some("wilson".into()),
        worst_attack: Some("pgd".into()),
        attacks: vec!["fgsm".into(), "pgd".into()],
        attack_broke: vec![0, 1],
        samples: vec![4, 9],
        robust: vec![true, false],
        broken_by: vec![None, Some("pgd".into())],
        flags: vec!["few-groups".into()],
        ..Default::default()
    };
    round_trip(&[curve, CurveRow::default()]);
    let run = RunRow {
        driver: Some("x".into()),
        tuning: Some("{}".into()),
        shard: 2,
        shards: 3,
        ..Default::default()
    };
    round_trip(&[run, RunRow::default()]);
}

#[test]
fn every_column_has_a_description_and_counts_are_signed() {
    fn check<R: Row>() {
        for field in R::schema().fields() {
            let about = field.metadata().get(DESCRIPTION).expect("a description");
            assert!(about.ends_with('.') && about.len() > 8, "{}.{}: {about:?}", R::TABLE, field.name());
            assert!(!field.data_type().is_unsigned_integer(), "a difference of {} would wrap", field.name());
        }
    }
    check::<CellRow>();
    check::<MetricRow>();
    check::<SampleRow>();
    check::<CurveRow>();
    check::<RunRow>();
}

#[test]
fn the_documented_columns_are_there_in_their_order() {
    let columns = |schema: arrow_schema::SchemaRef| {
        schema.fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>()
    };
    let documented = "cell_id study model model_sha256 data data_sha256 split sample_set_sha256 synthetic defense adaptive \
        threat attack attack_revision knowledge aim target finding classes norm eps eps_unit steps step_size restarts \
        random_start loss stop seed params n n_attacked n_success n_recovered n_groups clean_accuracy accuracy_adv \
        robust_accuracy robust_accuracy_low robust_accuracy_high ci_method attack_success_rate asked n_concerned asked_clean asked_robust asked_robust_low asked_robust_high threshold median_l2 \
        median_linf forward_calls gradient_calls zero_gradient_share flags precision device version \
        device_seconds_attributed curve n_inferred inputs";
    assert_eq!(columns(CellRow::schema()), documented.split_whitespace().collect::<Vec<_>>());
    let documented = "cell_id metric scope value_clean value low high n n_groups method";
    assert_eq!(columns(MetricRow::schema()), documented.split_whitespace().collect::<Vec<_>>());
    let documented = "cell_id sample group label clean_pred adv_pred scores_clean scores_adv success robust l0 l1 l2 linf \
        steps_used forward_calls margin_clean margin_adv inferred";
    assert_eq!(columns(SampleRow::schema()), documented.split_whitespace().collect::<Vec<_>>());
}

/// Runs cells in the given order of completion, with a part after every `part` cells.
fn sweep(dir: &Path, done: &[usize], part: usize, plan: &[Text], shard: Shard) {
    let mut store = Store::open(dir, &study("a"), shard).unwrap();
    for (i, cell) in done.iter().enumerate() {
        let id = &plan[*cell];
        let metric = MetricRow { cell_id: id.clone(), metric: "auroc".into(), ..Default::default() };
        store.push(full_cell(id), vec![metric], samples(id, 700)).unwrap();
        if i % part == part - 1 {
            store.flush().unwrap();
        }
    }
    store.finish(plan).unwrap();
}

#[test]
fn the_same_cells_give_the_same_bytes_in_whatever_order_they_finished() {
    let plan: Vec<Text> = (0..20).map(|i| format!("c{i}").into()).collect();
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sweep(a.path(), &(0..20).collect::<Vec<_>>(), 20, &plan, Shard::WHOLE);
    // Backwards, in parts of three, and in two invocations.
    sweep(b.path(), &(11..20).rev().collect::<Vec<_>>(), 3, &plan, Shard::WHOLE);
    sweep(b.path(), &(0..11).rev().collect::<Vec<_>>(), 3, &plan, Shard::WHOLE);
    for table in ["cells", "metrics", "samples"] {
        let name = format!("{table}-1-of-1.parquet");
        assert!(
            fs::read(a.path().join(&name)).unwrap() == fs::read(b.path().join(&name)).unwrap(),
            "{table} differs"
        );
    }
    let results = Results::open(b.path()).unwrap();
    assert_eq!(results.cell_ids(), plan);
    assert_eq!(results.samples("c7").unwrap(), samples("c7", 700));
    assert_eq!(results.metrics_by_cell().unwrap()["c7"].len(), 1);
    assert!(results.samples("nobody").unwrap().is_empty());
}

#[test]
fn a_finished_shard_is_not_rewritten() {
    let plan: Vec<Text> = (0..3).map(|i| format!("c{i}").into()).collect();
    let dir = tempfile::tempdir().unwrap();
    sweep(dir.path(), &[0, 1, 2], 2, &plan, Shard::WHOLE);
    let file = dir.path().join("samples-1-of-1.parquet");
    let before = fs::metadata(&file).unwrap().modified().unwrap();
    let mut store = Store::open(dir.path(), &study("a"), Shard::WHOLE).unwrap();
    assert_eq!(store.finished().len(), 3);
    assert!(store.push(full_cell("c1"), vec![], vec![]).is_err(), "a finished cell is never repeated");
    store.finish(&plan).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before);
}

#[test]
fn shards_compact_separately_and_are_read_together() {
    let plan: Vec<Text> = (0..6).map(|i| format!("c{i}").into()).collect();
    let dir = tempfile::tempdir().unwrap();
    let shards = [Shard::new(1, 2).unwrap(), Shard::new(2, 2).unwrap()];
    let own = |shard: Shard| (0..6).filter(|i| shard.owns(*i)).collect::<Vec<_>>();
    let mut second = Store::open(dir.path(), &study("a"), shards[1]).unwrap();
    second.push(full_cell("c1"), vec![], samples("c1", 3)).unwrap();
    second.flush().unwrap();
    // The first shard finishes while the second is still at work, and leaves its parts alone.
    sweep(dir.path(), &own(shards[0]), 1, &plan, shards[0]);
    assert_eq!(Results::open(dir.path()).unwrap().cell_ids(), ["c0", "c2", "c4", "c1"]);
    drop(second);
    sweep(dir.path(), &[3, 5], 1, &plan, shards[1]);
    assert!(!dir.path().join("parts").exists());
    assert_eq!(Results::open(dir.path()).unwrap().cells().unwrap().len(), 6);
    for name in
        ["cells-1-of-2.parquet", "samples-1-of-2.parquet", "metrics-2-of-2.parquet", "cells-2-of-2.parquet"]
    {
        assert!(dir.path().join(name).exists(), "{name}");
    }
    // Another number of shards repeats nothing either.
    assert_eq!(Store::open(dir.path(), &study("a"), Shard::WHOLE).unwrap().finished().len(), 6);
}

#[test]
fn another_study_and_a_second_process_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &study("first"), Shard::WHOLE).unwrap();
    let error = Store::open(dir.path(), &study("second"), Shard::WHOLE).err().unwrap();
    let text = error.to_string();
    assert!(text.contains("study `first`") && text.contains("study `second`"), "{text}");
    assert_eq!(error.exit_code(), 2);
    let error = Store::open(dir.path(), &study("first"), Shard::WHOLE).err().unwrap();
    assert!(error.to_string().contains("one process a shard"), "{error}");
    drop(store);
    Store::open(dir.path(), &study("first"), Shard::WHOLE).unwrap();
}

#[test]
fn bad_files_are_input_errors_that_name_them() {
    let dir = tempfile::tempdir().unwrap();
    let error = Results::open(dir.path()).err().unwrap();
    assert_eq!(error.exit_code(), 2);
    let path = dir.path().join("cells-1-of-1.parquet");
    for table in ["cells", "metrics", "samples"] {
        fs::write(dir.path().join(format!("{table}-1-of-1.parquet")), b"PAR1 not really PAR1").unwrap();
    }
    let error = Results::open(dir.path()).err().unwrap();
    assert!(error.exit_code() == 2 && error.to_string().contains("cells-1-of-1.parquet"), "{error}");
    // A whole Parquet file that lacks our columns.
    write_rows(&path, &[MetricRow::default()]).unwrap();
    let error = read_rows::<CellRow>(&path).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("column study"), "{error}");
    for text in ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"] {
        assert_eq!(text.parse::<Shard>().unwrap_err().exit_code(), 2, "{text}");
    }
}

#[test]
fn every_invocation_leaves_a_row() {
    let dir = tempfile::tempdir().unwrap();
    for outcome in ["interrupted", "done"] {
        let mut store = Store::open(dir.path(), &study("a"), Shard::WHOLE).unwrap();
        store.record_run(&RunRow { outcome: outcome.into(), ..Default::default() }).unwrap();
        store_finish(store);
    }
    let runs = Results::open(dir.path()).unwrap().runs().unwrap();
    assert_eq!(runs.iter().map(|r| r.outcome.as_str()).collect::<Vec<_>>(), ["interrupted", "done"]);
}

fn store_finish(mut store: Store) {
    store.finish(&[]).unwrap();
}
