//! Threats that train models, from study file to Parquet.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;

use percuss::results::{CellRow, SampleRow, SeedRow, read_rows};
use percuss::sweep::options::SweepOptions;
use percuss::sweep::study::Study;
use support::threats::{Fixture, PATIENTS, check_company, param};

fn seeds(folder: &Path) -> Vec<SeedRow> {
    read_rows(&folder.join("seeds.parquet")).unwrap()
}

const POISONING: &str = r#"
[[poisoning]]
kind = "label-flip"
choose = ["uniform", "nearest"]
rate = [0, 0.2, 0.4]
[[poisoning]]
kind = ["gaussian-noise", "missing"]
magnitude = 0.9
rate = [0.3]
"#;

#[test]
fn poisoned_models_stand_beside_the_twins_of_their_seeds() {
    let fixture = Fixture::new(PATIENTS, POISONING);
    let report = fixture.run("all", SweepOptions::default());
    assert_eq!((report.done, report.complete), (2 * (2 * 3 + 2), true));
    let (cells, metrics, samples) = fixture.rows("all");
    assert!(
        cells.iter().all(|cell| cell.threat == "poisoning" && cell.norm.is_none() && cell.model == "mlp")
    );
    assert_eq!(samples.len(), cells.len() * cells[0].n as usize);
    for cell in &cells {
        let own: Vec<&SampleRow> = samples.iter().filter(|row| row.cell_id == cell.cell_id).collect();
        let untouched = param(cell, "rate") == 0.0;
        let same =
            own.iter().all(|row| *row.scores_clean == *row.scores_adv && row.clean_pred == row.adv_pred);
        assert_eq!(same, untouched, "{}: rate 0, and no other, is the twin itself", cell.params);
        let accuracy =
            metrics.iter().find(|row| row.cell_id == cell.cell_id && row.metric == "accuracy").unwrap();
        assert_eq!((accuracy.value_clean, accuracy.value), (cell.clean_accuracy, cell.accuracy_adv));
    }
    // Twins of one seed are one model; of two seeds they are two.
    let clean = |seed: u64| -> Vec<Option<f64>> {
        cells.iter().filter(|cell| cell.seed == Some(seed)).map(|cell| cell.clean_accuracy).collect()
    };
    assert!(clean(0).iter().all(|accuracy| *accuracy == clean(0)[0]));
    assert_ne!(clean(0)[0], clean(1)[0]);
    let rows = seeds(&fixture.out("all"));
    let auroc: Vec<&SeedRow> =
        rows.iter().filter(|row| row.metric == "auroc" && row.scope == "all").collect();
    assert_eq!(auroc.len(), 2 * 3 + 2, "one row a configuration");
    for row in auroc {
        assert_eq!(row.n_seeds, 2);
        let unpoisoned = row.params.contains("\"rate\":0.0");
        assert_eq!(row.difference == Some(0.0), unpoisoned, "{}", row.params);
        assert!(row.low <= row.value && row.value <= row.high && row.low.is_some());
    }
}

#[test]
fn a_training_study_has_the_same_rows_in_any_company() {
    check_company(&Fixture::new(PATIENTS, POISONING));
}

#[test]
fn a_trigger_works_once_it_was_learnt_and_not_before() {
    let fixture = Fixture::new(
        PATIENTS,
        "[[backdoor]]\nkind = \"value\"\nrate = [0, 0.12]\namplitude = 4\ntarget = 0\n",
    );
    fixture.run("all", SweepOptions::default());
    let by = |cell: &CellRow| format!("{} {}", param(cell, "rate"), cell.seed.unwrap());
    let success = fixture.metric("all", "trigger_success", "all", by);
    for seed in 0..2 {
        let (never, learnt) = (&success[&format!("0.0 {seed}")], &success[&format!("0.12 {seed}")]);
        assert_eq!(never.value, never.value_clean, "rate 0 is the twin");
        assert_eq!(learnt.value_clean, never.value_clean, "the twin never saw it");
        assert!(learnt.value > never.value.map(|rate| rate + 0.3), "{learnt:?} {never:?}");
    }
    let (cells, metrics, samples) = fixture.rows("all");
    assert!(cells.iter().all(|cell| cell.target == Some(0) && cell.threat == "backdoor"));
    assert!(
        samples.iter().all(|row| row.success.is_none() || (row.label != 0 && row.clean_pred == row.label))
    );
    assert!(metrics.iter().any(|row| row.metric == "trigger_success" && row.scope == "amplitude=2"));
    assert!(metrics.iter().any(|row| row.metric == "snr_db" && row.value.is_some_and(f64::is_finite)));
}

#[test]
fn members_are_told_from_others_and_shadow_models_are_trained_once() {
    let fixture = Fixture::new(
        PATIENTS,
        "[[membership]]\nkind = [\"gap\", \"loss\", \"lira\", \"rmia\"]\nshadows = 24\nmode = \"online\"\n\
         [[membership]]\nkind = [\"lira\", \"rmia\"]\nshadows = 24\nmode = \"offline\"\nknows = \"distribution\"\n",
    );
    fixture.run("all", SweepOptions::default());
    let (cells, metrics, samples) = fixture.rows("all");
    assert_eq!(cells.len(), 2 * 6);
    for cell in &cells {
        assert_eq!(cell.threat, "privacy");
        let own: Vec<&SampleRow> = samples.iter().filter(|row| row.cell_id == cell.cell_id).collect();
        let expected = if param(cell, "knows") == "exact" { 400 } else { 200 };
        assert_eq!((own.len(), cell.n), (expected, expected as u64));
        assert_eq!(
            own.iter().filter(|row| row.label == 1).count(),
            expected / 2,
            "half of the pool are members"
        );
        let find = |metric: &str, scope: &str| {
            metrics
                .iter()
                .find(|r| r.cell_id == cell.cell_id && r.metric == metric && r.scope == scope)
                .unwrap()
        };
        let auc = find("auc", "all");
        assert!(auc.low <= auc.value && auc.value <= auc.high && auc.value > Some(0.4), "{auc:?}");
        let tpr = find("tpr", "fpr=0.01");
        assert!(tpr.low <= tpr.value && tpr.value <= tpr.high);
        assert_eq!(find("roc", "fpr=1.000e0").value, Some(1.0));
    }
    // The shadow models of each knowledge, and a target of each seed and knowledge.
    let kept = std::fs::read_dir(fixture.out("all").join("members")).unwrap().count();
    assert_eq!(kept, 2 * 24 + 2 * 2);
    // A run that was broken off goes on from what is there, and comes to the same.
    let first = fixture.run("resumed", SweepOptions { limit_cells: Some(1), ..SweepOptions::default() });
    assert_eq!(first.done, 1);
    let members = fixture.out("resumed").join("members");
    let before: Vec<_> = std::fs::read_dir(&members)
        .unwrap()
        .map(|e| e.unwrap().metadata().unwrap().modified().unwrap())
        .collect();
    assert_eq!(before.len(), 25);
    fixture.run("resumed", SweepOptions::default());
    assert_eq!(fixture.rows("resumed"), (cells, metrics, samples));
}

#[test]
fn private_training_blunts_inference() {
    let tables = "[[defense]]\nid = \"none\"\n[[defense]]\nid = \"dp\"\nkind = \"dp-sgd\"\nepsilon = 1.0\n\
                  [[membership]]\nkind = \"loss\"\nshadows = 0\n";
    let fixture = Fixture::new(PATIENTS, tables);
    fixture.run("all", SweepOptions::default());
    let auc = fixture.metric("all", "auc", "all", |cell| format!("{} {}", cell.defense, cell.seed.unwrap()));
    assert_eq!(auc.len(), 4);
    for seed in 0..2 {
        let private = &auc[&format!("dp {seed}")];
        // Epsilon 1 bounds the advantage: no AUC far from a half.
        assert!(private.low.unwrap() < 0.5 + 0.1, "{private:?}");
    }
}

#[test]
fn mistakes_are_named() {
    for (tables, place, expected) in [
        ("[[poisoning]]\nkind = \"label-flop\"\n", "poisoning.kind", "label-flip"),
        ("[[poisoning]]\nkind = \"label-flip\"\nrates = 0.1\n", "poisoning.rates", "rate"),
        ("[[poisoning]]\nkind = \"label-flip\"\nrate = 1.5\n", "poisoning.rate", "from 0 to 1"),
        ("[[poisoning]]\nkind = \"label-flip\"\nfrom = [1, \"anny\"]\n", "poisoning.from", "any"),
        ("[[poisoning]]\nkind = \"label-flip\"\nto = -1\n", "poisoning.to", "a whole number"),
        ("[[backdoor]]\nkind = \"value\"\nfirst = \"rare\"\n", "backdoor.first", "rarest"),
        (
            "[[backdoor]]\nkind = \"sine\"\nunits_per_millivolt = 0\n",
            "backdoor.units_per_millivolt",
            "a number from",
        ),
        ("[[backdoor]]\nkind = \"value\"\nrecipes = [\"cnn\"]\n", "backdoor.recipes", "mlp"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("study.toml");
        std::fs::write(
            &file,
            format!("name = \"bad\"\n[[recipe]]\nid = \"mlp\"\ntrain = \"mlp.toml\"\n{tables}"),
        )
        .unwrap();
        let message = Study::read(&file).unwrap_err().to_string();
        assert!(message.contains(place) && message.contains(expected), "{message}");
    }
    let error =
        Study::parse("name = \"bad\"\n[[poisoning]]\nkind = \"label-flip\"\n", Path::new("study.toml"));
    assert!(error.unwrap_err().to_string().contains("[[recipe]]"));
}
