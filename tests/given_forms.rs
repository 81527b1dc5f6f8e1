//! Forms that users brought: from the command line to the right answer, which another program or the construction gives.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "support/records.rs"]
mod records;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use percuss::data::npz::Npz;
use percuss::models::Model;
use records::{Signal, annotations, record};
use support::evaluate::evaluate;
use support::npz::{encoded, npy};
use support::onnx::{file, input, node, output, reals, whole};

/// What a command prints; it must succeed.
fn answer(folder: &Path, arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_percuss")).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Clean accuracy of the one model of a study on its one data set.
fn accuracy(folder: &Path, study: &str) -> f64 {
    let clean: serde_json::Value =
        serde_json::from_str(&answer(folder, &["eval", study, "--device", "cpu", "--json"])).unwrap();
    clean[0]["metrics"]["accuracy"].as_f64().unwrap()
}

/// An archive without arrays x and y, whose `inputs` say what the samples are: the second input decides.
#[test]
fn arrays_of_a_model_with_several_inputs_have_the_names_that_the_study_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let model = file(
        17,
        &[
            node("Concat", &["cat", "num"], &["both"], &[whole("axis", 1)]),
            node("MatMul", &["both", "w"], &["y"], &[]),
            reals("w", &[3, 2], &[0.0, 0.0, 0.0, 1.0, 0.0, -1.0]),
            input("cat", &[-1, 1]),
            input("num", &[-1, 2]),
            output("y", &[-1, 2]),
        ],
    );
    std::fs::write(path.join("m.onnx"), model).unwrap();
    let (cat, num) = ([7.0, 0.0, 3.0, 11.0], [2.0, 1.0, 1.0, 2.0, 5.0, -1.0, 0.0, 0.5]);
    support::npz::write(
        &path.join("d.npz"),
        false,
        &[
            ("cat", npy("<f4", false, &[4, 1], &encoded("<f4", &cat))),
            ("num", npy("<f4", false, &[4, 2], &encoded("<f4", &num))),
            // The third is wrong: its first number is larger than its second.
            ("y", npy("<i8", false, &[4], &encoded("<i8", &[1.0, 0.0, 0.0, 0.0]))),
        ],
    );
    let study = "name = \"s\"\n[[data]]\nid = \"d\"\npath = \"d.npz\"\nsplit = \"all\"\ninputs = [\"cat\", \"num\"]\n\
                 [[model]]\nid = \"m\"\npath = \"m.onnx\"\ndata = [\"d\"]\n[[attack]]\nkind = \"fgsm\"\ninput = \"num\"\n\
                 budget = [{ norm = \"linf\", eps = 0.05 }]\n";
    std::fs::write(path.join("s.toml"), study).unwrap();
    assert_eq!(accuracy(path, "s.toml"), 0.75);
    answer(path, &["sweep", "s.toml", "--device", "cpu", "--quiet"]);
    // Inputs of one size cannot be told by it: an array that is called like another input is not that one.
    let model = file(
        17,
        &[
            node("Sub", &["labs", "vitals"], &["y"], &[]),
            input("labs", &[-1, 2]),
            input("vitals", &[-1, 2]),
            output("y", &[-1, 2]),
        ],
    );
    std::fs::write(path.join("m.onnx"), model).unwrap();
    let array = |values: &[f64]| npy("<f4", false, &[4, 2], &encoded("<f4", values));
    support::npz::write(
        &path.join("d.npz"),
        false,
        &[
            ("labs", array(&[1.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 3.0])),
            ("vitals", array(&[0.0; 8])),
            ("y", npy("<i8", false, &[4], &encoded("<i8", &[0.0, 1.0, 0.0, 1.0]))),
        ],
    );
    let study = study.replace("\"num\"", "\"labs\"").replace("\"cat\"", "\"vitals\"");
    std::fs::write(path.join("s.toml"), &study).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_percuss"))
        .args(["eval", "s.toml", "--device", "cpu"])
        .current_dir(path)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = "inputs = [\"labs\", \"vitals\"]";
    assert!(!output.status.success() && error.contains(line), "{error}");
    std::fs::write(path.join("s.toml"), study.replace("inputs = [\"vitals\", \"labs\"]", line)).unwrap();
    assert_eq!(accuracy(path, "s.toml"), 1.0);
}

/// Batch statistics of a weight are a constant: onnxruntime 1.32.0 gave the logits that lie beside the samples.
#[test]
fn standardised_weights_are_folded() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cases/constant-batch-norm");
    assert!(answer(&folder, &["inspect", "model.onnx"]).contains("attack        yes"));
    let model = Model::load(&folder.join("model.onnx")).unwrap();
    let mut npz = Npz::open(&folder.join("samples.npz")).unwrap();
    let mut array = |name: &str| npz.array(name).unwrap().numbers.to_f32();
    let (x, right) = (array("x"), array("logits"));
    let logits =
        evaluate(5, &[(&model.config.input_shape(), &x)], |graph, t| vec![model.logits(graph, t[0])]);
    assert_eq!(right.len(), 10);
    for (own, right) in logits[0].iter().zip(&right) {
        assert!((own - right).abs() < 1e-5, "{own} for {right}");
    }
}

/// A peak of 1 mV at every beat, a beat each 300 samples; the model says V where the middle of the window is high and N elsewhere.
fn peaks(folder: &Path, ticks: u64) {
    let values = (0..21_600i32).map(|at| (200 - 10 * ((at + 150) % 300 - 150).abs()).max(0)).collect();
    record(folder, "a", 360.0, "212", &[Signal { name: "MLII", gain: "200(0)/mV", values }], "");
    let note = format!("## time resolution: {ticks}");
    let notes: &[&str] = if ticks == 360 { &[] } else { &[&note] };
    let marks: Vec<(u64, u16)> = (1..71).map(|beat| (beat * 300 * ticks / 360, 5)).collect();
    annotations(&folder.join("a.atr"), notes, &marks);
}

#[test]
fn beats_of_annotations_at_another_resolution_lie_on_their_peaks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut weights = vec![0.0; 256 * 5];
    weights[100 * 5 + 2] = 2.0;
    let model = file(
        17,
        &[
            node("Flatten", &["x"], &["f"], &[]),
            node("MatMul", &["f", "w"], &["p"], &[]),
            node("Add", &["p", "b"], &["y"], &[]),
            reals("w", &[256, 5], &weights),
            reals("b", &[5], &[1.5, 0.0, 0.0, 0.0, 0.0]),
            input("x", &[-1, 1, 256]),
            output("y", &[-1, 5]),
        ],
    );
    std::fs::write(path.join("m.onnx"), model).unwrap();
    for (name, ticks) in [("plain", 360), ("half", 180), ("fine", 1440)] {
        std::fs::create_dir(path.join(name)).unwrap();
        peaks(&path.join(name), ticks);
        let study = format!(
            "name = \"{name}\"\n[[data]]\nid = \"d\"\npath = \"{name}\"\nsplit = \"test\"\n[[model]]\nid = \"m\"\npath = \"m.onnx\"\n\
             data = [\"d\"]\nexpect = {{ accuracy = [1, 1] }}\n[[attack]]\nkind = \"fgsm\"\nbudget = [{{ norm = \"linf\", eps = 0.001 }}]\n"
        );
        std::fs::write(path.join(format!("{name}.toml")), study).unwrap();
        assert_eq!(accuracy(path, &format!("{name}.toml")), 1.0, "{name}");
        answer(path, &["sweep", &format!("{name}.toml"), "--device", "cpu", "--quiet"]);
    }
}

/// An input that is the same for all samples, and the length of an axis: in the JSON beside the file or in the study, which goes first.
#[test]
fn a_study_gives_what_an_onnx_file_leaves_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let model = file(
        17,
        &[
            node("Mul", &["x", "s"], &["m"], &[]),
            node("MatMul", &["m", "w"], &["y"], &[]),
            reals("w", &[2, 2], &[1.0, 0.0, 0.0, 1.0]),
            input("x", &[-1, -1]),
            input("s", &[]),
            output("y", &[-1, 2]),
        ],
    );
    std::fs::write(path.join("m.onnx"), model).unwrap();
    support::npz::write(
        &path.join("d.npz"),
        false,
        &[
            ("x", npy("<f4", false, &[3, 2], &encoded("<f4", &[2.0, 1.0, 1.0, 2.0, 5.0, -1.0]))),
            ("y", npy("<i8", false, &[3], &encoded("<i8", &[0.0, 1.0, 0.0]))),
        ],
    );
    let study = |keys: &str| {
        let text = format!(
            "name = \"s\"\n[[data]]\nid = \"d\"\npath = \"d.npz\"\nsplit = \"all\"\nbounds = [-9, 9]\n[[model]]\nid = \"m\"\npath = \"m.onnx\"\n\
             data = [\"d\"]\n{keys}\n[[attack]]\nkind = \"fgsm\"\nbudget = [{{ norm = \"linf\", eps = 0.05 }}]\n"
        );
        std::fs::write(path.join("s.toml"), text).unwrap();
    };
    let refusal = |keys: &str| {
        study(keys);
        let output =
            Command::new(env!("CARGO_BIN_EXE_percuss")).args(["eval", "s.toml"]).current_dir(path).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2), "{keys}");
        String::from_utf8(output.stderr).unwrap()
    };
    // The refusal says both places; what it says is done.
    let asked = refusal("");
    assert!(asked.contains("= LENGTH } of a study's [[model]]"), "{asked}");
    assert!(asked.contains("inputs = { \"s\" = VALUE }"), "{asked}");
    study("dimensions = { \"x.1\" = 2 }\ninputs = { \"s\" = 1.0 }");
    assert_eq!(accuracy(path, "s.toml"), 1.0);
    // The sign of s turns every answer: the value is what is computed with.
    study("dimensions = { \"x.1\" = 2 }\ninputs = { s = -1 }");
    assert_eq!(accuracy(path, "s.toml"), 0.0);
    std::fs::write(path.join("m.json"), r#"{ "dimensions": { "x.1": 2 }, "inputs": { "s": -1 } }"#).unwrap();
    study("");
    assert_eq!(accuracy(path, "s.toml"), 0.0);
    study("inputs = { s = [1.0] }");
    assert_eq!(accuracy(path, "s.toml"), 1.0, "the study goes before the file");
    for (keys, word) in [
        ("inputs = { t = 1 }", "no \"t\""),
        ("dimensions = { time = 2 }", "no \"time\""),
        ("dimensions = { \"x.1\" = -2 }", "AXIS = LENGTH"),
        ("inputs = { s = \"high\" }", "a number or a list"),
    ] {
        assert!(refusal(keys).contains(word), "{keys}: {}", refusal(keys));
    }
}
