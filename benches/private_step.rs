//! DP-SGD by percuss alone: `cargo bench --bench private_step` trains an EHR MLP and a small ECG net, and prints microseconds a sample.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use percuss::data::{Request, open_fitted};
use percuss::models::{Config, Head};
use percuss::training::private::sgd::{Noise, fit_privately};
use percuss::training::trainer::Rule;
use percuss::training::{Lesson, Loss, Optimizer, Recipe, Schedule};
use percuss_kernels::Device;

const MODELS: [(&str, &str); 2] = [
    ("support2", r#"{"architecture": "mlp", "inputs": INPUTS, "hidden": [64, 64], "classes": 2}"#),
    (
        "ecg-synthetic",
        r#"{"architecture": "cnn", "input": [1, 256, 1], "classes": 5, "layers": [
            {"kind": "conv", "out": 8, "kernel": 3, "stride": 2, "padding": 1}, {"kind": "relu"},
            {"kind": "conv", "out": 16, "kernel": 3, "stride": 2, "padding": 1}, {"kind": "relu"},
            {"kind": "conv", "out": 32, "kernel": 3, "stride": 2, "padding": 1}, {"kind": "relu"},
            {"kind": "global_avg_pool"}, {"kind": "linear", "out": 5}]}"#,
    ),
];

fn main() {
    for (data, config) in MODELS {
        let (all, _) = open_fitted(&Request::named(data, "train"), None).unwrap();
        let base = all.limited(1024, 0).unwrap();
        let config =
            Config::parse(&config.replace("INPUTS", &base.sample_len().to_string()), "bench").unwrap();
        let optimizer = Optimizer::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
        let recipe = Recipe {
            seed: 0,
            epochs: 4,
            batch: 64,
            rule: Rule { loss: Loss::plain(Head::Softmax), optimizer, clip_norm: None },
            rate: 0.05,
            schedule: Schedule::Constant,
            augment: None,
            early_stopping: None,
        };
        let noise = Noise { clip_norm: 1.0, multiplier: 1.0 };
        let (device, stop) = (Device::Cpu { threads: 1 }, AtomicBool::new(false));
        let lesson = Lesson::whole(base.len());
        let train = || fit_privately(&config, &recipe, &noise, &base, &lesson, &device, &stop).unwrap();
        let mut best = f64::INFINITY;
        let mut loss = 0.0;
        for _ in 0..5 {
            let began = Instant::now();
            loss = *train().losses.last().unwrap();
            best = best.min(began.elapsed().as_secs_f64());
        }
        let each = best * 1e6 / (recipe.epochs * base.len()) as f64;
        println!("{data}: {each:.1} us a sample, loss {loss:.4}");
    }
}
