//! A study from file to Parquet, on the generators and the embedded table: what it writes, that it resumes, shards and repeats.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::{Path, PathBuf};

use percuss::Error;
use percuss::data::{Request, open_fitted};
use percuss::models::{Config, InputScaling};
use percuss::results::{CellRow, Results, SampleRow};
use percuss::sweep::options::SweepOptions;
use percuss::sweep::run::{Report, sweep};
use percuss::sweep::study::Study;
use support::write_model;

/// A model folder with formula weights for a small CNN on the chest phantoms.
fn phantom_model(folder: &Path) {
    let config = r#"{"architecture": "cnn", "input": [28, 28, 1], "classes": 2, "layers": [
        {"kind": "conv", "out": 4, "kernel": 3, "stride": 2}, {"kind": "batch_norm"}, {"kind": "relu"},
        {"kind": "global_avg_pool"}, {"kind": "linear", "out": 2}],
        "input_scaling": {"mean": [127.0], "std": [64.0]}}"#;
    write_model(folder, &Config::parse(config, "test").unwrap());
}

/// One for the embedded table, with its preprocessing beside it.
fn table_model(folder: &Path) {
    let (data, preprocess) = open_fitted(&Request::named("support2", "train"), None).unwrap();
    let preprocess = preprocess.unwrap();
    std::fs::create_dir_all(folder).unwrap();
    preprocess.save(&folder.join("preprocess.json")).unwrap();
    let text = format!(
        r#"{{"architecture": "mlp", "inputs": {}, "hidden": [16], "classes": 2}}"#,
        data.sample_len()
    );
    let (mean, std) = preprocess.input_mean_std();
    let config =
        Config { input_scaling: Some(InputScaling { mean, std }), ..Config::parse(&text, "test").unwrap() };
    write_model(folder, &config);
}

const STUDY: &str = r#"
name = "small"
seeds = [0, 1]
[[data]]
id = "phantoms"
name = "cxr-phantom"
split = "test"
limit = 24
[[data]]
id = "patients"
name = "support2"
split = "test"
limit = 60
[[model]]
id = "cnn"
path = "cnn"
data = ["phantoms"]
[[model]]
id = "mlp"
path = "mlp"
data = ["patients"]
[[attack]]
kind = ["fgsm", "pgd", "mi-fgsm"]
models = ["cnn"]
budget = [ { norm = "linf", eps = [0.5, 2, 8] }, { norm = "l2", eps = [5, 40] } ]
steps = 5
step_size = { rel = 0.25 }
[[attack]]
kind = ["pgd"]
models = ["mlp"]
aim = ["any", "hide"]
budget = [ { norm = "linf", eps = [0.05, 0.2, 1.5] }, { norm = "l2", eps = [0.5, 2] }, { norm = "l1", eps = [1, 6] } ]
steps = 6
restarts = 2
stop = ["success", "steps"]
"#;

struct Fixture {
    folder: tempfile::TempDir,
    study: Study,
}

fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    phantom_model(&folder.path().join("cnn"));
    table_model(&folder.path().join("mlp"));
    let file = folder.path().join("study.toml");
    std::fs::write(&file, STUDY).unwrap();
    let study = Study::read(&file).unwrap();
    Fixture { folder, study }
}

impl Fixture {
    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, name: &str, options: SweepOptions) -> Report {
        let options =
            SweepOptions { out: Some(self.out(name)), quiet: true, device: "cpu".into(), ..options };
        sweep(&self.study, &options).unwrap()
    }

    /// All rows but for times, in one order.
    fn rows(&self, name: &str) -> (Vec<CellRow>, Vec<SampleRow>) {
        let results = Results::open(&self.out(name)).unwrap();
        let mut cells = results.cells().unwrap();
        cells.sort_by(|a, b| a.cell_id.cmp(&b.cell_id));
        let samples = cells.iter().flat_map(|cell| results.samples(&cell.cell_id).unwrap()).collect();
        for cell in &mut cells {
            cell.device_seconds_attributed = 0.0;
            // Checks across cells see a shard at a time.
            cell.flags.clear();
        }
        (cells, samples)
    }
}

#[test]
fn a_study_becomes_rows_that_keep_their_promises() {
    let fixture = fixture();
    let report = fixture.run("out", SweepOptions { threads: Some(2), ..SweepOptions::default() });
    // fgsm and mi-fgsm have no seeds: 5 + 5 + 2 * 5; the table's pgd: 7 budgets, 2 aims, 2 stops, 2 seeds.
    assert_eq!(report.cells, 20 + 56);
    assert_eq!(report.done, report.cells);
    let (cells, samples) = fixture.rows("out");
    assert_eq!(cells.len(), report.cells);
    for cell in &cells {
        let own: Vec<&SampleRow> = samples.iter().filter(|s| s.cell_id == cell.cell_id).collect();
        assert_eq!(own.len() as u64, cell.n);
        let robust = own.iter().filter(|s| s.robust).count() as f64 / own.len() as f64;
        assert_eq!(cell.robust_accuracy, Some(robust));
        let eps = cell.eps.unwrap();
        for sample in own {
            let size = match cell.norm.as_deref() {
                Some("linf") => sample.linf,
                Some("l2") => sample.l2,
                _ => sample.l1,
            };
            assert!(size <= eps, "{size} exceeds {eps}");
            if sample.success == Some(true) && cell.aim.as_deref() == Some("any") {
                assert_ne!(sample.adv_pred, sample.label);
            }
        }
    }
    assert!(fixture.out("out").join("curves.parquet").is_file());
    assert!(fixture.out("out").join("robustness.svg").is_file());
    let weakest = cells.iter().find(|c| c.attack == "pgd" && c.model == "cnn" && c.eps == Some(0.5)).unwrap();
    let strongest = cells
        .iter()
        .find(|c| {
            c.attack == "pgd" && c.model == "cnn" && c.norm.as_deref() == Some("linf") && c.eps == Some(8.0)
        })
        .unwrap();
    assert!(strongest.robust_accuracy <= weakest.robust_accuracy);
}

#[test]
fn twice_and_in_shards_and_resumed_gives_the_same_rows() {
    let fixture = fixture();
    fixture.run("whole", SweepOptions { threads: Some(2), ..SweepOptions::default() });
    let whole = fixture.rows("whole");
    fixture.run("one-thread", SweepOptions { threads: Some(1), ..SweepOptions::default() });
    let normal = |rows: (Vec<CellRow>, Vec<SampleRow>)| {
        let (mut cells, samples) = rows;
        cells.iter_mut().for_each(|c| c.device.clear());
        (cells, samples)
    };
    assert_eq!(normal(whole.clone()), normal(fixture.rows("one-thread")));
    for shard in 1..=3 {
        fixture
            .run("sharded", SweepOptions { shard: (shard, 3), threads: Some(2), ..SweepOptions::default() });
    }
    assert_eq!(normal(whole.clone()), normal(fixture.rows("sharded")));
    let first = fixture
        .run("resumed", SweepOptions { limit_cells: Some(9), threads: Some(2), ..SweepOptions::default() });
    assert!(!first.complete);
    assert_eq!(first.done, 9);
    let second = fixture.run("resumed", SweepOptions { threads: Some(2), ..SweepOptions::default() });
    assert_eq!((second.found, second.done), (9, whole.0.len() - 9));
    let third = fixture.run("resumed", SweepOptions { threads: Some(2), ..SweepOptions::default() });
    assert_eq!((third.found, third.done), (whole.0.len(), 0));
    assert_eq!(normal(whole), normal(fixture.rows("resumed")));
}

#[test]
fn a_model_that_misses_what_the_study_expects_is_not_attacked() {
    let fixture = fixture();
    let file = fixture.folder.path().join("strict.toml");
    let text = STUDY.replace("path = \"cnn\"\n", "path = \"cnn\"\nexpect = { auroc = [0.99, 1.0] }\n");
    std::fs::write(&file, text).unwrap();
    let study = Study::read(&file).unwrap();
    let out = fixture.out("never");
    let options =
        SweepOptions { out: Some(out.clone()), quiet: true, device: "cpu".into(), ..SweepOptions::default() };
    let error = sweep(&study, &options).unwrap_err();
    assert!(matches!(error, Error::Input { .. }));
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("expect.auroc"), "{error}");
    assert!(!out.exists(), "nothing is written");
}

#[test]
fn killed_at_any_moment_it_continues_and_ends_with_the_same_rows() {
    let fixture = fixture();
    let file = fixture.folder.path().join("study.toml");
    let run = |out: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_percuss"));
        command.args(["sweep", "--device", "cpu", "--threads", "1", "--quiet", "--out"]);
        command
            .arg(fixture.out(out))
            .arg(&file)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        command
    };
    assert!(run("calm").status().unwrap().success());
    let mut kills = 0;
    // Every attempt gets a little longer, so that kills fall on loading, running, writing and compacting.
    for attempt in 0..200u64 {
        let mut child = run("killed").spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(60 + 45 * attempt));
        if child.try_wait().unwrap().is_some_and(|status| status.success()) {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        for entry in walk(&fixture.out("killed")) {
            if entry.extension().is_some_and(|e| e == "parquet") {
                let bytes = std::fs::read(&entry).unwrap();
                assert!(bytes.ends_with(b"PAR1"), "{} is half-written", entry.display());
            }
        }
    }
    assert!(kills > 0, "nothing was killed");
    assert!(run("killed").status().unwrap().success());
    assert_eq!(fixture.rows("killed"), fixture.rows("calm"));
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path) } else { vec![path] }
        })
        .collect()
}

#[test]
fn both_executors_give_the_same_predictions_and_robust_accuracies() {
    let fixture = fixture();
    let file = fixture.folder.path().join("few.toml");
    let text = STUDY.replace("seeds = [0, 1]", "seeds = [0]").replace("limit = 60", "limit = 40");
    std::fs::write(&file, text).unwrap();
    let study = Study::read(&file).unwrap();
    let run = |out: &str, device: &str| {
        let options = SweepOptions {
            out: Some(fixture.out(out)),
            quiet: true,
            device: device.into(),
            threads: Some(2),
            ..SweepOptions::default()
        };
        sweep(&study, &options).unwrap();
        fixture.rows(out)
    };
    let (cpu, cpu_samples) = run("cpu", "cpu");
    // The first adapter, software or not: these tests need one, and fail without.
    let (gpu, gpu_samples) = run("gpu", "gpu:0");
    let (again, again_samples) = run("again", "gpu:0");
    assert_eq!((&gpu, &gpu_samples), (&again, &again_samples), "twice on one device gives identical rows");
    assert_eq!(cpu.len(), gpu.len());
    for (a, b) in cpu.iter().zip(&gpu) {
        assert_eq!(a.cell_id, b.cell_id);
        let difference = (a.robust_accuracy.unwrap() - b.robust_accuracy.unwrap()).abs();
        // Half a point; with so few samples that is none of them.
        assert!(difference <= 0.005, "{}: {:?} and {:?}", a.params, a.robust_accuracy, b.robust_accuracy);
    }
    for (a, b) in cpu_samples.iter().zip(&gpu_samples) {
        assert_eq!((a.sample, a.clean_pred), (b.sample, b.clean_pred));
    }
}
