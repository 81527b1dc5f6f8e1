//! Membership inference from study file to Parquet: every attack, every knowledge, what is shared and what is said before.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use percuss::attacks::privacy::REGISTRY;
use percuss::attacks::privacy::hop_skip_jump::{Effort, Region, Search, hop_skip_jump, search_together};
use percuss::attacks::threats::Threat;
use percuss::data::{Request, open};
use percuss::results::{CellRow, MetricRow, SampleRow};
use percuss::sweep::options::SweepOptions;
use percuss::sweep::plan::Plan;
use percuss::sweep::study::Study;
use support::threats::{Fixture, Rows, check_company, param};

/// Patients learnt by heart.
const OVERFITTED: &str = r#"
epochs = 60
batch = 32
[data]
name = "support2"
val = "none"
limit = 300
site = "dzgroup"
[model]
architecture = "mlp"
hidden = [64]
[optimizer]
kind = "adamw"
learning_rate = 5e-3
weight_decay = 0.0
"#;

/// A study of models that learn patients by heart.
fn overfitted(tables: &str) -> Fixture {
    Fixture::new(OVERFITTED, tables)
}

/// How many trained models a results folder keeps.
fn kept(fixture: &Fixture, name: &str) -> usize {
    std::fs::read_dir(fixture.out(name).join("members")).unwrap().count()
}

fn percuss(fixture: &Fixture, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_percuss"));
    let output = command.args(arguments).current_dir(fixture.folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn metric<'a>(rows: &'a Rows, cell: &CellRow, name: &str, scope: &str) -> &'a MetricRow {
    let same = |row: &&MetricRow| row.cell_id == cell.cell_id && row.metric == name && row.scope == scope;
    rows.1.iter().find(same).unwrap_or_else(|| panic!("no {name} of {scope} for {}", cell.params))
}

/// The attacks of the registry as a list in TOML.
fn all_attacks() -> String {
    format!("{:?}", REGISTRY.iter().map(|attack| attack.name).collect::<Vec<_>>())
}

#[test]
fn every_attack_runs_and_tells_members_of_an_overfitted_model_from_others() {
    let fixture = overfitted(&format!(
        "[[membership]]\nkind = {}\nshadows = 12\nnoise = 1.0\ncopies = 40\ndecisions = 150\n",
        all_attacks()
    ));
    let report = fixture.run("all", SweepOptions::default());
    assert_eq!((report.done, report.complete), (2 * REGISTRY.len(), true));
    let rows = fixture.rows("all");
    for cell in &rows.0 {
        let auc = metric(&rows, cell, "auc", "all");
        // Minus the entropy alone does not look at the label.
        let least = if cell.attack == "entropy" { 0.45 } else { 0.5 };
        assert!(auc.low.unwrap() > least, "{}: {auc:?}", cell.attack);
        assert_eq!(metric(&rows, cell, "accuracy", "members").value, Some(1.0), "learnt by heart");
        let own: Vec<&SampleRow> = rows.2.iter().filter(|row| row.cell_id == cell.cell_id).collect();
        assert_eq!((own.len(), cell.n), (300, 300));
        assert!(own.iter().all(|row| !row.margin_adv.is_nan()));
        let tpr = metric(&rows, cell, "tpr", "fpr=0.01");
        assert!(tpr.low <= tpr.value && tpr.value <= tpr.high);
        let shadows = !matches!(&*cell.attack, "noise-distance" | "boundary-distance");
        assert_eq!(param(cell, "shadows"), if shadows { 12 } else { 0 }, "{}", cell.attack);
        let transferred = rows.1.iter().any(|r| r.cell_id == cell.cell_id && r.scope == "shadow-threshold");
        assert_eq!(transferred, shadows, "{}", cell.attack);
    }
    // Who is further from the boundary, and who is right more often under noise, says more than being right alone.
    let area = |attack: &str| -> f64 {
        let of = rows.0.iter().filter(|cell| cell.attack == attack);
        of.map(|cell| metric(&rows, cell, "auc", "all").value.unwrap()).sum::<f64>() / 2.0
    };
    assert!(area("boundary-distance") > area("gap") && area("noise-distance") > area("gap"));
    // Shadow models of all attacks, and a target a seed.
    assert_eq!(kept(&fixture, "all"), 12 + 2);
}

#[test]
fn knowledge_decides_who_the_candidates_are_and_who_trains_on_what() {
    let fixture = overfitted(
        "[[membership]]\nkind = [\"gap\", \"loss\", \"lira\", \"rmia\"]\nshadows = 10\nmode = [\"online\", \"offline\"]\n\
         knows = [\"exact\", \"distribution\", \"elsewhere\", \"labels\"]\n",
    );
    let plan = Plan::new(&fixture.study, None).unwrap();
    let training = plan.training.as_ref().unwrap();
    // Gap and loss have no mode; lira and rmia have two, of which online wants candidates in shadow models.
    assert_eq!(training.tables[0].product, 2 * 4 * (2 + 2 * 2));
    let left_out: u64 = training.tables[0].left_out.values().sum();
    assert_eq!((left_out, training.cells), (2 * ((1 + 4) + 2 * 2), 2 * (4 + 3 + 2 * (2 + 1 + 1))));
    assert_eq!((training.models.shadows, training.models.targets), (3 * 10, 3 * 2));
    let report = fixture.run("all", SweepOptions::default());
    assert_eq!(report.done as u64, training.cells);
    assert_eq!(kept(&fixture, "all") as u64, training.models.all(), "what the plan said");
    let rows = fixture.rows("all");
    let request = Request {
        limit: Some(300),
        subgroups: vec!["dzgroup".into()],
        ..Request::named("support2", "train")
    };
    let data = open(&request, None).unwrap();
    for cell in &rows.0 {
        let own: Vec<&SampleRow> = rows.2.iter().filter(|row| row.cell_id == cell.cell_id).collect();
        let members = own.iter().filter(|row| row.label == 1).count();
        assert_eq!(members, own.len() / 2, "half of the pool are members");
        let knows = param(cell, "knows").as_str().unwrap().to_string();
        match knows.as_str() {
            "exact" | "labels" => assert_eq!(own.len(), 300),
            "distribution" => assert_eq!(own.len(), 150),
            _ => {
                let pool: BTreeSet<u64> = own.iter().map(|row| row.sample).collect();
                let sites = |inside: bool| -> BTreeSet<&str> {
                    let of = (0..data.len()).filter(|&i| pool.contains(&data.index[i]) == inside);
                    of.map(|i| data.subgroups["dzgroup"][i].as_str()).collect()
                };
                assert!(sites(true).is_disjoint(&sites(false)) && !sites(false).is_empty());
            }
        }
        assert_eq!(param(cell, "shadows"), if knows == "labels" { 0 } else { 10 });
    }
    let labels: Vec<&CellRow> = rows.0.iter().filter(|cell| param(cell, "knows") == "labels").collect();
    assert_eq!(labels.len(), 2, "nothing but the gap");
}

#[test]
fn rows_are_the_same_in_any_company() {
    let fixture = overfitted(
        "[[membership]]\nkind = [\"lira\", \"rmia\"]\nshadows = 6\nqueries = [1, 3]\nmode = \"offline\"\nknows = [\"exact\", \"elsewhere\"]\n\
         [[membership]]\nkind = [\"noise-distance\", \"boundary-distance\"]\nnoise = [0.5, 1]\ncopies = 10\ndecisions = [40, 80]\nknows = \"labels\"\n",
    );
    check_company(&fixture);
    // A kept model is read again, and one that is gone is trained again.
    let first = fixture.run("lost", SweepOptions { limit_cells: Some(3), ..SweepOptions::default() });
    assert_eq!((first.done, first.complete), (3, false));
    let lost = std::fs::read_dir(fixture.out("lost/members")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(lost).unwrap();
    fixture.run("lost", SweepOptions::default());
    assert_eq!(fixture.rows("lost"), fixture.rows("all"), "broken off, a model lost, and resumed");
}

#[test]
fn images_and_signals_are_asked_under_shifts_and_noise_of_their_own_units() {
    let recipe = |data: &str, layers: &str| {
        format!(
            "epochs = 6\nbatch = 16\n[data]\nname = \"{data}\"\nval = \"none\"\nlimit = 60\n\
             [model]\narchitecture = \"cnn\"\nlayers = [{layers}{{ kind = \"flatten\" }}, {{ kind = \"linear\", out = CLASSES }}]\n\
             [optimizer]\nkind = \"adamw\"\nlearning_rate = 5e-3\n"
        )
    };
    let image = recipe("cxr-phantom", "{ kind = \"max_pool\", kernel = 2 }, ").replace("CLASSES", "2");
    let signal = "epochs = 6\nbatch = 16\n[data]\nname = \"ecg-synthetic\"\nval = \"none\"\nlimit = 60\n\
                  [model]\narchitecture = \"mlp\"\nhidden = [16]\n[optimizer]\nkind = \"adamw\"\nlearning_rate = 5e-3\n";
    let fixture = Fixture::with(
        &[("image", &image), ("signal", signal)],
        "[[membership]]\nkind = [\"lira\", \"rmia\"]\nshadows = 6\nqueries = [1, 3]\nmode = \"offline\"\ngamma = 1\n\
         [[membership]]\nkind = [\"noise-distance\", \"boundary-distance\"]\nrecipes = [\"image\"]\nnoise = 40\ncopies = 8\ndecisions = 60\n\
         [[membership]]\nkind = [\"noise-distance\", \"boundary-distance\"]\nrecipes = [\"signal\"]\nnoise = 0.3\ncopies = 8\ndecisions = 60\n",
    );
    let report = fixture.run("all", SweepOptions::default());
    assert_eq!(report.done, 2 * 2 * (4 + 2));
    let rows = fixture.rows("all");
    let scores = |cell: &CellRow| -> Vec<f32> {
        rows.2.iter().filter(|row| row.cell_id == cell.cell_id).map(|row| row.scores_adv[0]).collect()
    };
    for cell in &rows.0 {
        let scores = scores(cell);
        assert!(scores.iter().any(|score| *score != scores[0]), "{}", cell.params);
        if cell.attack == "boundary-distance" {
            let finite = scores.iter().filter(|score| score.is_finite()).count();
            assert!(finite > 50, "{finite} of 60 boundaries were found on {}", cell.model);
        }
    }
    let lira = |queries: u64| -> Vec<Vec<f32>> {
        let of = |cell: &&CellRow| cell.attack == "lira" && param(cell, "queries") == queries;
        rows.0.iter().filter(of).map(scores).collect()
    };
    assert!(lira(1).iter().all(|one| lira(3).iter().all(|three| one != three)), "variants tell more");
}

#[test]
fn an_adversary_may_have_another_architecture_and_not_other_patients() {
    let linear = OVERFITTED.replace("hidden = [64]", "hidden = []");
    let other = OVERFITTED.replace("limit = 300", "limit = 200");
    let recipes = [("mlp", OVERFITTED), ("linear", linear.as_str()), ("other", other.as_str())];
    let tables = |shadow: &str| {
        format!(
            "[[membership]]\nkind = \"lira\"\nrecipes = [\"mlp\"]\nmode = \"offline\"\nshadows = 6\nshadow_recipe = {shadow}\n"
        )
    };
    let fixture = Fixture::with(&recipes, &tables("[\"mlp\", \"linear\"]"));
    assert_eq!(fixture.run("all", SweepOptions::default()).done, 2 * 2);
    assert_eq!(kept(&fixture, "all"), 2 * 6 + 2, "targets are shared");
    let rows = fixture.rows("all");
    let named: Vec<serde_json::Value> = rows.0.iter().map(|cell| param(cell, "shadow_recipe")).collect();
    assert_eq!(named.iter().filter(|name| *name == "linear").count(), 2);
    assert_eq!(named.iter().filter(|name| name.is_null()).count(), 2, "its own recipe is not named");
    let fixture = Fixture::with(&recipes, &tables("\"other\""));
    let message = fixture.try_run("all", SweepOptions::default()).unwrap_err().to_string();
    assert!(
        message.contains("shadow_recipe") && message.contains("the training samples of mlp"),
        "{message}"
    );
    assert!(!fixture.folder.path().join("all/members").exists(), "nothing was trained");
}

#[test]
fn what_dp_sgd_spent_is_in_the_metrics() {
    let fixture = overfitted(
        "[[defense]]\nid = \"none\"\n[[defense]]\nid = \"dp\"\nkind = \"dp-sgd\"\nepsilon = 3.0\ndelta = 1e-3\n\
         [[membership]]\nkind = \"loss\"\nshadows = 0\nknows = [\"exact\", \"distribution\"]\n",
    );
    fixture.run("all", SweepOptions::default());
    let rows = fixture.rows("all");
    assert_eq!(rows.0.len(), 2 * 2 * 2);
    for cell in &rows.0 {
        if cell.defense == "none" {
            assert!(!rows.1.iter().any(|r| r.cell_id == cell.cell_id && r.metric.starts_with("dp_")));
            continue;
        }
        let samples = if param(cell, "knows") == "exact" { 150 } else { 75 };
        let epsilon = metric(&rows, cell, "dp_epsilon", "all");
        assert!((2.99..=3.0).contains(&epsilon.value.unwrap()) && epsilon.n == samples, "{epsilon:?}");
        assert_eq!(metric(&rows, cell, "dp_delta", "all").value, Some(1e-3));
        let rate = 32.0 / samples as f64;
        assert_eq!(metric(&rows, cell, "dp_sample_rate", "all").value, Some(rate));
        assert_eq!(metric(&rows, cell, "dp_steps", "all").value, Some((60 * (samples / 32)) as f64));
        assert!(metric(&rows, cell, "dp_noise_multiplier", "all").value > Some(0.3));
    }
}

#[test]
fn searches_side_by_side_come_to_what_each_comes_to_alone() {
    // Class 1 above a plane; the third feature cannot change.
    let normal = [3.0f64, -4.0, 2.0, 0.5];
    let side = |x: &[f32]| normal.iter().zip(x).map(|(n, x)| n * f64::from(*x)).sum::<f64>() - 1.0;
    let mut decide = |points: &[Vec<f32>]| Ok(points.iter().map(|x| u32::from(side(x) > 0.0)).collect());
    let origins: Vec<Vec<f32>> =
        (0..12).map(|i| (0..4).map(|k| ((i * 7 + k * 5) % 11) as f32 / 4.0 - 1.2).collect()).collect();
    let bounds: Vec<[Vec<f32>; 2]> =
        origins.iter().map(|x| [vec![-3.0, -3.0, x[2], -3.0], vec![3.0, 3.0, x[2], 3.0]]).collect();
    let scale = [1.0f32; 4];
    let region = |i: usize| Region { low: &bounds[i][0], high: &bounds[i][1], scale: &scale };
    let effort = |i: usize| Effort { queries: 2_000, seed: 3, sample: i as u64 };
    let label = |i: usize| u32::from(side(&origins[i]) > 0.0);
    let start = |i: usize| {
        let away = if label(i) == 1 { -1.0 } else { 1.0 };
        vec![vec![3.0 * away, -3.0 * away, 0.0, 0.0]]
    };
    let search =
        |i: usize| Search::new(origins[i].clone(), label(i), region(i), effort(i), start(i)).unwrap();
    let together = search_together((0..12).map(search).collect(), &mut decide).unwrap();
    let reach = (normal[0].powi(2) + normal[1].powi(2) + normal[3].powi(2)).sqrt();
    for (i, found) in together.iter().enumerate() {
        let alone = search_together(vec![search(i)], &mut decide).unwrap().remove(0);
        assert_eq!(*found, alone);
        let found = found.as_ref().unwrap();
        assert_eq!(found.point[2], origins[i][2], "what cannot change did not");
        let distance = side(&origins[i]).abs() / reach;
        assert!(
            found.distance >= distance * (1.0 - 1e-6) && found.distance < 1.1 * distance,
            "{i}: {found:?} {distance}"
        );
        assert!(found.queries <= 2_000);
        let plain = hop_skip_jump(&origins[i], label(i), region(i), effort(i), &mut decide).unwrap().unwrap();
        assert!(plain.distance < 1.1 * distance, "from a uniform start: {plain:?}");
    }
}

#[test]
fn attacks_and_plan_say_what_there_is_and_what_it_takes() {
    let fixture = overfitted(
        "[[poisoning]]\nkind = \"label-flip\"\nrate = [0.1, 0.2]\n[[backdoor]]\nkind = \"value\"\n\
         [[membership]]\nkind = [\"gap\", \"lira\"]\nshadows = [6, 16]\nmode = \"offline\"\nknows = [\"exact\", \"labels\"]\n",
    );
    let table = percuss(&fixture, &["attacks"]);
    for threat in Threat::ALL {
        assert!(table.lines().any(|line| line.starts_with(threat.table())), "{table}");
        for attack in threat.attacks() {
            assert!(table.lines().any(|line| line.starts_with(attack.name)), "{} in {table}", attack.name);
            let page = percuss(&fixture, &["attacks", attack.name]);
            assert!(
                page.contains(attack.paper) && page.contains(&format!("[[{}]]", threat.table())),
                "{page}"
            );
            for parameter in &attack.parameters {
                assert!(page.contains(&format!("{} = {}\n", parameter.name, parameter.default)), "{page}");
            }
        }
    }
    let page = percuss(&fixture, &["plan", "study.toml", "--device", "cpu"]);
    // Of gap and lira with 6 and 16 shadow models under two kinds of knowledge, lira falls away under labels and the gap is one there.
    for line in [
        "[[poisoning]] on line 6",
        "-4 an attack on scores where the adversary sees labels alone",
        "-2 the same configuration again",
        "16 cells that train models, altogether",
        "4 unpoisoned twins",
        "6 models on poisoned sets",
        "16 shadow models",
        "2 targets of membership inference",
        "28 models to train",
        "floating-point operations of training",
        "as a step was timed here",
    ] {
        assert!(page.contains(line), "{line} in {page}");
    }
    let json = percuss(&fixture, &["plan", "study.toml", "--device", "cpu", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["training"]["models"], &json["training"]["cells"]), (&28.into(), &16.into()));
    assert_eq!(json["training"]["models_unshared"], 2 * 6 + 2 * (7 + 17) * 2 + 2);
}

#[test]
fn mistakes_are_named_before_anything_is_trained() {
    let study = |tables: &str| overfitted(tables);
    let elsewhere = "[[membership]]\nkind = \"lira\"\nmode = \"offline\"\nknows = \"elsewhere\"\n";
    let placeless = OVERFITTED.replace("site = \"dzgroup\"\n", "");
    let fixture = Fixture::with(&[("mlp", &placeless)], elsewhere);
    let message = fixture.try_run("all", SweepOptions::default()).unwrap_err().to_string();
    assert!(
        message.contains("mlp.toml: data.site: found no such key, and samples without groups"),
        "{message}"
    );
    let nowhere = OVERFITTED.replace("dzgroup", "ward");
    let fixture = Fixture::with(&[("mlp", &nowhere)], elsewhere);
    let message = fixture.try_run("all", SweepOptions::default()).unwrap_err().to_string();
    assert!(message.contains("`ward`") && message.contains("dzgroup"), "{message}");
    let fixture = study("[[membership]]\nkind = \"lira\"\nknows = \"labels\"\n");
    let message = fixture.try_run("all", SweepOptions::default()).unwrap_err().to_string();
    assert!(message.contains("membership") && message.contains("labels alone"), "{message}");
    let text = "name = \"bad\"\n[[recipe]]\nid = \"mlp\"\ntrain = \"mlp.toml\"\n[[poisoning]]\nkind = \"label-flip\"\nshadow_recipe = \"mlp\"\n";
    let message = Study::parse(text, Path::new("study.toml")).unwrap_err().to_string();
    assert!(message.contains("poisoning.shadow_recipe"), "{message}");
    let text = text
        .replace("poisoning", "membership")
        .replace("label-flip", "lira")
        .replace("\"mlp\"\n", "\"mpl\"\n");
    let message =
        Study::parse(&text.replacen("id = \"mpl\"", "id = \"mlp\"", 1), &PathBuf::from("study.toml"));
    assert!(message.unwrap_err().to_string().contains("mlp"));
}
