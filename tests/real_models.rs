//! The committed models do on their whole test splits what their folders say, and the demo sweeps as many cells as it promises.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use percuss::cli::demo;
use percuss::models::Config;
use percuss::sweep::grid::{Grid, Outputs};
use percuss::sweep::resolve::resolve;
use percuss_kernels::Device;

/// The folder; a test that was asked for and has no data must fail, not pass.
fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("PERCUSS_DATA").expect("PERCUSS_DATA names the folder of real data"))
}

/// Clean metrics of the demo's model `id` on its whole split, or of another model in its place.
fn metrics(id: &str, other: Option<&str>, data_dir: Option<&Path>) -> BTreeMap<String, f64> {
    let mut study = demo::study(data_dir).unwrap();
    study.models.retain(|model| model.id == id);
    study.data.iter_mut().for_each(|data| data.request.limit = None);
    assert_eq!(study.models.len(), 1, "{id} is a model of the demo");
    if let Some(other) = other {
        study.models[0].path.set_file_name(other);
    }
    let resolved = resolve(&study, &Device::Cpu { threads: 2 }, data_dir).unwrap();
    assert!(!resolved[0].subject.data.synthetic);
    println!("{id} {other:?}: {:?}", resolved[0].metrics);
    resolved[0].metrics.clone()
}

#[test]
fn the_patients_model_ranks_deaths() {
    let auroc = metrics("support2-mlp", None, None)["auroc"];
    assert!(auroc >= 0.75, "{auroc}");
}

#[test]
#[ignore = "needs PERCUSS_DATA"]
fn the_x_ray_model_tells_pneumonia() {
    let accuracy = metrics("pneumoniamnist-cnn", None, Some(&folder()))["accuracy"];
    assert!(accuracy >= 0.84, "{accuracy}");
}

#[test]
#[ignore = "needs PERCUSS_DATA"]
fn the_beat_model_is_clearly_better_than_a_linear_one() {
    let own = metrics("mitbih-resnet1d", None, Some(&folder()));
    let linear = metrics("mitbih-resnet1d", Some("mitbih-linear"), Some(&folder()));
    for name in ["balanced_accuracy", "macro_f1"] {
        assert!(own[name] >= linear[name] + 0.05, "{name}: {} and {}", own[name], linear[name]);
    }
}

#[test]
fn the_demo_has_a_thousand_cells() {
    let study = demo::study(None).unwrap();
    let outputs = |model: usize, _| {
        let config = Config::read(&study.models[model].path.join("config.json")).unwrap();
        Some(Outputs::of(&config, None))
    };
    let cells = Grid::new(&study, outputs).unwrap().cells.len();
    assert!(cells >= 1000, "{cells}");
}
