//! The picture and the table of a results folder.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use percuss::results::curves::write_curves;
use percuss::results::plot::{robustness_svg, write_robustness_svg};
use percuss::results::summary::{Context, Head, summarise};
use percuss::results::table::{MAX_LINES, shown_cells, table};
use percuss::results::{CellRow, Overview, Results, SampleRow, Shard, Store, StudyText, Text};

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
    assert!(
        write_robustness_svg(&svg_file, "demo: robust accuracy over budget", &overview, &curves).unwrap()
    );
    let svg = std::fs::read_to_string(&svg_file).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    for text in [
        "ecg-resnet1d on ecg-beats (synthetic)",
        "cxr-cnn on pneumoniamnist",
        "mi-fgsm",
        "budget eps (mV)",
        "l2 norm",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(!svg.contains("pneumoniamnist (synthetic)") && !svg.contains("NaN"));
    assert_eq!(Some(svg), robustness_svg("demo: robust accuracy over budget", &overview, &curves).unwrap());

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
    assert_eq!(robustness_svg("t", &Overview::default(), &[]).unwrap(), None);
    assert!(
        robustness_svg("t", &Overview::of_cells(&cells[..1]), &[]).unwrap().is_some(),
        "a lone budget has a picture, too"
    );
}
