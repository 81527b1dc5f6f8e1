//! A sweep that is stopped while a long cell runs: what was finished before it stays.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use percuss::results::Results;

/// A cell of milliseconds and, since nothing succeeds within so small a budget, one of minutes.
const STUDY: &str = r#"
name = "slow"
[[data]]
id = "beats"
name = "ecg-synthetic"
split = "test"
limit = 60
[[model]]
id = "resnet"
path = "MODELS/ecg-synthetic-resnet1d"
data = ["beats"]
[[attack]]
kind = "fgsm"
budget = [{ norm = "linf", eps = 1e-6 }]
[[attack]]
kind = "mi-fgsm"
budget = [{ norm = "linf", eps = 1e-6 }]
steps = 100000
"#;

/// Starts the sweep and waits until its first cell can be read.
fn started(folder: &Path) -> Child {
    let file = folder.join("study.toml");
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/models");
    std::fs::write(&file, STUDY.replace("MODELS", models)).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_percuss"))
        .args(["sweep", "--device", "cpu", "--threads", "1", "--quiet", "--out"])
        .arg(folder.join("out"))
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while cells(folder) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "the sweep ended by itself");
        assert!(began.elapsed() < Duration::from_secs(120), "a finished cell was not put away");
        std::thread::sleep(Duration::from_millis(100));
    }
    child
}

fn cells(folder: &Path) -> usize {
    Results::open(&folder.join("out")).map_or(0, |results| results.cell_ids().len())
}

#[test]
fn killed_during_a_long_cell_the_finished_ones_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = started(folder.path());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(cells(folder.path()), 1);
}

#[test]
fn interrupted_it_exits_with_130_and_keeps_what_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = started(folder.path());
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(cells(folder.path()), 1);
}
