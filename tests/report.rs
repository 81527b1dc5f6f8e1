//! The picture and the table of a results folder.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use percuss::results::curves::write_curves;
use percuss::results::plot::{robustness_svg, write_robustness_svg};
use percuss::results::summary::{Context, Head, summarise};
use percuss::results::table::{MAX_LINES, shown_cells, table};
use percuss::results::trained_table::{self, trained_table};
use percuss::results::{CellRow, Overview, Results, SampleRow, SeedRow, Shard, Store, StudyText, Text};

/// How strong an attack is in this made-up study: which share of the budget it uses well.
fn strength(attack: &str) -> f64 {
    match attack {
        "fgsm" => 0.55,
        "mi-fgsm" => 0.9,
        _ => 1.0,
    }
}

/// A study of made-up outcomes: sample i breaks at a size of its own.
fn folder(dir: &std::path::Path) -> Results {
    let study = StudyText { name: "demo".into(), text: "name = \"demo\"".into() };
    let mut store = Store::open(dir, &study, Shard::WHOLE).unwrap();
    let mut plan = Vec::new();
    let models: [(&str, &str, &str, bool, f64); 3] = [
        ("cxr-cnn", "pneumoniamnist", "pixel", false, 1.0),
        ("ecg-resnet1d", "ecg-beats", "mV", true, 0.02),
        ("ehr-mlp", "support2", "sd", false, 0.05),
    ];
    for (model, data, unit, synthetic, scale) in models {
        let ladders: [(&str, Vec<f64>); 2] = [
            (
                "linf",
                if model == "ehr-mlp" {
                    (1..=8).map(f64::from).collect()
                } else {
                    vec![0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
                },
            ),
            ("l2", vec![5.0, 10.0, 20.0, 40.0, 80.0]),
        ];
        for (norm, ladder) in ladders {
            for attack in ["fgsm", "pgd", "mi-fgsm"] {
                for eps in &ladder {
                    for seed in 0..if attack == "pgd" { 3 } else { 1 } {
                        let eps = eps * scale;
                        let cell_id: Text = format!("{model}-{norm}-{attack}-{eps}-{seed}").into();
                        let mut cell = CellRow {
                            cell_id: cell_id.clone(),
                            study: "demo".into(),
                            model: model.into(),
                            data: data.into(),
                            defense: "none".into(),
                            synthetic,
                            threat: "evasion".into(),
                            attack: attack.into(),
                            knowledge: "white".into(),
                            aim: Some("any".into()),
                            norm: Some(norm.into()),
                            eps: Some(eps),
                            eps_unit: Some(unit.into()),
                            stop: Some("steps".into()),
                            seed: (attack == "pgd").then_some(seed),
                            threshold: Some(0.5),
                            ..Default::default()
                        };
                        let pull = strength(attack) * eps / scale * if norm == "l2" { 0.1 } else { 1.0 };
                        let row = |i: u64| {
                            let label = (i % 2) as u32;
                            let right = !i.is_multiple_of(10);
                            let breaks_at = 0.3 + ((i * 37 + seed * 11) % 200) as f64 / 30.0;
                            let broken = pull > breaks_at;
                            let said = |right: bool| if right { label } else { 1 - label };
                            let p = |said: u32| if said == 1 { 0.8 } else { 0.2 };
                            let (clean, adv) = (said(right), said(right && !broken));
                            SampleRow {
                                cell_id: cell_id.clone(),
                                sample: i,
                                label,
                                clean_pred: clean,
                                adv_pred: adv,
                                scores_clean: vec![1.0 - p(clean), p(clean)].into(),
                                scores_adv: vec![1.0 - p(adv), p(adv)],
                                success: right.then_some(broken),
                                robust: right && !broken,
                                linf: eps,
                                l2: eps,
                                ..Default::default()
                            }
                        };
                        let samples: Vec<SampleRow> = (0..200).map(row).collect();
                        let metrics =
                            summarise(&mut cell, &samples, &Context { head: Head::Binary, subgroups: &[] });
                        plan.push(cell_id.clone());
                        store.push(cell, metrics, samples).unwrap();
                    }
                }
            }
        }
    }
    store.finish(&plan).unwrap();
    Results::open(dir).unwrap()
}

#[test]
fn the_picture_and_the_table_say_what_the_results_say() {
    // Kept, to be looked at.
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("results-report");
    let _ = std::fs::remove_dir_all(&dir);
    let results = folder(&dir);
    let (cells, overview, curves) =
        (results.cells().unwrap(), Overview::of(&results).unwrap(), write_curves(&results).unwrap());
    let shown = shown_cells(&overview);
    let metrics = results.metrics_of(shown.iter().map(Text::as_str)).unwrap();
    let svg_file = dir.join("robustness.svg");
    let title = "demo: robustness over budget";
    assert!(write_robustness_svg(&svg_file, title, &overview, &curves, &metrics).unwrap());
    let svg = std::fs::read_to_string(&svg_file).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    for text in [
        "ecg-resnet1d on ecg-beats (synthetic)",
        "cxr-cnn on pneumoniamnist",
        "mi-fgsm",
        "budget eps (mV)",
        "l2 norm",
        "by group: under pgd, l2 eps ",
        "class 0 (100)",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(!svg.contains("pneumoniamnist (synthetic)") && !svg.contains("NaN"));
    assert_eq!(Some(svg), robustness_svg(title, &overview, &curves, &metrics).unwrap());

    let text = table(&overview, &metrics);
    assert_eq!(text, table(&overview, &results.metrics().unwrap()), "what is shown is all that is needed");
    std::fs::write(dir.join("table.txt"), &text).unwrap();
    assert!(text.lines().count() <= MAX_LINES);
    let heading =
        text.lines().find(|line| line.starts_with("ecg-resnet1d on ecg-beats (synthetic)")).unwrap();
    // One sample in ten is wrong when clean, and all of those have label 0.
    assert!(
        heading.ends_with("n 200, clean accuracy 0.900, sensitivity 1.000, specificity 0.800"),
        "{heading}"
    );
    let row = text.lines().find(|line| line.contains("linf (pixel)") && line.contains("fgsm")).unwrap();
    let cell = cells.iter().find(|c| c.cell_id == "cxr-cnn-linf-fgsm-0.5-0").unwrap();
    assert!(row.contains(&format!("0.5: {:.3}", cell.robust_accuracy.unwrap())), "{row}");
    let headings = text.lines().find(|line| line.contains("half at")).unwrap();
    let place = |line: &str, part: &str| line.find(part).unwrap();
    assert_eq!(place(headings, "robust accuracy at eps"), place(row, "0.5: "), "{text}");
    assert_eq!(place(headings, "and at the largest eps"), place(row, "sens."), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 140), "{text}");
}

#[test]
fn every_kind_of_flag_has_a_line() {
    let cell = |eps: f64, flags: &[&str]| CellRow {
        attack: "fgsm".into(),
        model: "m".into(),
        norm: Some("l2".into()),
        eps: Some(eps),
        flags: flags.iter().map(|flag| (*flag).into()).collect(),
        ..Default::default()
    };
    let weaker = "larger-budget-weaker";
    let cells = [cell(1.0, &[]), cell(400.0, &["few-groups", weaker]), cell(800.0, &[weaker])];
    assert_eq!(
        Overview::of_cells(&cells).flagged(),
        "few-groups: 1 cell: fgsm l2 eps 400 on m: see `flags`\n\
         larger-budget-weaker: 2 cells, e.g. fgsm l2 eps 400 on m: see `flags`\n"
    );
    assert_eq!(Overview::of_cells(&cells[..1]).flagged(), "");
}

#[test]
fn many_models_fit_the_table_and_none_says_so() {
    let cells: Vec<CellRow> = (0..30)
        .map(|i| CellRow {
            model: format!("m{i}").into(),
            norm: Some("linf".into()),
            eps: Some(1.0),
            robust_accuracy: Some(0.5),
            attack: "fgsm".into(),
            ..Default::default()
        })
        .collect();
    let text = table(&Overview::of_cells(&cells), &[]);
    assert_eq!(text.lines().count(), MAX_LINES);
    assert!(text.contains("more lines"));
    assert_eq!(table(&Overview::default(), &[]), "No cell with a budget.\n");
    assert_eq!(robustness_svg("t", &Overview::default(), &[], &[]).unwrap(), None);
    assert!(
        robustness_svg("t", &Overview::of_cells(&cells[..1]), &[], &[]).unwrap().is_some(),
        "a lone budget has a picture, too"
    );
}

/// A metric of a configuration of a threat that trains models: `[twin, value, difference, half]` with the same half interval for both.
fn seeded(about: [&str; 3], params: &str, metric: &str, scope: &str, numbers: [f64; 4]) -> SeedRow {
    let [model, threat, attack] = about;
    let [clean, value, difference, half] = numbers;
    SeedRow {
        model: model.into(),
        data: "support2".into(),
        defense: "none".into(),
        threat: threat.into(),
        attack: attack.into(),
        params: params.into(),
        metric: metric.into(),
        scope: scope.into(),
        n_seeds: 20,
        value_clean: Some(clean),
        value: Some(value),
        low: Some(value - half),
        high: Some(value + half),
        difference: Some(difference),
        difference_low: Some(difference - half),
        difference_high: Some(difference + half),
        ..Default::default()
    }
}

#[test]
fn poisoning_is_shown_by_rate_beside_the_twins() {
    let mut rows = Vec::new();
    for choose in ["uniform", "nearest"] {
        // Out of order, as a study may have them.
        for rate in [0.4, 0.1, 0.2, 0.3] {
            let params =
                format!("{{\"attack\":\"label-flip\",\"rate\":{rate},\"class\":0,\"choose\":\"{choose}\"}}");
            let about = ["mlp", "poisoning", "label-flip"];
            let worse = [0.8, 0.8 - rate / 4.0, -rate / 4.0, 0.01];
            rows.push(seeded(about, &params, "auroc", "all", worse));
            rows.push(seeded(about, &params, "auroc", "class:1", [0.1; 4]));
            rows.push(seeded(about, &params, "accuracy", "all", [0.75, 0.75 - rate, -rate, 0.02]));
        }
    }
    // An attack with settings of its own: what tells label flips apart is no word about it.
    let params = "{\"attack\":\"missing\",\"rate\":0.4,\"class\":0,\"magnitude\":1.0}";
    rows.push(seeded(["mlp", "poisoning", "missing"], params, "auroc", "all", [0.8, 0.7999, -0.0001, 0.01]));
    let text = trained_table(&rows);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "mlp on support2, poisoning, 20 seeds: twins' AUC 0.800, accuracy 0.750");
    let shown =
        "0.1: 0.775 (-0.025 ±0.010)  0.3: 0.725 (-0.075 ±0.010)  0.4: 0.700 (-0.100 ±0.010)  accuracy -0.400";
    assert_eq!(lines[2], format!("  label-flip uniform  {shown}"));
    assert_eq!(lines[3], format!("  label-flip nearest  {shown}"));
    assert_eq!(lines[4], "  missing             0.4: 0.800 (0.000 ±0.010)");
    let place = |line: &str, part: &str| line.split(part).next().unwrap().chars().count();
    assert_eq!(place(lines[1], "AUC at rate"), place(lines[2], "0.1: "), "{text}");
    assert_eq!(place(lines[1], "differences at"), place(lines[2], "accuracy -"), "{text}");
    assert_eq!(lines.len(), 5);
}

#[test]
fn classes_in_the_parameters_have_their_names() {
    let params = |from: &str| format!("{{\"attack\":\"label-flip\",\"from\":{from},\"rate\":0.1}}");
    let about = ["mlp", "poisoning", "label-flip"];
    let row = |from: &str, classes: &[&str]| SeedRow {
        classes: classes.iter().map(|name| Text::from(*name)).collect(),
        ..seeded(about, &params(from), "auroc", "all", [0.8, 0.7, -0.1, 0.01])
    };
    for (classes, name) in [(&["alive", "dead"][..], "from dead"), (&[], "from 1")] {
        let text = trained_table(&[row("\"any\"", classes), row("1", classes)]);
        assert!(text.contains(&format!("label-flip {name} ")) && text.contains("label-flip any "), "{text}");
    }
}

#[test]
fn backdoors_are_shown_by_amplitude_and_by_what_they_cost() {
    let mut rows = Vec::new();
    for clean_label in [false, true] {
        for amplitude in [0.02, 0.1] {
            let params = format!(
                "{{\"attack\":\"sine\",\"rate\":0.1,\"clean_label\":{clean_label},\"amplitude\":{amplitude}}}"
            );
            let about = ["ecg", "backdoor", "sine"];
            rows.push(seeded(about, &params, "trigger_success", "all", [0.03, 0.9, 0.87, 0.05]));
            rows.push(seeded(about, &params, "trigger_success", "amplitude=0.01", [0.0, 0.5, 0.5, 0.05]));
            rows.push(seeded(about, &params, "accuracy", "all", [0.85, 0.846, -0.004, 0.003]));
        }
    }
    rows.iter_mut().for_each(|row| row.synthetic = true);
    let text = trained_table(&rows);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "ecg on support2 (synthetic), backdoor, 20 seeds: twins' clean accuracy 0.850");
    let success = "0.02: 0.900 ±0.050 (0.030)  0.1: 0.900 ±0.050 (0.030)";
    assert_eq!(lines[2], format!("  sine              {success}    0.846 (-0.004 ±0.003)"));
    assert_eq!(lines[3], format!("  sine clean-label  {success}    0.846 (-0.004 ±0.003)"));
    assert_eq!(lines.len(), 4);
}

#[test]
fn membership_is_shown_by_its_roc_and_a_long_table_says_what_it_leaves_out() {
    let about = ["mlp", "privacy", "lira"];
    let mut rows = Vec::new();
    for mode in ["online", "offline"] {
        let params = format!("{{\"attack\":\"lira\",\"mode\":\"{mode}\"}}");
        for (metric, scope, value) in [
            ("auc", "all", 0.7),
            ("tpr", "fpr=0.01", 0.125),
            ("accuracy", "members", 0.99),
            ("accuracy", "others", 0.7),
        ] {
            rows.push(seeded(about, &params, metric, scope, [0.0, value, 0.0, 0.01]));
        }
    }
    assert_eq!(
        trained_table(&rows),
        "mlp on support2, membership inference, 20 seeds: right on 0.990 of members, 0.700 of others\n  \
         attack        AUC           TPR at 1% FPR  TPR at 0.1% FPR\n  \
         lira online   0.700 ±0.010  0.125 ±0.010   -\n  \
         lira offline  0.700 ±0.010  0.125 ±0.010   -\n"
    );
    let many: Vec<SeedRow> = (0..100)
        .map(|i| {
            let params = format!("{{\"attack\":\"lira\",\"shadows\":{i}}}");
            seeded(about, &params, "auc", "all", [0.0, 0.7, 0.0, 0.01])
        })
        .collect();
    let text = trained_table(&many);
    assert_eq!(text.lines().count(), trained_table::MAX_LINES);
    assert!(text.ends_with("... and 43 more lines: see seeds.parquet\n"), "{text}");
    assert_eq!(trained_table(&[]), "");
}
