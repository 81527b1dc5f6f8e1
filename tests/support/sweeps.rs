//! A small study over the generators and the embedded table, run into a folder of its own.

use std::path::{Path, PathBuf};

use percuss::data::{Request, open_fitted};
use percuss::models::{Config, InputScaling};
use percuss::results::{CellRow, MetricRow, Results, SampleRow};
use percuss::sweep::options::SweepOptions;
use percuss::sweep::run::{Report, sweep};
use percuss::sweep::study::Study;

use super::write_model;

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
    let config = Config {
        input_scaling: Some(InputScaling { mean, std, unit: None }),
        ..Config::parse(&text, "test").unwrap()
    };
    write_model(folder, &config);
}

pub const STUDY: &str = r#"
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

pub struct Fixture {
    pub folder: tempfile::TempDir,
    pub study: Study,
}

/// All rows of a results folder, in one order.
#[derive(Debug, PartialEq)]
pub struct Rows {
    pub cells: Vec<CellRow>,
    pub metrics: Vec<MetricRow>,
    pub samples: Vec<SampleRow>,
}

impl Fixture {
    /// Models `cnn` and `mlp`, and a study file beside them.
    pub fn new(study: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        phantom_model(&folder.path().join("cnn"));
        table_model(&folder.path().join("mlp"));
        let file = folder.path().join("study.toml");
        std::fs::write(&file, study).unwrap();
        let study = Study::read(&file).unwrap();
        Self { folder, study }
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("study.toml")
    }

    pub fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the study, or what is left of it, into the folder `name`, on the CPU unless a device is named.
    pub fn run(&self, name: &str, options: SweepOptions) -> Report {
        self.attempt(name, options).unwrap()
    }

    /// As [`Self::run`], and what went wrong.
    pub fn attempt(&self, name: &str, options: SweepOptions) -> percuss::Result<Report> {
        let device = if options.device == "auto" { "cpu".into() } else { options.device.clone() };
        let options = SweepOptions { out: Some(self.out(name)), quiet: true, device, ..options };
        sweep(&self.study, &options)
    }

    /// All rows but for times.
    pub fn rows(&self, name: &str) -> Rows {
        let results = Results::open(&self.out(name)).unwrap();
        let mut cells = results.cells().unwrap().to_vec();
        cells.sort_by(|a, b| a.cell_id.cmp(&b.cell_id));
        let samples = super::samples_of(&results, &cells);
        cells.iter_mut().for_each(|cell| cell.device_seconds_attributed = 0.0);
        let mut metrics = results.metrics().unwrap();
        let key = |row: &MetricRow| (row.cell_id.clone(), row.metric.clone(), row.scope.clone());
        metrics.sort_by_key(key);
        Rows { cells, metrics, samples }
    }
}
