//! Labels from a study to numbers: what the program says and what it comes to once its own lines are followed. The right values are
//! onnxruntime's and scikit-learn's (`tests/cases/labels/make.py`).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use percuss::data::npz::{Npz, Numbers};
use percuss::results::Results;
use serde_json::Value;
use support::npz::{encoded, npy, write};

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/labels")
}

fn percuss(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_percuss")).args(arguments).current_dir(folder).output().unwrap()
}

/// A study of one model on one data set in a folder of its own.
struct Place {
    folder: tempfile::TempDir,
    model: PathBuf,
}

impl Place {
    fn new(model: PathBuf) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), model }
    }

    fn write(&self, data: &str, model: &str) {
        let text = format!(
            "name = \"s\"\n[[data]]\nid = \"d\"\nsplit = \"all\"\n{data}\n[[model]]\nid = \"m\"\npath = '{}'\ndata = [\"d\"]\n{model}\n\
             [[attack]]\nkind = \"fgsm\"\nbudget = [{{ norm = \"linf\", eps = 0.01 }}]\n",
            self.model.display()
        );
        std::fs::write(self.folder.path().join("s.toml"), text).unwrap();
    }

    /// What `percuss eval` says, as JSON; its complaint where it refuses.
    fn eval(&self, data: &str, model: &str) -> Result<Value, String> {
        self.write(data, model);
        let output = percuss(self.folder.path(), &["eval", "s.toml", "--json", "--device", "cpu"]);
        if output.status.success() {
            let all: Value = serde_json::from_slice(&output.stdout).unwrap();
            return Ok(all[0].clone());
        }
        assert_eq!(output.status.code(), Some(2));
        Err(String::from_utf8(output.stderr).unwrap())
    }

    fn accuracy(&self, data: &str, model: &str) -> f64 {
        let answer = self.eval(data, model).unwrap_or_else(|error| panic!("{data} {model}: {error}"));
        answer["metrics"]["accuracy"].as_f64().unwrap()
    }
}

fn close(found: &Value, right: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - right).abs() < 5e-5, "{found} for {right}");
}

/// 24 samples of `f18.npz` as a new archive, whose labels are made of the 18 findings of each.
fn archive(place: &Place, width: usize, label: impl Fn(usize, &[u8]) -> Vec<f64>) {
    let mut own = Npz::open(&cases().join("f18.npz")).unwrap();
    let Numbers::Float(x) = own.array("x").unwrap().numbers else { panic!("reals") };
    let Numbers::U8(y) = own.array("y").unwrap().numbers else { panic!("bytes") };
    let labels: Vec<f64> = y.chunks(18).enumerate().flat_map(|(row, own)| label(row, own)).collect();
    let arrays = [
        ("x", npy("<f4", false, &[24, 1, 16, 16], &encoded("<f4", &x))),
        ("y", npy("<f4", false, &[24, width], &encoded("<f4", &labels))),
    ];
    write(&place.folder.path().join("d.npz"), true, &arrays);
}

fn numbers(row: &[u8]) -> Vec<f64> {
    row.iter().map(|&label| f64::from(label)).collect()
}

/// Names of the 18 outputs, as a line.
fn names() -> String {
    let names: Vec<String> = (0..18).map(|k| format!("\"f{k}\"")).collect();
    format!("classes = [{}]\nhead = \"sigmoid\"", names.join(", "))
}

const NPZ: &str = "path = \"d.npz\"";

#[test]
fn a_head_of_findings_is_refused_with_the_key_that_makes_it_one() {
    let place = Place::new(cases().join("f18.onnx"));
    archive(&place, 18, |_, row| numbers(row));
    let error = place.eval(NPZ, "").unwrap_err();
    assert!(error.contains("head = \"sigmoid\" in the [[model]] table"), "{error}");
    let answer = place.eval(NPZ, "head = \"sigmoid\"").unwrap();
    close(&answer["metrics"]["accuracy"], 0.861_111_1);
    close(&answer["metrics"]["auroc"], 0.941_784_1);
    let error = place.eval(NPZ, "head = \"sigmod\"").unwrap_err();
    assert!(error.contains("softmax, sigmoid"), "{error}");
}

#[test]
fn findings_that_the_data_lack_are_left_out_of_every_number() {
    let place = Place::new(cases().join("f18.onnx"));
    archive(&place, 3, |_, row| [4, 0, 7].map(|k| f64::from(row[k])).to_vec());
    let error = place.eval(NPZ, "head = \"sigmoid\"").unwrap_err();
    assert!(error.contains("findings = [NAME, ...]"), "{error}");
    let data = format!("{NPZ}\nfindings = [\"f4\", \"f0\", \"f7\"]");
    let error = place.eval(&data, "").unwrap_err();
    assert!(error.contains("exclude each other"), "{error}");
    // The model's outputs have no names yet: that is the next thing said.
    let error = place.eval(&data, "head = \"sigmoid\"").unwrap_err();
    assert!(error.contains("[OUTPUT 0, OUTPUT 1, ..., OUTPUT 17]"), "{error}");
    let answer = place.eval(&data, &names()).unwrap();
    close(&answer["metrics"]["accuracy"], 0.805_555_6);
    close(&answer["metrics"]["auroc"], 0.913_001_5);
    let findings: Vec<&str> =
        answer["parts"].as_array().unwrap().iter().map(|part| part["finding"].as_str().unwrap()).collect();
    assert_eq!(findings, ["f0", "f4", "f7"]);
    let told = answer["remarks"].to_string();
    assert!(told.contains("3 of 18 findings are labelled"), "{told}");
    let sweep = percuss(place.folder.path(), &["sweep", "s.toml", "--out", "r", "--device", "cpu"]);
    assert!(sweep.status.success(), "{}", String::from_utf8_lossy(&sweep.stderr));
    let results = Results::open(&place.folder.path().join("r")).unwrap();
    let cells = results.cells().unwrap();
    let mut attacked: Vec<String> =
        cells.iter().map(|cell| cell.finding.as_ref().unwrap().to_string()).collect();
    attacked.sort();
    assert_eq!(attacked, ["f0", "f4", "f7"]);
    for (found, wrong) in
        [("findings = [\"f4\", \"f0\", \"f99\"]", "f99"), ("findings = [\"f4\"]", "1 name in `findings`")]
    {
        let error = place.eval(&format!("{NPZ}\n{found}"), &names()).unwrap_err();
        assert!(error.contains(wrong), "{error}");
    }
}

#[test]
fn samples_without_a_label_are_left_out_of_their_finding_alone() {
    let place = Place::new(cases().join("f18.onnx"));
    let without = |row: usize, own: &[u8]| {
        let mut own = numbers(own);
        own[4] = if row % 2 == 1 { f64::NAN } else { own[4] };
        own
    };
    archive(&place, 18, without);
    let error = place.eval(NPZ, &names()).unwrap_err();
    assert!(error.contains("missing = ") && error.contains("\"ignore\""), "{error}");
    let answer = place.eval(&format!("{NPZ}\nmissing = \"ignore\""), &names()).unwrap();
    let part = &answer["parts"][4];
    assert_eq!((part["finding"].as_str(), part["n"].as_u64()), (Some("f4"), Some(12)));
    close(&part["rates"][0]["value"], 0.75);
    assert_eq!(answer["parts"][5]["n"].as_u64(), Some(24));
    let sweep = percuss(place.folder.path(), &["sweep", "s.toml", "--out", "r", "--device", "cpu"]);
    assert!(sweep.status.success(), "{}", String::from_utf8_lossy(&sweep.stderr));
    let results = Results::open(&place.folder.path().join("r")).unwrap();
    for cell in results.cells().unwrap() {
        let (own, samples) = (cell.finding.as_deref() == Some("f4"), results.samples(&cell.cell_id).unwrap());
        let n = if own { 12 } else { 24 };
        assert_eq!((cell.n, samples.len()), (n, n as usize));
        assert!(!own || samples.iter().all(|row| row.sample % 2 == 0));
    }
}

#[test]
fn images_in_a_list_are_the_classes_that_the_model_calls_so() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/models/pneumoniamnist-cnn");
    let place = Place::new(model);
    for k in 0..6 {
        let name = format!("g{k}.png");
        std::fs::copy(cases().join(&name), place.folder.path().join(&name)).unwrap();
    }
    let list = |labels: [&str; 6], rows: &[usize]| {
        let row = |&k: &usize| format!("g{k}.png,{}\n", labels[k]);
        let text: String = rows.iter().map(row).collect();
        std::fs::write(place.folder.path().join("m.csv"), format!("path,label\n{text}")).unwrap();
    };
    let csv = "manifest = \"m.csv\"";
    let (all, ill) = ([0, 1, 2, 3, 4, 5], [1, 3, 5]);
    let third = 1.0 / 3.0;
    let right = |data: &str, right: f64| {
        let found = place.accuracy(data, "");
        assert!((found - right).abs() < 1e-9, "{data}: {found} for {right}");
    };
    let alternating = |no: &'static str, yes: &'static str| [no, yes, no, yes, no, yes];
    for (no, yes) in [
        ("normal", "pneumonia"),
        ("Normal", "PNEUMONIA"),
        ("0", "1"),
        ("no", "yes"),
        ("False", "True"),
        ("0.0", "1.0"),
    ] {
        list(alternating(no, yes), &all);
        right(csv, third);
        list(alternating(no, yes), &ill);
        right(csv, 0.0);
    }
    list(alternating("normal", "abnormal"), &all);
    let error = place.eval(csv, "").unwrap_err();
    let line = "classes = [\"normal\", \"abnormal\"]";
    assert!(error.contains(line), "{error}");
    right(&format!("{csv}\n{line}"), third);
    list(alternating("1", "2"), &all);
    let error = place.eval(csv, "").unwrap_err();
    let line = "classes = [\"1\", \"2\"]";
    assert!(error.contains(line), "{error}");
    right(&format!("{csv}\n{line}"), third);
}

#[test]
fn images_that_are_listed_again_are_told_by_eval_and_plan() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/models/pneumoniamnist-cnn");
    let place = Place::new(model);
    for k in 0..2 {
        let name = format!("g{k}.png");
        std::fs::copy(cases().join(&name), place.folder.path().join(&name)).unwrap();
    }
    let list = "path,label\ng0.png,normal\ng1.png,pneumonia\ng0.png,pneumonia\n";
    std::fs::write(place.folder.path().join("m.csv"), list).unwrap();
    let answer = place.eval("manifest = \"m.csv\"", "").unwrap();
    let remarks = answer["remarks"].to_string();
    assert!(
        remarks.contains("\"repeated\"") && remarks.contains("labels contradict each other: 1 "),
        "{remarks}"
    );
    let plan = percuss(place.folder.path(), &["plan", "s.toml", "--json", "--device", "cpu"]);
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
    let warnings = plan["warnings"].to_string();
    assert!(warnings.contains("(repeated): labels contradict each other: 1 "), "{warnings}");
}

#[test]
fn a_column_a_class_trains_classes_in_the_order_of_the_columns() {
    let place = Place::new(PathBuf::new());
    let folder = place.folder.path();
    for k in 0..6 {
        let name = format!("g{k}.png");
        std::fs::copy(cases().join(&name), folder.join(&name)).unwrap();
    }
    let rows: String =
        (0..6).map(|k| format!("g{k}.png,{},{},{}\n", k % 3 / 2, (k + 1) % 3 / 2, (k + 2) % 3 / 2)).collect();
    std::fs::write(folder.join("m.csv"), format!("path,nv,mel,bkl\n{rows}")).unwrap();
    let train = |head: &str| {
        let text = format!(
            "out = \"model\"\nepochs = 1\nbatch = 2\n[data]\nmanifest = \"m.csv\"\ntrain = \"all\"\nval = \"none\"\ntest = \"none\"\n\
             columns = {{ label = [\"nv\", \"mel\", \"bkl\"] }}\n[model]\narchitecture = \"mlp\"\nhidden = [2]\n{head}\n\
             [optimizer]\nkind = \"sgd\"\nlearning_rate = 0.1\n"
        );
        std::fs::write(folder.join("t.toml"), text).unwrap();
        let _ = std::fs::remove_dir_all(folder.join("model"));
        let output = percuss(folder, &["train", "t.toml", "--device", "cpu"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let config = std::fs::read_to_string(folder.join("model/config.json")).unwrap();
        serde_json::from_str::<Value>(&config).unwrap()
    };
    for (head, right) in [("", "softmax"), ("head = \"sigmoid\"", "sigmoid")] {
        let config = train(head);
        assert_eq!(config["class_names"], serde_json::json!(["nv", "mel", "bkl"]), "{head}");
        assert_eq!((config["classes"].as_u64(), config["head"].as_str()), (Some(3), Some(right)), "{head}");
    }
}
