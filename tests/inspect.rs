//! `percuss inspect`: what a model's folder tells of patients, and how much memory it may take; the same limit of a study's weights.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::{Command, Output};

const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/models");

fn percuss(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_percuss")).args(arguments).current_dir(folder).output().unwrap()
}

fn answer(folder: &Path, arguments: &[&str]) -> String {
    let output = percuss(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refusal(folder: &Path, arguments: &[&str]) -> String {
    let output = percuss(folder, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A copy of the model of tables that is in the repository.
fn model(folder: &Path) {
    std::fs::create_dir(folder.join("mlp")).unwrap();
    for file in ["config.json", "model.safetensors", "preprocess.json"] {
        std::fs::copy(format!("{MODELS}/support2-mlp/{file}"), folder.join("mlp").join(file)).unwrap();
    }
}

#[test]
fn a_models_folder_says_what_could_identify_somebody() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path());
    let page = || answer(folder.path(), &["inspect", "mlp", "--private"]);
    let said = page();
    for part in [
        "what could identify somebody",
        "a model can tell who was in its training set",
        "training.data: support2, ",
        "training.data_sha256: ",
        "preprocess.json      table_sha256",
        "smallest and largest value of ",
        "race: 6 categories: asian, black, hispanic, missing, other, white\n",
        "dzgroup: 8 categories: ARF/MOSF w/Sepsis, CHF, COPD, Cirrhosis, Colon Cancer, Coma, ...\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("seen"), "{said}");
    // Fingerprints of the training rows: beside the folder, or in it, as earlier versions left them.
    let seen = r#"{"about": "rows", "preprocess_sha256": "00", "seen": "00000000000100000000000f"}"#;
    std::fs::write(folder.path().join("mlp.seen.json"), seen).unwrap();
    assert!(page().contains("mlp.seen.json        beside the folder: fingerprints of the training rows"));
    let file = folder.path().join("mlp/preprocess.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen('{', "{\"seen\": \"00000000000100000000000f\",", 1)).unwrap();
    assert!(page().contains("seen: fingerprints of the training rows, by an earlier version"), "{}", page());
}

#[test]
fn memory_bounds_what_inspect_reads_and_a_larger_limit_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path());
    let table: String = (0..2000).map(|i| format!("{i},{}\n", i * i)).collect();
    std::fs::write(folder.path().join("t.csv"), format!("a,b\n{table}")).unwrap();
    for (path, place) in [("mlp", "weights"), ("mlp/model.safetensors", "size"), ("t.csv", "t.csv")] {
        let said = refusal(folder.path(), &["inspect", path, "--memory", "5kB"]);
        assert!(said.contains(place) && said.contains("in memory") && said.contains("--memory"), "{said}");
        assert!(!answer(folder.path(), &["inspect", path, "--memory", "50MB"]).is_empty());
    }
}

#[test]
fn memory_bounds_the_weights_of_a_study() {
    let folder = tempfile::tempdir().unwrap();
    model(folder.path());
    let study = "name = \"a\"\n[[data]]\nid = \"p\"\nname = \"support2\"\nsplit = \"test\"\nlimit = 10\n\
                 [[model]]\nid = \"m\"\npath = \"mlp\"\ndata = \"p\"\n\
                 [[attack]]\nkind = \"fgsm\"\nbudget = [{ norm = \"linf\", eps = 0.1 }]\n";
    std::fs::write(folder.path().join("study.toml"), study).unwrap();
    for command in ["eval", "plan", "sweep"] {
        let device: &[&str] = if command == "sweep" { &["--device", "cpu"] } else { &[] };
        let said = refusal(folder.path(), &[&[command, "study.toml", "--memory", "30kB"], device].concat());
        assert!(
            said.contains("weights: found") && said.contains("the limit of --memory"),
            "{command}: {said}"
        );
        answer(folder.path(), &[&[command, "study.toml", "--memory", "500MB"], device].concat());
    }
}
