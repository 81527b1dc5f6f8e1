//! Models of several inputs: one moves under the ladder of budgets, another beside it, whole numbers stay; equal to the same steps in PyTorch.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::Path;

use percuss::models::Weights;
use percuss::results::{CellRow, Results, SampleRow};
use percuss::sweep::options::SweepOptions;
use percuss::sweep::study::Study;
use support::onnx;
use support::sweeps::Fixture;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/several_inputs");
const EPS: [f64; 2] = [0.5, 0.8];

fn study(attack: &str) -> String {
    let inputs = r#"[{ array = "x", bounds = [-2, 2] }, { array = "b", bounds = [-100, 100] }, "c"]"#;
    study_of("data.npz", "model.onnx", &format!("inputs = {inputs}"), attack)
}

/// A study of the data and the model in these files, with further lines on the data.
fn study_of(data: &str, model: &str, lines: &str, attack: &str) -> String {
    format!(
        r#"
name = "several"
[[data]]
id = "all"
path = "{FOLDER}/{data}"
split = "all"
{lines}
[[model]]
id = "net"
path = "{FOLDER}/{model}"
data = ["all"]
[[attack]]
kind = "bim"
steps = 10
step_size = {{ rel = 0.25 }}
stop = "steps"
save = "all"
{attack}
"#
    )
}

fn stored(folder: &Path) -> Vec<f32> {
    let file = fs::read_dir(folder.join("adversarials")).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    bytemuck::pod_collect_to_vec(tensors.tensor("x").unwrap().data())
}

/// What the one cell of a study stored, its row and its samples.
fn run(attack: &str) -> (Vec<f32>, CellRow, Vec<SampleRow>) {
    only(&Fixture::new(&study(attack)))
}

/// That of a fixture's study.
fn only(fixture: &Fixture) -> (Vec<f32>, CellRow, Vec<SampleRow>) {
    assert_eq!(fixture.run("out", SweepOptions::default()).done, 1);
    let folder = fixture.folder.path().join("out");
    let results = Results::open(&folder).unwrap();
    let cell = results.cells().unwrap()[0].clone();
    let samples = results.samples(&cell.cell_id).unwrap();
    (stored(&folder), cell, samples)
}

fn refused(attack: &str) -> String {
    let fixture = Fixture::new(&study(attack));
    fixture.attempt("out", SweepOptions::default()).unwrap_err().to_string()
}

/// The values of one input of every sample `[6 of a, 4 of b, 1 of c]`.
fn part(samples: &[f32], range: std::ops::Range<usize>) -> Vec<f32> {
    samples.chunks(11).flat_map(|sample| sample[range.clone()].to_vec()).collect()
}

fn close(name: &str, found: &[f32], expected: &Weights, tolerance: f32) {
    let expected = &expected.tensors[name].data;
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance, "{name} {i}: {found} for {expected}");
    }
}

fn expected() -> Weights {
    Weights::read(Path::new(&format!("{FOLDER}/expected.safetensors"))).unwrap()
}

#[test]
fn two_inputs_move_at_once_each_within_its_own_budget() {
    let attack = format!(
        r#"budget = [{{ norm = "linf", eps = {} }}]
beside = {{ b = {{ norm = "l2", eps = {} }} }}"#,
        EPS[0], EPS[1]
    );
    let (x, cell, samples) = run(&attack);
    let expected = expected();
    // Ten steps in f32: a sign that both programs round alike, and lengths that differ in the last places.
    close("both.a", &part(&x, 0..6), &expected, 2e-5);
    close("both.b", &part(&x, 6..10), &expected, 2e-5);
    let data = percuss::data::npz::Npz::open(Path::new(&format!("{FOLDER}/data.npz"))).unwrap();
    let clean = |mut npz: percuss::data::npz::Npz, name: &str| npz.array(name).unwrap().numbers.to_f32();
    assert_eq!(part(&x, 10..11), clean(data, "c"), "whole numbers stay");
    let b0 = clean(percuss::data::npz::Npz::open(Path::new(&format!("{FOLDER}/data.npz"))).unwrap(), "b");
    for (b, b0) in part(&x, 6..10).chunks(4).zip(b0.chunks(4)) {
        let length =
            b.iter().zip(b0).map(|(b, b0)| (f64::from(*b) - f64::from(*b0)).powi(2)).sum::<f64>().sqrt();
        assert!(length <= EPS[1], "{length}");
    }
    // The row speaks of the input that the budget is for.
    assert!(samples.iter().all(|sample| sample.linf <= EPS[0] && sample.l0 <= 6));
    assert!(
        cell.params.contains(r#""beside":[{"input":"b","norm":"l2","eps":0.8}]"#),
        "{}",
        cell.params.as_str()
    );
    for (sample, logits) in samples.iter().zip(expected.tensors["both.logits"].data.chunks(3)) {
        let winner = (0..3).max_by(|&i, &j| logits[i].total_cmp(&logits[j])).unwrap();
        assert_eq!(sample.adv_pred as usize, winner);
    }
}

#[test]
fn inputs_without_a_budget_stay() {
    let (x, cell, _) = run(r#"budget = [{ norm = "linf", eps = 0.5 }]"#);
    close("alone.a", &part(&x, 0..6), &expected(), 2e-5);
    let mut npz = percuss::data::npz::Npz::open(Path::new(&format!("{FOLDER}/data.npz"))).unwrap();
    assert_eq!(part(&x, 6..10), npz.array("b").unwrap().numbers.to_f32());
    assert!(!cell.params.contains("beside"));
    let (x, _, samples) = run(r#"input = "b"
budget = [{ norm = "l2", eps = 0.8 }]"#);
    assert_eq!(part(&x, 0..6), npz.array("x").unwrap().numbers.to_f32());
    assert!(samples.iter().any(|sample| sample.l2 > 0.7) && samples.iter().all(|sample| sample.l2 <= 0.8));
}

#[test]
fn budgets_that_no_input_goes_with_are_refused() {
    let name = refused(
        r#"input = "d"
budget = [{ norm = "l2", eps = 0.8 }]"#,
    );
    assert!(name.contains("attack.input") && name.contains("\"d\""), "{name}");
    let whole = refused(
        r#"input = "c"
budget = [{ norm = "l2", eps = 0.8 }]"#,
    );
    assert!(whole.contains("attack.budget") && whole.contains("whole numbers stay"), "{whole}");
    let twice = refused(
        r#"budget = [{ norm = "l2", eps = 0.8 }]
beside = { a = { norm = "linf", eps = 1 } }"#,
    );
    assert!(twice.contains("attack.beside"), "{twice}");
    let words = refused(
        r#"budget = [{ norm = "l2", eps = 0.8 }]
beside = { b = { norm = "tokens", eps = 1 } }"#,
    );
    assert!(words.contains("attack.beside") && words.contains("tokens"), "{words}");
}

#[test]
fn arrays_in_another_order_and_bounds_of_all_are_refused() {
    let attack = r#"budget = [{ norm = "linf", eps = 0.5 }]"#;
    let refused =
        |text: &str| Fixture::new(text).attempt("out", SweepOptions::default()).unwrap_err().to_string();
    let arrays = r#"[{ array = "x", bounds = [-2, 2] }, { array = "b", bounds = [-100, 100] }, "c"]"#;
    let swapped = refused(&study(attack).replace(arrays, r#"["b", "x", "c"]"#));
    assert!(swapped.contains("[4, 6, 1]") && swapped.contains("a of 6, b of 4, c of 1"), "{swapped}");
    let path = "model.onnx\"\n";
    let bounds =
        refused(&study(attack).replace(path, &format!("{path}input = {{ bounds = [-100, 100] }}\n")));
    assert!(bounds.contains("model.input.bounds") && bounds.contains("bounds of each array"), "{bounds}");
}

#[test]
fn naming_the_usual_input_makes_no_other_cell() {
    let attack = r#"budget = [{ norm = "linf", eps = 0.5 }]
[[attack]]
kind = "bim"
steps = 10
step_size = { rel = 0.25 }
stop = "steps"
input = "a"
budget = [{ norm = "linf", eps = 0.5 }]"#;
    assert_eq!(Fixture::new(&study(attack)).run("out", SweepOptions::default()).done, 1);
}

#[test]
fn what_moves_beside_moves_by_a_norm_of_the_attack() {
    let attack = r#"budget = [{ norm = "linf", eps = 0.5 }]
beside = { b = { norm = "l1", eps = 1 } }"#;
    let study = study(attack).replace("\"bim\"", "\"mi-fgsm\"");
    let error = Study::parse(&study, Path::new("study.toml")).unwrap_err().to_string();
    assert!(error.contains("a norm that mi-fgsm has"), "{error}");
}

/// A study of a table's categories beside its numbers: of each other's, which one is the ladder's changes nothing.
fn categories(attack: &str) -> String {
    study_of("categories.csv", "categories.onnx", "", attack)
}

#[test]
fn categories_beside_other_numbers_are_paid_for_by_their_own_budget() {
    let both = |norm: &str, eps: f64| {
        let own = format!("{{ norm = \"{norm}\", eps = {eps} }}");
        let numbers = r#"{ norm = "linf", eps = 0.1 }"#;
        let beside = format!("budget = [{numbers}]\nbeside = {{ categories = {own} }}");
        let turned = format!("input = \"categories\"\nbudget = [{own}]\nbeside = {{ numbers = {numbers} }}");
        let beside = only(&Fixture::new(&categories(&beside))).0;
        assert_eq!(beside, only(&Fixture::new(&categories(&turned))).0, "{norm} {eps}");
        beside
    };
    let clean = only(&Fixture::new(&categories(r#"budget = [{ norm = "linf", eps = 0.1 }]"#))).0;
    let flips = |x: &[f32]| -> Vec<usize> {
        let of = |(x, clean): (&[f32], &[f32])| {
            let group = |from: usize| usize::from(x[from..from + 3] != clean[from..from + 3]);
            assert!([2, 5].iter().all(|&from| x[from..from + 3].iter().sum::<f32>() == 1.0));
            assert_eq!(x[..2], clean[..2], "numbers have a budget of their own");
            group(2) + group(5)
        };
        x.chunks(8).zip(clean.chunks(8)).map(of).collect()
    };
    // A flip costs the root of 2 (l2), and 1 (linf).
    for (norm, eps, most) in
        [("l2", 1.4, 0), ("l2", 1.5, 1), ("l2", 2.1, 2), ("linf", 0.9, 0), ("linf", 1.0, 2)]
    {
        let flips = flips(&both(norm, eps));
        assert_eq!(flips.iter().max(), Some(&most), "{norm} {eps}");
    }
}

#[test]
fn a_category_in_two_inputs_is_refused() {
    let study = categories(r#"budget = [{ norm = "linf", eps = 0.1 }]"#)
        .replace("categories.onnx", "categories_cut.onnx");
    let error = Fixture::new(&study).attempt("out", SweepOptions::default()).unwrap_err().to_string();
    assert!(
        error.contains("one-hot features") && error.contains("every category within one input"),
        "{error}"
    );
}

/// A table under a network with an input for each column is attacked as the table that it is: as under a network that takes it whole.
#[test]
fn all_columns_of_a_table_move_however_many_inputs_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let table = (0..40).fold("age,visits,lab,y".to_string(), |text, row| {
        text + &format!("\n{}.5,{},{}.25,{}", 40 + row * 7 % 50, row % 4, row * 5 % 13, row / 2 % 2)
    });
    std::fs::write(folder.path().join("t.csv"), table).unwrap();
    let spec = "outcome = \"y == 1\"\nclasses = [\"no\", \"yes\"]\n[scale]\ndefault = \"none\"\n";
    std::fs::write(folder.path().join("t.toml"), spec).unwrap();
    let weights = [0.03, -0.03, 0.4, -0.4, -0.2, 0.2];
    let network = |kinds: &[(&str, bool)]| {
        let mut parts = Vec::new();
        let mut names = Vec::new();
        for (name, whole) in kinds {
            parts.push(if *whole { onnx::integers(name, &[-1, 1]) } else { onnx::input(name, &[-1, 1]) });
            names.push(if *whole { format!("real {name}") } else { name.to_string() });
            if *whole {
                parts.push(onnx::node("Cast", &[name], &[&names[names.len() - 1]], &[onnx::whole("to", 1)]));
            }
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        parts.push(onnx::node("Concat", &names, &["x"], &[onnx::whole("axis", 1)]));
        parts
    };
    let run = |mut parts: Vec<Vec<u8>>, norm: &str, lines: &str| {
        parts.push(onnx::node("MatMul", &["x", "w"], &["y"], &[]));
        parts.push(onnx::reals("w", &[3, 2], &weights));
        parts.push(onnx::output("y", &[-1, 2]));
        std::fs::write(folder.path().join("m.onnx"), onnx::file(17, &parts)).unwrap();
        let attack = format!("budget = [{{ norm = \"{norm}\", eps = 2.5 }}]\n{lines}");
        let own = folder.path().display().to_string();
        let text = study_of("t.csv", "m.onnx", "", &attack).replace(FOLDER, &own);
        let fixture = Fixture::new(&text);
        only(&fixture)
    };
    let reals = [("age", false), ("visits", false), ("lab", false)];
    for norm in ["linf", "l2"] {
        let (whole, ..) = run(vec![onnx::input("x", &[-1, 3])], norm, "");
        let (parts, cell, _) = run(network(&reals), norm, "");
        assert_eq!(whole, parts, "{norm}");
        assert_eq!(cell.inputs.as_deref(), Some("all columns"));
    }
    // Whole numbers stay, the columns on both sides of them move; one that is named moves alone.
    let moved = |x: &[f32]| -> [bool; 3] {
        let clean =
            |row: usize| [40.5 + (row * 7 % 50) as f32, (row % 4) as f32, 0.25 + (row * 5 % 13) as f32];
        let differs = |at: usize| x.chunks(3).enumerate().any(|(row, x)| x[at] != clean(row)[at]);
        [differs(0), differs(1), differs(2)]
    };
    let whole = [("age", false), ("visits", true), ("lab", false)];
    assert_eq!(moved(&run(network(&whole), "linf", "").0), [true, false, true]);
    let (x, cell, _) = run(network(&reals), "linf", "input = \"age\"");
    assert_eq!((moved(&x), cell.inputs.as_deref()), ([true, false, false], Some("age")));
    let beside = "beside = { lab = { norm = \"linf\", eps = 1 } }";
    assert_eq!(moved(&run(network(&reals), "linf", beside).0), [true, false, true]);
}
