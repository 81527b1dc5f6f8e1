//! A flat network takes signals and images of as many values: what can be trained can be evaluated, planned and swept.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;
use std::process::Command;

use percuss::models::Config;
use percuss::results::Results;
use percuss::training::{Options, train};
use percuss_kernels::Device;
use support::write_model;

const TRAIN: &str = r#"
out = "linear"
epochs = 2
batch = 64
[data]
name = "ecg-synthetic"
limit = 1000
[model]
architecture = "mlp"
hidden = []
[optimizer]
kind = "adamw"
learning_rate = 1e-2
"#;

const STUDY: &str = r#"
name = "flat"
[[data]]
id = "beats"
name = "ecg-synthetic"
limit = 60
[[data]]
id = "images"
name = "cxr-phantom"
limit = 20
[[model]]
id = "linear"
path = "linear"
data = ["beats"]
expect = { accuracy = [0.5, 1] }
[[model]]
id = "mlp"
path = "mlp"
data = ["images"]
[[attack]]
kind = "pgd"
budget = [{ norm = "linf", eps = [0.05, 3] }, { norm = "l2", eps = 0.5 }, { norm = "l1", eps = 2 }]
steps = 5
save = "all"
"#;

/// What a command prints; it must succeed.
fn answer(folder: &Path, arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_percuss")).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_was_trained_on_signals_and_images_is_swept_on_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("TRAIN.toml"), TRAIN).unwrap();
    train(&folder.join("TRAIN.toml"), &Options::new(Device::Cpu { threads: 1 }, 1)).unwrap();
    let text = r#"{"architecture": "mlp", "inputs": 784, "hidden": [8], "classes": 2,
        "input_scaling": {"mean": [127.0], "std": [64.0]}}"#;
    write_model(&folder.join("mlp"), &Config::parse(text, "test").unwrap());
    std::fs::write(folder.join("study.toml"), STUDY).unwrap();

    let clean: serde_json::Value =
        serde_json::from_str(&answer(folder, &["eval", "study.toml", "--device", "cpu", "--json"])).unwrap();
    assert_eq!((&clean[0]["model"], &clean[0]["n"]), (&"linear".into(), &60.into()));
    let accuracy = clean[0]["metrics"]["accuracy"].as_f64().unwrap();
    assert!(accuracy >= 0.5, "{accuracy}");
    let plan: serde_json::Value =
        serde_json::from_str(&answer(folder, &["plan", "study.toml", "--json"])).unwrap();
    assert_eq!((&plan["cells"], &plan["cells_unknown"]), (&8.into(), &0.into()));

    answer(folder, &["sweep", "study.toml", "--device", "cpu", "--quiet", "--out", "out"]);
    let results = Results::open(&folder.join("out")).unwrap();
    let cells = results.cells().unwrap();
    assert_eq!(cells.len(), 8);
    for cell in cells {
        let samples = results.samples(&cell.cell_id).unwrap();
        let right = samples.iter().filter(|sample| sample.clean_pred == sample.label).count();
        if cell.model == "linear" {
            assert_eq!(right as f64 / 60.0, accuracy, "the sweep starts from what eval shows");
        }
        let size = |norm: &str| match norm {
            "linf" => samples.iter().map(|s| s.linf).fold(0.0, f64::max),
            "l2" => samples.iter().map(|s| s.l2).fold(0.0, f64::max),
            _ => samples.iter().map(|s| s.l1).fold(0.0, f64::max),
        };
        let size = size(cell.norm.as_deref().unwrap());
        assert!(size > 0.0 && size <= cell.eps.unwrap(), "{}: {size}", cell.params);
        // Adversarials have the data's shape, not the model's.
        let file = folder.join(format!("out/adversarials/{}.safetensors", cell.cell_id));
        let bytes = std::fs::read(file).unwrap();
        let stored = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let shape: &[usize] = if cell.model == "linear" { &[60, 1, 256, 1] } else { &[20, 28, 28, 1] };
        assert_eq!(stored.tensor("x").unwrap().shape(), shape);
    }
    // 3 mV are more than the R wave: a linear model has nothing left then.
    let strong = cells.iter().find(|cell| cell.model == "linear" && cell.eps == Some(3.0)).unwrap();
    assert_eq!(strong.robust_accuracy, Some(0.0));
}

#[test]
fn another_number_of_values_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text = r#"{"architecture": "mlp", "inputs": 255, "hidden": [], "classes": 5}"#;
    write_model(&folder.join("linear"), &Config::parse(text, "test").unwrap());
    let study = STUDY.split("[[model]]\nid = \"mlp\"").next().unwrap();
    std::fs::write(folder.join("study.toml"), study).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_percuss"))
        .args(["eval", "study.toml", "--device", "cpu"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("[1, 256, 1]") && message.contains("[255], the model's input"), "{message}");
}
