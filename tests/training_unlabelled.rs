//! Training on findings of which some are not labelled, as CheXpert's users do: what nobody says teaches nothing and is measured by nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;
use std::process::Command;

use percuss::models::{Config, Head, Model};
use percuss::training::trainer::Rule;
use percuss::training::{Loss, Optimizer, Trainer};
use percuss_kernels::Device;
use serde_json::Value;
use support::formula_weights;
use support::labelled::Place;

const CPU: Device = Device::Cpu { threads: 1 };

/// One step of SGD on a linear model of three findings, some of them unlabelled, against the gradient by its formula in f64.
#[test]
fn findings_without_a_label_have_no_gradient() {
    const U: f32 = percuss::data::UNLABELLED as f32;
    let config = Config::parse(
        r#"{"architecture": "mlp", "inputs": 2, "hidden": [], "classes": 3, "head": "sigmoid"}"#,
        "test",
    );
    let config = config.unwrap();
    let x = [[0.5f32, -1.0], [2.0, 0.25], [-0.75, 1.5], [1.0, 1.0]];
    let y = [[1.0, U, 0.0], [U, U, U], [0.0, 1.0, U], [1.0, 0.0, U]];
    let (rate, weights) = (0.5, [2.0f64, 1.0, 3.0]);
    for smoothing in [0.0f64, 0.2] {
        let loss = Loss {
            weights: weights.map(|weight| weight as f32).to_vec(),
            smoothing: smoothing as f32,
            unlabelled: true,
            ..Loss::plain(Head::Sigmoid)
        };
        let sgd = Optimizer::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        let rule = Rule { loss, optimizer: sgd, clip_norm: None };
        let mut trainer = Trainer::new(&config, &rule, 1, 4, &CPU, 1).unwrap();
        trainer.load(0, &formula_weights(&Model::declare(&config))).unwrap();
        let before = trainer.weights(0).unwrap();
        let tensor = |rank: usize| before.iter().find(|(_, tensor)| tensor.shape.len() == rank).unwrap();
        let ((w_name, w), (b_name, b)) = (tensor(2), tensor(1));
        let (mut dw, mut db, mut count) = ([[0.0f64; 2]; 3], [0.0f64; 3], 0.0);
        for (x, y) in x.iter().zip(&y) {
            for k in (0..3).filter(|&k| y[k] != U) {
                let z = f64::from(b.data[k])
                    + (0..2).map(|i| f64::from(w.data[2 * k + i]) * f64::from(x[i])).sum::<f64>();
                let (p, y) = (1.0 / (1.0 + (-z).exp()), f64::from(y[k]));
                let weight = if y == 1.0 { weights[k] } else { 1.0 };
                let slope = weight * (p - ((1.0 - smoothing) * y + 0.5 * smoothing));
                (0..2).for_each(|i| dw[k][i] += slope * f64::from(x[i]));
                db[k] += slope;
                count += 1.0;
            }
        }
        let rows = |rows: &[[f32; 2]]| rows.concat();
        trainer.step(&rows(&x), &y.concat(), rate).unwrap();
        let after = trainer.weights(0).unwrap();
        let near = |found: f32, before: f32, slope: f64| {
            let expected = f64::from(before) - rate * slope / count;
            assert!((f64::from(found) - expected).abs() < 1e-6, "{found} for {expected}");
        };
        assert_eq!(count, 6.0);
        for k in 0..3 {
            (0..2).for_each(|i| near(after[w_name].data[2 * k + i], w.data[2 * k + i], dw[k][i]));
            near(after[b_name].data[k], b.data[k], db[k]);
        }
    }
}

/// Trains on a list; the configuration that is written, or the complaint.
fn train(folder: &Path, list: &str, keys: &str) -> Result<Value, String> {
    std::fs::write(folder.join("m.csv"), list).unwrap();
    let text = format!(
        "out = \"trained\"\nepochs = 2\nbatch = 4\nclass_weights = \"balanced\"\n[data]\nmanifest = \"m.csv\"\ntrain = \"all\"\nval = \"none\"\n\
         test = \"none\"\ncolumns = {{ label = [\"Edema\", \"Mass\"] }}\n{keys}\n[model]\narchitecture = \"mlp\"\nhidden = [2]\nhead = \"sigmoid\"\n\
         [optimizer]\nkind = \"sgd\"\nlearning_rate = 0.1\n"
    );
    std::fs::write(folder.join("t.toml"), text).unwrap();
    let _ = std::fs::remove_dir_all(folder.join("trained"));
    let output = Command::new(env!("CARGO_BIN_EXE_percuss"))
        .args(["train", "t.toml", "--device", "cpu"])
        .current_dir(folder)
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let config = std::fs::read_to_string(folder.join("trained/config.json")).unwrap();
    Ok(serde_json::from_str(&config).unwrap())
}

#[test]
fn a_list_with_gaps_trains_and_its_weights_count_what_is_labelled() {
    let place = Place::new(2, "sigmoid", &[]);
    let folder = place.folder.path();
    let list = "path,Edema,Mass\n0.png,1,\n1.png,0,-1\n2.png,-1,1\n3.png,0,0\n4.png,,1\n5.png,0,1\n";
    let error = train(folder, list, "missing = \"ignore\"").unwrap_err();
    assert!(error.contains("uncertain = ") && error.contains("\"ignore\""), "{error}");
    let ignore = "missing = \"ignore\"\nuncertain = \"ignore\"";
    let config = train(folder, list, ignore).unwrap();
    // Edema: 1 of 4 labelled. Mass: 3 of 4.
    let weights: Vec<f64> =
        config["training"]["class_weights"].as_array().unwrap().iter().map(|w| w.as_f64().unwrap()).collect();
    assert!((weights[0] - 3.0).abs() < 1e-6 && (weights[1] - 1.0 / 3.0).abs() < 1e-6, "{weights:?}");
    assert!(config["training"]["train_loss"].as_f64().unwrap().is_finite());
    // Nothing to learn an output from.
    let none = list.replace(",1\n", ",\n").replace(",0\n", ",\n");
    let error = train(folder, &none, ignore).unwrap_err();
    assert!(error.contains("no sample that is labelled with Mass"), "{error}");
}

/// Threats that train models are measured on one decision a sample: of several findings it would be the first alone.
#[test]
fn threats_that_train_models_refuse_findings() {
    let place = Place::new(2, "sigmoid", &[]);
    let folder = place.folder.path();
    let list = "path,Edema,Mass\n0.png,1,0\n1.png,0,1\n2.png,1,1\n3.png,0,0\n4.png,1,1\n5.png,0,1\n";
    std::fs::write(folder.join("m.csv"), list).unwrap();
    let recipe = "epochs = 1\nbatch = 2\n[data]\nmanifest = \"m.csv\"\nsplits = { test = [1] }\nval = \"none\"\n\
                  columns = { label = [\"Edema\", \"Mass\"], split = \"Mass\" }\n[model]\narchitecture = \"mlp\"\nhidden = [2]\nhead = \"sigmoid\"\n\
                  [optimizer]\nkind = \"sgd\"\nlearning_rate = 0.1\n";
    std::fs::write(folder.join("t.toml"), recipe).unwrap();
    let study = "name = \"s\"\nseeds = [0]\n[[recipe]]\nid = \"r\"\ntrain = \"t.toml\"\n[[poisoning]]\nkind = \"gaussian-noise\"\nrate = 0.5\n";
    std::fs::write(folder.join("s.toml"), study).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_percuss"))
        .args(["plan", "s.toml", "--device", "cpu"])
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("2 findings, expected one class a sample"), "{said}");
}
