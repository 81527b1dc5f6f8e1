//! Every poisoning and every trigger at rate 0 is the unpoisoned twin itself; and what poisoning reports of whom it harms.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::attacks::backdoor::{self, Modality};
use percuss::attacks::poisoning;
use percuss::results::read_rows;
use percuss::results::{CellRow, SeedRow};
use percuss::sweep::options::SweepOptions;
use support::threats::{Fixture, PATIENTS, metrics_of, param};

fn recipe(data: &str) -> String {
    format!(
        "epochs = 2\nbatch = 32\n[data]\nname = \"{data}\"\nval = \"none\"\nlimit = 128\n\
         [model]\narchitecture = \"mlp\"\nhidden = [6]\n[optimizer]\nkind = \"sgd\"\nlearning_rate = 1e-3\n"
    )
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("{:?}", names.collect::<Vec<_>>())
}

#[test]
fn every_trigger_at_rate_0_is_the_twin() {
    for (modality, data) in
        [(Modality::Features, "support2"), (Modality::Ecg, "ecg-synthetic"), (Modality::Image, "cxr-phantom")]
    {
        let triggers = || backdoor::REGISTRY.iter().filter(|trigger| trigger.modality == modality);
        let names = list(triggers().map(|trigger| trigger.name));
        let tables = format!("[[backdoor]]\nkind = {names}\nrate = 0\nclean_label = [true, false]\n");
        let fixture = Fixture::new(&recipe(data), &tables);
        fixture.run("all", SweepOptions::default());
        let (cells, metrics, _) = fixture.rows("all");
        assert_eq!(cells.len(), triggers().count() * 4);
        for cell in &cells {
            let own = metrics_of(cell, &metrics);
            let tried: Vec<_> = own.iter().filter(|((metric, _), _)| *metric == "trigger_success").collect();
            assert!(tried.len() >= 4, "{}", cell.attack);
            // A trigger that nothing has learnt succeeds as often as the twin errs in that way, and no oftener.
            for (scope, row) in tried {
                assert_eq!(row.value, row.value_clean, "{} {scope:?}", cell.attack);
            }
            let accuracy = own[&("accuracy", "all")];
            assert_eq!(accuracy.value, accuracy.value_clean, "{}", cell.attack);
            assert!(own[&("trigger_linf", "all")].value > Some(0.0), "{}", cell.attack);
        }
    }
}

#[test]
fn every_poisoning_at_rate_0_is_the_twin() {
    let names = list(poisoning::REGISTRY.iter().map(|attack| attack.name));
    let tables = format!("[[poisoning]]\nkind = {names}\nrate = 0\nmagnitude = 0.5\n");
    for data in ["support2", "ecg-synthetic"] {
        let fixture = Fixture::new(&recipe(data), &tables);
        fixture.run("all", SweepOptions::default());
        let (cells, metrics, samples) = fixture.rows("all");
        assert_eq!(cells.len(), poisoning::REGISTRY.len() * 2);
        assert!(samples.iter().all(|row| *row.scores_clean == *row.scores_adv));
        assert!(cells.iter().all(|cell| cell.n_success == 0));
        for row in metrics.iter().filter(|row| row.metric != "attack_success_rate") {
            assert_eq!(row.value, row.value_clean, "{} {}", row.metric, row.scope);
        }
    }
}

#[test]
fn flips_reach_whom_they_are_aimed_at_and_seeds_have_intervals() {
    // Few beats are of class 1: a larger rate is refused.
    for (recipe, classes, rate) in [(PATIENTS.to_string(), 2, 0.2), (recipe("ecg-synthetic"), 5, 0.1)] {
        let fixture = Fixture::new(
            &recipe,
            &format!(
                "[[poisoning]]\nkind = \"label-flip\"\nfrom = [\"any\", 1]\nto = [0, \"any\"]\nrate = {rate}\n\
                 [[poisoning]]\nkind = \"label-flip\"\nchoose = [\"nearest\", \"farthest\"]\nrate = {rate}\n\
                 [[poisoning]]\nkind = \"label-flip\"\naim = \"class\"\nclass = 1\nrate = {rate}\n"
            ),
        );
        fixture.run("all", SweepOptions::default());
        let (cells, metrics, _) = fixture.rows("all");
        assert_eq!(cells.len(), 2 * (4 + 2 + 1));
        let (mut farthest, mut nearest) = (Vec::new(), Vec::new());
        for cell in &cells {
            let own = metrics_of(cell, &metrics);
            for class in 0..classes {
                let row = own[&("recall", format!("class:{class}").as_str())];
                assert!(row.low <= row.value && row.value <= row.high && row.value_clean.is_some());
            }
            for metric in ["accuracy", "auroc", "brier", "ece", "balanced_accuracy"] {
                let row = own[&(metric, "all")];
                assert!(row.value.is_some() && row.value_clean.is_some(), "{metric}");
            }
            let (recall, error) = (own[&("recall", "class:1")], own.get(&("target_error", "class:1")));
            assert_eq!(error.is_some(), param(cell, "aim") == "class");
            if let Some(error) = error {
                assert!((error.value.unwrap() + recall.value.unwrap() - 1.0).abs() < 1e-12);
                assert!((error.value_clean.unwrap() + recall.value_clean.unwrap() - 1.0).abs() < 1e-12);
            }
            match param(cell, "choose").as_str().unwrap() {
                "farthest" => farthest.extend(own[&("accuracy", "all")].value),
                "nearest" => nearest.extend(own[&("accuracy", "all")].value),
                _ => {}
            }
        }
        // Flips far from the boundary teach more that is wrong than flips near it.
        if classes == 2 {
            assert!(farthest.iter().sum::<f64>() < nearest.iter().sum::<f64>(), "{farthest:?} {nearest:?}");
        }
        let seeds: Vec<SeedRow> = read_rows(&fixture.out("all").join("seeds.parquet")).unwrap();
        for metric in ["accuracy", "auroc", "ece", "recall", "target_error"] {
            let rows: Vec<&SeedRow> = seeds.iter().filter(|row| row.metric == metric).collect();
            assert!(!rows.is_empty(), "{metric}");
            for row in rows.iter().filter(|row| row.value.is_some()) {
                assert!(row.n_seeds == 2 && row.low.is_some() && row.difference_low.is_some(), "{metric}");
            }
        }
    }
}

#[test]
fn flips_near_the_boundary_of_a_single_logit_are_found() {
    let single = PATIENTS.replace("hidden = [16]", "hidden = [16]\nhead = \"sigmoid\"");
    let fixture =
        Fixture::new(&single, "[[poisoning]]\nkind = \"label-flip\"\nchoose = \"nearest\"\nrate = 0.1\n");
    fixture.run("all", SweepOptions::default());
    let (cells, metrics, _) = fixture.rows("all");
    let changed = |cell: &CellRow| {
        let row = metrics_of(cell, &metrics)[&("recall", "class:0")];
        row.value != row.value_clean
    };
    assert!(cells.len() == 2 && cells.iter().any(changed));
}
