//! Models with formula weights, as subjects of an attack.

use std::collections::BTreeMap;

use percuss::attacks::evasion::Settings;
use percuss::attacks::evasion::loss::Loss;
use percuss::attacks::{self, Norm};
use percuss::data::{Dataset, Domain, Labels};
use percuss::models::{Config, Model, Weights};
use percuss::sweep::subject::Subject;

use super::support;

/// Name, configuration, samples of one measurement.
pub const MODELS: [(&str, &str, usize); 4] = [
    ("mlp", r#"{"architecture": "mlp", "inputs": 64, "hidden": [128, 128], "classes": 2}"#, 32768),
    (
        "cnn",
        r#"{"architecture": "cnn", "input": [28, 28, 1], "classes": 2, "layers": [
            {"kind": "conv", "out": 32, "kernel": 3, "padding": 1}, {"kind": "batch_norm"}, {"kind": "relu"},
            {"kind": "max_pool", "kernel": 2},
            {"kind": "conv", "out": 64, "kernel": 3, "padding": 1}, {"kind": "batch_norm"}, {"kind": "relu"},
            {"kind": "max_pool", "kernel": 2}, {"kind": "flatten"}, {"kind": "linear", "out": 2}]}"#,
        256,
    ),
    (
        "resnet1d",
        r#"{"architecture": "resnet1d", "length": 256, "in_channels": 1, "classes": 5, "stem_kernel": 7, "stem_stride": 2,
            "widths": [16, 32, 64], "blocks": [1, 1, 1], "kernel": 5}"#,
        256,
    ),
    (
        "resnet18",
        r#"{"architecture": "resnet", "depth": 18, "input": [28, 28, 1], "classes": 2, "stem": "3x3"}"#,
        8,
    ),
];

/// Such a model, its weights from a formula, on `n` samples.
pub fn subject(config: &str, n: usize) -> Subject {
    let config = Config::parse(config, "bench").unwrap();
    let weights = Weights::new(support::formula_weights(&Model::declare(&config)));
    let model = Model::new(config, weights).unwrap();
    let shape = model.config.input_shape();
    let len: usize = shape.iter().product();
    let data = Dataset {
        name: "formula".into(),
        split: "all".into(),
        synthetic: true,
        sha256: "formula".into(),
        values: support::signed("bench", n * len, 0.5).into_iter().map(|v| v + 0.5).collect(),
        shape,
        inputs: Vec::new(),
        labels: Labels::Class(vec![0; n]),
        classes: vec![],
        unit: "unit".into(),
        group: None,
        subgroups: BTreeMap::new(),
        index: (0..n as u64).collect(),
        domain: Domain {
            low: vec![0.0],
            high: vec![1.0],
            scale: [1.0].into(),
            immutable: vec![],
            one_hot: [].into(),
            features: vec![],
        },
        samples_per_second: None,
        remarks: Vec::new(),
    };
    let clean = vec![0.0; n * model.config.classes()];
    Subject { model, data, clean, thresholds: vec![] }
}

/// PGD in linf with the cross-entropy.
pub fn settings() -> Settings {
    Settings {
        attack: attacks::find("pgd").unwrap(),
        norm: Norm::Linf,
        input: None,
        beside: [].into(),
        loss: Loss::CrossEntropy,
        targeted: false,
        exact: true,
        choices: vec![],
        scale: [1.0].into(),
        one_hot: [].into(),
        precision: percuss_kernels::Precision::F32,
    }
}
