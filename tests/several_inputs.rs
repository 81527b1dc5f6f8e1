//! Models of several inputs: one moves under the ladder of budgets, another beside it, whole numbers stay; equal to the same steps in PyTorch.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::Path;

use percuss::models::Weights;
use percuss::results::{CellRow, Results, SampleRow};
use percuss::sweep::options::SweepOptions;
use support::sweeps::Fixture;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/several_inputs");
const EPS: [f64; 2] = [0.5, 0.8];

fn study(attack: &str) -> String {
    format!(
        r#"
name = "several"
[[data]]
id = "all"
path = "{FOLDER}/data.npz"
split = "all"
inputs = [{{ array = "x", bounds = [-2, 2] }}, {{ array = "b", bounds = [-100, 100] }}, "c"]
[[model]]
id = "net"
path = "{FOLDER}/model.onnx"
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
    let fixture = Fixture::new(&study(attack));
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
