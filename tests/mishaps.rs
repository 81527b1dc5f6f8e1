//! What befalls a sweep from outside: names that are no text, streams that are closed, folders that go, members that change.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use percuss::models::Weights;
use percuss::results::{CellRow, Results, SampleRow, read_rows};

const STUDY: &str = r#"
name = "small"
seeds = [0, 1]
[[data]]
id = "support2"
name = "support2"
split = "test"
limit = LIMIT
[[model]]
id = "mlp"
path = "MODELS/support2-mlp"
data = ["support2"]
[[attack]]
kind = ["fgsm", "pgd"]
budget = [{ norm = "linf", eps = { logspace = [0.01, 1, 4] } }]
steps = STEPS
"#;

const RECIPE: &str = r#"
epochs = 2
batch = 50
[data]
name = "support2"
val = "none"
limit = 200
test_limit = 60
[model]
architecture = "mlp"
hidden = [16]
[optimizer]
kind = "adamw"
learning_rate = 2e-3
"#;

const MEMBERSHIP: &str = r#"
name = "members"
seeds = [0, 1]
[[recipe]]
id = "ehr"
train = "recipe.toml"
[[membership]]
kind = ["loss", "lira"]
shadows = 6
"#;

fn study(folder: &Path, limit: usize, steps: usize) -> PathBuf {
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/models");
    let text = STUDY.replace("MODELS", models).replace("LIMIT", &limit.to_string());
    let file = folder.join("study.toml");
    std::fs::write(&file, text.replace("STEPS", &steps.to_string())).unwrap();
    file
}

fn sweep(study: &Path, out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_percuss"));
    command.arg("sweep").arg(study).args(["--device", "cpu", "--threads", "1", "--out"]).arg(out);
    command
}

fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The cells' ids in all finished files, as a notebook reads them.
fn globbed(out: &Path) -> Vec<String> {
    let names = std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
    let cells = names.filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("cells-") && name.ends_with(".parquet")
    });
    let mut ids: Vec<String> = cells
        .flat_map(|path| read_rows::<CellRow>(&path).unwrap())
        .map(|row| row.cell_id.to_string())
        .collect();
    ids.sort();
    ids
}

#[test]
fn shards_of_different_counts_at_once_leave_each_cell_once() {
    let folder = tempfile::tempdir().unwrap();
    let (study, out) = (study(folder.path(), 20, 3), folder.path().join("o"));
    let children: Vec<_> = ["1/1", "1/7", "2/3", "2/2"]
        .map(|shard| sweep(&study, &out).args(["--quiet", "--shard", shard]).spawn().unwrap())
        .into_iter()
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let ids = globbed(&out);
    assert_eq!(ids.len(), 12);
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
}

#[test]
fn a_path_that_is_no_text_is_a_path_like_another() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join(OsStr::from_bytes(b"\xff\xfe"));
    std::fs::create_dir(&odd).unwrap();
    let (study, out) = (study(&odd, 10, 2), odd.join("o"));
    done(&mut sweep(&study, &out));
    let again = done(sweep(&study, &out).arg("--json"));
    assert!(String::from_utf8_lossy(&again.stdout).contains("\"done\":0"));
    let results = Results::open(&out).unwrap();
    assert_eq!(results.cells().unwrap().len(), 12);
    let runs = results.runs().unwrap();
    assert_eq!(runs.len(), 2);
    // The command names no place on this machine.
    assert_eq!(runs[0].command, "percuss sweep study.toml --device cpu --threads 1 --out DIR");
    let stored = std::fs::read_to_string(out.join("study.resolved.toml")).unwrap();
    // Of a folder's place nothing stays, not even its last part.
    assert!(stored.contains("\"DIR\"") && !stored.contains("support2-mlp"), "{stored}");
    let inspected =
        done(Command::new(env!("CARGO_BIN_EXE_percuss")).arg("inspect").arg(&out).arg("--private"));
    let page = String::from_utf8(inspected.stdout).unwrap();
    assert!(page.contains("`sample` is the sample's number in its source"), "{page}");
    assert!(!page.contains("a place on a machine"), "{page}");
}

#[test]
fn a_stream_that_takes_nothing_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let study = study(folder.path(), 10, 2);
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let closed = || {
        let mut reader = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
        let pipe = reader.stdin.take().unwrap();
        reader.wait().unwrap();
        Stdio::from(pipe)
    };
    let mut cases = Vec::new();
    for (name, json, stream) in [("full", true, &full as &dyn Fn() -> Stdio), ("closed", false, &closed)] {
        let out = folder.path().join(format!("{name}-error"));
        let mut command = sweep(&study, &out);
        command.args(json.then_some("--json")).stdout(Stdio::null()).stderr(stream());
        assert_eq!(command.status().unwrap().code(), Some(0), "standard error {name}");
        cases.push(out);
        let out = folder.path().join(format!("{name}-both"));
        let mut command = sweep(&study, &out);
        command.args(json.then_some("--json")).stdout(stream()).stderr(stream());
        // Whoever closes the output has had enough; a full disk is an error.
        let code = if name == "full" { 1 } else { 0 };
        assert_eq!(command.status().unwrap().code(), Some(code), "standard output {name}");
        cases.push(out);
    }
    for out in cases {
        assert_eq!(globbed(&out).len(), 12, "{}", out.display());
    }
    std::fs::write(folder.path().join("recipe.toml"), RECIPE).unwrap();
    for (name, stream) in [("full", &full as &dyn Fn() -> Stdio), ("closed", &closed)] {
        let mut train = Command::new(env!("CARGO_BIN_EXE_percuss"));
        train.current_dir(folder.path()).args(["train", "recipe.toml", "--device", "cpu", "--out", name]);
        train.stdout(stream()).stderr(stream()).status().unwrap();
        assert!(folder.path().join(name).join("model.safetensors").is_file(), "{name}");
    }
    for page in [&["--help"][..], &["sweep", "--help"], &["--version"], &["nonsense"], &["attacks"]] {
        for stream in [&full as &dyn Fn() -> Stdio, &closed] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_percuss"));
            let code = command.args(page).stdout(stream()).stderr(stream()).status().unwrap().code();
            assert!(matches!(code, Some(0..=2)), "{page:?}: {code:?}");
        }
    }
}

#[test]
fn a_folder_that_goes_while_a_sweep_runs_is_told_and_made_good() {
    let folder = tempfile::tempdir().unwrap();
    // Long enough that parts are written before the end.
    let (study, out) = (study(folder.path(), 400, 400), folder.path().join("o"));
    let mut child = sweep(&study, &out).args(["--quiet"]).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while Results::open(&out).map_or(0, |results| results.cell_ids().len()) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "the sweep ended by itself");
        assert!(began.elapsed() < Duration::from_secs(120), "no cell was finished");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Removing a folder fails while somebody writes into it; its name goes in one step.
    std::fs::rename(&out, folder.path().join("gone")).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    // Which of two messages says so depends on how far the sweep was.
    let told = said.contains("removed while the sweep ran") && said.contains("the same command");
    assert!(told, "{said}");
    done(sweep(&study, &out).arg("--quiet"));
    assert_eq!(globbed(&out).len(), 12);
}

#[test]
fn members_that_were_changed_are_trained_anew() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("recipe.toml"), RECIPE).unwrap();
    let study = folder.path().join("study.toml");
    std::fs::write(&study, MEMBERSHIP).unwrap();
    let samples = |out: &Path| -> Vec<SampleRow> {
        let mut rows = read_rows::<SampleRow>(&out.join("samples-1-of-1.parquet")).unwrap();
        rows.iter_mut().for_each(|row| row.group = None);
        rows
    };
    let whole = folder.path().join("whole");
    done(&mut sweep(&study, &whole));
    let right = samples(&whole);
    let members = |out: &Path| -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(out.join("members")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    };
    let bytes: Vec<Vec<u8>> = members(&whole).iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert_eq!(bytes.len(), 8);
    let page = done(Command::new(env!("CARGO_BIN_EXE_percuss")).arg("inspect").arg(&whole).arg("--private"));
    assert!(String::from_utf8(page.stdout).unwrap().contains("training.data: support2, the name of a file"));
    let changes: [(&str, &dyn Fn(&[PathBuf])); 5] = [
        ("whole", &|_| {}),
        ("was changed", &|files| {
            for file in files {
                let mut bytes = std::fs::read(file).unwrap();
                let at = bytes.len() - 97;
                bytes[at] ^= 0x40;
                std::fs::write(file, bytes).unwrap();
            }
        }),
        ("another member's", &|files| {
            let first = std::fs::read(&files[0]).unwrap();
            files
                .windows(2)
                .for_each(|pair| std::fs::write(&pair[0], std::fs::read(&pair[1]).unwrap()).unwrap());
            std::fs::write(files.last().unwrap(), first).unwrap();
        }),
        ("cannot be read", &|files| {
            for file in files {
                let bytes = std::fs::read(file).unwrap();
                std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
            }
        }),
        ("cannot be read", &|files| files.iter().for_each(|file| std::fs::write(file, b"").unwrap())),
    ];
    for (at, (word, change)) in changes.iter().enumerate() {
        let out = folder.path().join(format!("changed-{at}"));
        // As many cells as are needed for all members to be there, and none of those that use them is finished.
        std::fs::create_dir_all(out.join("members")).unwrap();
        for (file, bytes) in members(&whole).iter().zip(&bytes) {
            std::fs::write(out.join("members").join(file.file_name().unwrap()), bytes).unwrap();
        }
        change(&members(&out));
        let output = done(&mut sweep(&study, &out));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let told = said.matches("trained anew").count();
        assert_eq!(told, if *word == "whole" { 0 } else { 8 }, "{word}: {said}");
        assert!(*word == "whole" || said.matches(word).count() >= 8, "{word}: {said}");
        assert_eq!(samples(&out), right, "{word}");
        for (now, before) in members(&out).iter().zip(members(&whole)) {
            let [now, before] = [Weights::read(now).unwrap(), Weights::read(&before).unwrap()];
            assert!(now.tensors == before.tensors && now.metadata == before.metadata, "{word}");
            assert!(
                ["recipe", "seed", "samples", "data_sha256"]
                    .iter()
                    .all(|key| now.metadata["training"].contains(key))
            );
        }
    }
}

#[test]
fn a_run_killed_before_its_first_cell_can_be_inspected() {
    let folder = tempfile::tempdir().unwrap();
    let (study, out) = (study(folder.path(), 10, 2), folder.path().join("o"));
    done(sweep(&study, &out).args(["--limit-cells", "0"]));
    let page = done(Command::new(env!("CARGO_BIN_EXE_percuss")).arg("inspect").arg(&out));
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(page.contains("results of study small") && page.contains("no cell is finished"), "{page}");
}

#[test]
fn files_that_are_no_text_or_no_files_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("latin.toml"), b"name = \"\xe9\"\n").unwrap();
    assert!(Command::new("mkfifo").arg(path("pipe.toml")).status().unwrap().success());
    std::fs::create_dir(path("folder.toml")).unwrap();
    for (name, word) in [
        ("latin.toml", "UTF-8"),
        ("pipe.toml", "a pipe"),
        ("folder.toml", "a folder"),
        ("none.toml", "No such file"),
    ] {
        for command in ["sweep", "train", "eval", "plan"] {
            let output =
                Command::new(env!("CARGO_BIN_EXE_percuss")).arg(command).arg(path(name)).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{command} {name}: {said}");
            assert!(said.contains(word) && said.contains(name), "{command} {name}: {said}");
        }
    }
}
