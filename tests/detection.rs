//! Detectors as defences of backdoor cells, from study file to rows.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::results::{CellRow, MetricRow};
use percuss::sweep::options::SweepOptions;
use percuss::sweep::study::Study;
use support::threats::{Fixture, PATIENTS, check_company, metrics_of, param};

const DETECTORS: &str = r#"
[[defense]]
id = "none"
[[defense]]
id = "spectral"
kind = "spectral-signatures"
[[defense]]
id = "clusters"
kind = "activation-clustering"
components = 3
reduction = "pca"
[[defense]]
id = "strip"
kind = "strip"
overlays = 8
inputs = 150
clean = 60
[[defense]]
id = "cleanse"
kind = "neural-cleanse"
steps = 12
clean = 16
"#;

fn study(trigger: &str) -> String {
    format!("{DETECTORS}[[backdoor]]\n{trigger}\n")
}

/// Five classes of beats, small enough to be trained in a moment.
const BEATS: &str = r#"
epochs = 6
batch = 32
[data]
name = "ecg-synthetic"
val = "none"
limit = 500
[model]
architecture = "mlp"
hidden = [24]
[optimizer]
kind = "adamw"
learning_rate = 3e-3
"#;

#[test]
fn detectors_look_at_the_same_model_and_report_their_roc() {
    let tables = study("kind = \"value\"\nrate = [0, 0.12]\namplitude = 4\ntarget = 0");
    let fixture = Fixture::new(PATIENTS, &tables);
    fixture.run("all", SweepOptions::default());
    let (cells, metrics, samples) = fixture.rows("all");
    assert_eq!(cells.len(), 2 * 2 * 5);
    let find = |defense: &str, rate: f64, seed: u64| -> &CellRow {
        let is = |cell: &&CellRow| {
            cell.defense == defense && param(cell, "rate") == rate && cell.seed == Some(seed)
        };
        cells.iter().find(is).unwrap()
    };
    for (rate, seed) in [(0.0, 0), (0.0, 1), (0.12, 0), (0.12, 1)] {
        let plain = find("none", rate, seed);
        let own = metrics_of(plain, &metrics);
        assert!(!own.keys().any(|(metric, _)| metric.starts_with("detector")));
        for defense in ["spectral", "clusters", "strip", "cleanse"] {
            let cell = find(defense, rate, seed);
            // The same model: all that the undefended cell has is here, too.
            let found = metrics_of(cell, &metrics);
            for (key, row) in &own {
                let here = MetricRow { cell_id: plain.cell_id.clone(), ..found[key].clone() };
                assert_eq!(here, **row, "{defense}");
            }
            assert_eq!(cell.n_success, plain.n_success);
            let of = |cell: &CellRow| -> Vec<_> {
                samples.iter().filter(|row| row.cell_id == cell.cell_id).map(|row| row.adv_pred).collect()
            };
            assert_eq!(of(cell), of(plain));
            let auc = found.get(&("detector_auc", "all"));
            if rate == 0.0 && ["spectral", "clusters"].contains(&defense) {
                assert!(auc.is_none(), "nothing was poisoned");
                continue;
            }
            let auc = auc.unwrap();
            assert!((0.0..=1.0).contains(&auc.value.unwrap()));
            assert_eq!(auc.value_clean.is_some(), ["strip", "cleanse"].contains(&defense));
            assert!(rate > 0.0 || auc.value == auc.value_clean, "rate 0 is the twin");
            let rates: Vec<f64> = (0..42)
                .filter_map(|k| {
                    let rate =
                        if k == 0 { 0.0 } else { 10f64.powf(-4.0 + 4.0 * (f64::from(k) - 1.0) / 40.0) };
                    found.get(&("detector_roc", format!("fpr={rate:.3e}").as_str()))?.value
                })
                .collect();
            assert!(rates.len() == 42 && rates[41] == 1.0 && rates.windows(2).all(|pair| pair[0] <= pair[1]));
            let [strict, loose] =
                ["fpr=0.01", "fpr=0.05"].map(|scope| found[&("detector_tpr", scope)].value.unwrap());
            assert!(strict <= loose);
        }
    }
    for seed in 0..2 {
        let spectral = metrics_of(find("spectral", 0.12, seed), &metrics)[&("detector_auc", "all")];
        // A tenth of the set, and a rare value in all of it.
        assert_eq!(spectral.n, 400);
        assert!(spectral.low < spectral.value && spectral.value < spectral.high);
        let clusters = metrics_of(find("clusters", 0.12, seed), &metrics);
        for class in ["class:0", "class:1"] {
            let share = clusters[&("smaller_cluster_share", class)];
            assert!(share.value > Some(0.0) && share.value <= Some(0.5) && share.value_clean.is_some());
            let silhouette = clusters[&("silhouette", class)];
            assert!(silhouette.value > Some(-1.0) && silhouette.value < Some(1.0));
        }
        // 150 inputs as they are, and those of them that are not of the target class stamped.
        let strip = metrics_of(find("strip", 0.12, seed), &metrics)[&("detector_auc", "all")];
        assert!(strip.n > 150 && strip.n < 300);
    }
}

#[test]
fn reversed_triggers_are_told_class_by_class() {
    let cleanse =
        "[[defense]]\nid = \"cleanse\"\nkind = \"neural-cleanse\"\nsteps = 60\nclean = 24\nweight = 0.01\n";
    let tables =
        format!("{cleanse}[[backdoor]]\nkind = \"pulse\"\namplitude = 0.8\nrate = 0.15\ntarget = 2\n");
    let fixture = Fixture::new(BEATS, &tables);
    fixture.run("all", SweepOptions::default());
    let (cells, metrics, _) = fixture.rows("all");
    assert_eq!(cells.len(), 2);
    for cell in &cells {
        let found = metrics_of(cell, &metrics);
        let success = found[&("trigger_success", "all")];
        assert!(success.value > success.value_clean, "{success:?}");
        let mut indices = Vec::new();
        for class in 0..5 {
            let scope = format!("class:{class}");
            let number = |metric: &str| found[&(metric, scope.as_str())];
            let (size, hits) = (number("reversed_size"), number("reversed_hits"));
            assert!(size.value > Some(0.0) && size.value < Some(256.0) && size.value_clean.is_some());
            assert!((0.0..=1.0).contains(&hits.value.unwrap()));
            let index = number("anomaly_index");
            let flagged = number("flagged");
            assert_eq!(flagged.value == Some(1.0), index.value > Some(2.0));
            assert_eq!(flagged.value_clean == Some(1.0), index.value_clean > Some(2.0));
            indices.push(index.value.unwrap());
        }
        let mut sorted = indices.clone();
        sorted.sort_by(f64::total_cmp);
        assert_eq!(sorted[2], 0.0, "the median class is no anomaly: {indices:?}");
        let target = found[&("target_flagged", "all")];
        assert_eq!(target.value, found[&("flagged", "class:2")].value);
    }
}

#[test]
fn detected_cells_are_the_same_in_any_company() {
    let tables = study("kind = [\"value\", \"missing-pattern\"]\nrate = 0.1\namplitude = 0.7\ntarget = 1")
        .replace("inputs = 150", "inputs = 40")
        .replace("steps = 12", "steps = 4");
    check_company(&Fixture::new(PATIENTS, &tables));
}

#[test]
fn detectors_are_for_backdoors_and_their_mistakes_are_named() {
    let parse = |tables: &str| {
        let text = format!("name = \"s\"\n[[recipe]]\nid = \"m\"\ntrain = \"m.toml\"\n{tables}");
        Study::parse(&text, std::path::Path::new("study.toml"))
    };
    let both = "[[defense]]\nid = \"none\"\n[[defense]]\nid = \"strip\"\n";
    let study =
        parse(&format!("{both}[[poisoning]]\nkind = \"missing\"\n[[backdoor]]\nkind = \"sine\"\n")).unwrap();
    assert_eq!((&study.threats[0].defenses[..], &study.threats[1].defenses[..]), (&[0][..], &[0, 1][..]));
    let detector = study.defenses[1].detector.as_ref().unwrap();
    assert_eq!(detector.name, "strip");
    assert!(detector.parameters.iter().any(|(name, _)| *name == "overlays"));
    for (tables, place, expected) in [
        (
            format!("{both}[[poisoning]]\nkind = \"missing\"\ndefenses = [\"strip\"]\n"),
            "poisoning.defenses",
            "[[backdoor]]",
        ),
        (
            "[[defense]]\nid = \"strip\"\n[[poisoning]]\nkind = \"missing\"\n".into(),
            "poisoning.defenses",
            "[[backdoor]]",
        ),
        ("[[defense]]\nid = \"a\"\nkind = \"stripe\"\n".into(), "defense.kind", "strip"),
        ("[[defense]]\nid = \"strip\"\noverlay = 3\n".into(), "defense.overlay", "overlays"),
        ("[[defense]]\nid = \"strip\"\noverlays = [1, 2]\n".into(), "defense.overlays", "one"),
        ("[[defense]]\nid = \"strip\"\nshare = 2\n".into(), "defense.share", "from 0 to 1"),
    ] {
        let message = parse(&tables).unwrap_err().to_string();
        assert!(message.contains(place) && message.contains(expected), "{message}");
    }
    // More clean samples than there are test samples.
    let tables = "[[defense]]\nid = \"strip\"\nclean = 100000\n[[backdoor]]\nkind = \"value\"\n";
    let error = Fixture::new(PATIENTS, tables).try_run("all", SweepOptions::default()).unwrap_err();
    assert!(error.to_string().contains("defense.clean"), "{error}");
}
