//! A sweep over an ONNX file: the same rows as over the same model in percuss's own format, and what is said of a final softmax.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::{Path, PathBuf};

use percuss::models::{Architecture, Config, Model};
use percuss::results::{CellRow, Results};
use percuss::sweep::load;
use percuss::sweep::options::SweepOptions;
use percuss::sweep::plan::Plan;
use percuss::sweep::run::sweep;
use percuss::sweep::study::Study;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The patients' model as an ONNX file with a softmax at its end, and beside it what its own folder says of names, scaling and columns.
fn exported(folder: &Path) -> PathBuf {
    let own = root().join("experiments/models/support2-mlp");
    let config = Config::read(&own.join("config.json")).unwrap();
    let path = folder.join("patients.onnx");
    std::fs::copy(root().join("tests/golden/onnx/patients/model.onnx"), &path).unwrap();
    std::fs::copy(own.join("preprocess.json"), folder.join("preprocess.json")).unwrap();
    let beside =
        serde_json::json!({ "class_names": config.class_names, "input_scaling": config.input_scaling });
    std::fs::write(folder.join("patients.json"), beside.to_string()).unwrap();
    path
}

fn study(folder: &Path, model: &Path, output: &str) -> Study {
    let text = format!(
        r#"name = "patients"
seeds = [0]
[[data]]
id = "patients"
name = "support2"
split = "test"
limit = 80
[[model]]
id = "mlp"
path = '{}'
data = ["patients"]
{output}
[[attack]]
kind = ["fgsm", "pgd"]
aim = ["any", "hide"]
budget = [{{ norm = "linf", eps = [0.05, 0.2, 0.5] }}, {{ norm = "l2", eps = [0.5, 2] }}]
steps = 8
"#,
        model.display()
    );
    let file = folder.join("study.toml");
    std::fs::write(&file, text).unwrap();
    Study::read(&file).unwrap()
}

fn rows(study: &Study, out: &Path) -> Vec<CellRow> {
    let options = SweepOptions {
        threads: Some(2),
        out: Some(out.to_path_buf()),
        quiet: true,
        device: "cpu".into(),
        ..SweepOptions::default()
    };
    sweep(study, &options).unwrap();
    let mut cells = Results::open(out).unwrap().cells().unwrap().to_vec();
    cells.sort_by_key(|cell| format!("{} {:?} {:?} {:?}", cell.attack, cell.aim, cell.norm, cell.eps));
    cells
}

#[test]
fn an_onnx_file_gives_the_rows_of_the_model_that_it_was_exported_from() {
    let folder = tempfile::tempdir().unwrap();
    let exported = exported(folder.path());
    let own = rows(
        &study(folder.path(), &root().join("experiments/models/support2-mlp"), ""),
        &folder.path().join("own"),
    );
    let study = study(folder.path(), &exported, "output = \"probabilities\"");
    let found = rows(&study, &folder.path().join("onnx"));
    assert_eq!(own.len(), found.len());
    assert!(own.len() >= 18, "{}", own.len());
    for (own, found) in own.iter().zip(&found) {
        let what = format!("{} {:?} {:?} {:?}", own.attack, own.aim, own.norm, own.eps);
        assert_eq!(own.clean_accuracy, found.clean_accuracy, "{what}");
        assert_eq!(own.asked_robust, found.asked_robust, "{what}");
        assert_eq!(own.n_success, found.n_success, "{what}");
        assert!(found.flags.iter().all(|flag| flag.as_str() != "final-softmax"), "{what}");
        assert_ne!(own.cell_id, found.cell_id, "{what}: another file is another model");
    }
    assert!(own.iter().any(|cell| cell.asked_robust < cell.asked_clean), "something was attacked");
}

#[test]
fn a_softmax_that_nobody_speaks_of_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let exported = exported(folder.path());
    let refused = load::model(&study(folder.path(), &exported, ""), 0).unwrap_err().to_string();
    assert!(refused.contains("output = \"probabilities\" in the [[model]] table"), "{refused}");
    assert!(load::model(&study(folder.path(), &exported, "output = \"probabilities\""), 0).is_ok());
}

#[test]
fn a_softmax_that_stays_is_said_in_the_plan_and_in_every_row() {
    let folder = tempfile::tempdir().unwrap();
    let exported = exported(folder.path());
    let study = study(folder.path(), &exported, "output = \"logits\"");
    let plan = Plan::new(&study, None).unwrap();
    let said = plan
        .warnings
        .iter()
        .any(|warning| warning.contains("ends in a softmax") && warning.contains("probabilities"));
    assert!(said, "{:?}", plan.warnings);
    let found = rows(&study, &folder.path().join("kept"));
    assert!(found.iter().all(|cell| cell.flags.iter().any(|flag| flag.as_str() == "final-softmax")));
}

#[test]
fn a_study_does_not_scale_whole_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let bert = root().join("tests/golden/onnx/bert.trace20.onnx");
    let scaled = |input: &str| load::model(&study(folder.path(), &bert, input), 0);
    let error = scaled("input = { mean = [0], std = [50] }").unwrap_err().to_string();
    for part in ["model.input.std", "50", "1 for input1", "(model mlp)"] {
        assert!(error.contains(part), "{error} does not say {part:?}");
    }
    assert!(scaled("input = { mean = [0], std = [1] }").is_ok());
    let error = scaled("input = { mean = [0, 0], std = [1] }").unwrap_err().to_string();
    assert!(error.contains("model.input.mean") && error.contains("2 numbers"), "{error}");
}

#[test]
fn what_is_said_of_outputs_must_be_so() {
    let folder = tempfile::tempdir().unwrap();
    let golden = |name: &str| root().join(format!("tests/golden/onnx/{name}.onnx"));
    let told = |model: &Path, output: &str| load::model(&study(folder.path(), model, output), 0);
    let error = told(&golden("resnet18.trace13"), "output = \"probabilities\"").unwrap_err().to_string();
    assert!(error.contains("output") && error.contains("softmax"), "{error}");
    let error = told(&golden("keras_mlp"), "output = \"logits\"").unwrap_err().to_string();
    assert!(error.contains("sigmoid") && error.contains("probabilities"), "{error}");
    let model: Model = told(&golden("keras_mlp"), "output = \"probabilities\"").unwrap();
    assert!(matches!(&model.config.architecture, Architecture::Onnx(onnx) if !onnx.keeps_ending));
}
