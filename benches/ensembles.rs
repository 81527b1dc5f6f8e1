//! Training of ensembles, for `benches/ensembles.py`: 256 EHR MLPs and 64 small ECG nets.
//!
//! `cargo bench --bench ensembles -- DIR [THREADS] [NAME]` trains each ensemble, prints a JSON line for it (seconds of the clock and of
//! the processor, every member's loss of the last epoch), and writes its samples and labels into DIR as safetensors, `[n, sample]` in the units that the models see (zero mean, unit deviation).

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use percuss::data::{Labels, Request, open_fitted};
use percuss::models::{Config, Head, WeightTensor, Weights};
use percuss::training::trainer::Rule;
use percuss::training::{Course, Lesson, Loss, Member, Optimizer, Recipe, Schedule, Workshop, train_members};
use percuss_kernels::Device;
use serde_json::json;

/// Name, data set, samples, members, epochs, minibatch, architecture.
type Ensemble = (&'static str, &'static str, usize, usize, usize, usize, &'static str);

const ENSEMBLES: [Ensemble; 2] = [
    (
        "mlp",
        "support2",
        4096,
        256,
        2,
        64,
        r#"{"architecture": "mlp", "inputs": INPUTS, "hidden": [64, 64], "classes": 2}"#,
    ),
    (
        "ecg",
        "ecg-synthetic",
        512,
        64,
        2,
        32,
        r#"{"architecture": "resnet1d", "length": INPUTS, "in_channels": 1, "classes": 5, "stem_kernel": 7, "stem_stride": 2,
            "widths": [8, 16, 32], "blocks": [1, 1, 1], "kernel": 5}"#,
    ),
];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let folder = arguments.next().expect("a folder");
    let threads = arguments.next().map_or(2, |threads| threads.parse().unwrap());
    let wanted = arguments.next();
    for (name, data, samples, members, epochs, batch, config) in ENSEMBLES {
        if wanted.as_ref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let (all, _) = open_fitted(&Request::named(data, "train"), None).unwrap();
        let mut base = all.limited(samples, 0).unwrap();
        standardise(&mut base.values);
        let Labels::Class(labels) = &base.labels else { panic!("labels are classes") };
        write(
            &Path::new(&folder).join(format!("{name}.safetensors")),
            &base.values,
            base.sample_len(),
            labels,
        );
        let config =
            Config::parse(&config.replace("INPUTS", &base.sample_len().to_string()), "bench").unwrap();
        let optimizer = Optimizer::AdamW { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 1e-2 };
        let recipe = Recipe {
            seed: 0,
            epochs,
            batch,
            rule: Rule { loss: Loss::plain(Head::Softmax), optimizer, clip_norm: None },
            rate: 1e-3,
            schedule: Schedule::Constant,
            augment: None,
            early_stopping: None,
        };
        let course =
            Course { config: &config, recipe: &recipe, base: &base, validation: None, own_values: 0 };
        let device = Device::Cpu { threads };
        let stop = AtomicBool::new(false);
        let workshop = Workshop { device: &device, threads, lanes: None, stop: &stop };
        let member = |at: usize| Ok(Member::new(at as u64, Lesson::whole(base.len())));
        let (began, used, mut losses) = (Instant::now(), processor_seconds(), Vec::new());
        train_members(&course, members, &member, &workshop, |_, fitted| {
            losses.push(*fitted.losses.last().unwrap());
            Ok(())
        })
        .unwrap();
        let (seconds, processor) = (began.elapsed().as_secs_f64(), processor_seconds() - used);
        let line = json!({
            "name": name, "n": base.len(), "members": members, "epochs": epochs, "batch": batch, "rate": 1e-3, "weight_decay": 1e-2,
            "config": serde_json::to_value(&config).unwrap(), "seconds": seconds, "processor": processor, "losses": losses,
        });
        println!("{line}");
    }
}

/// Seconds that all threads of this process have computed, in steps of 10 ms (Linux; 0 elsewhere).
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name in parentheses: user and system time are the 12th and 13th fields.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

/// Zero mean and unit deviation of all values together.
fn standardise(values: &mut [f32]) {
    let n = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let deviation = (values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n).sqrt();
    values.iter_mut().for_each(|value| *value = ((f64::from(*value) - mean) / deviation) as f32);
}

fn write(path: &Path, values: &[f32], len: usize, labels: &[u32]) {
    let labels: Vec<f32> = labels.iter().map(|&label| label as f32).collect();
    let tensors = BTreeMap::from([
        ("inputs".to_string(), WeightTensor { shape: vec![labels.len(), len], data: values.to_vec() }),
        ("labels".to_string(), WeightTensor { shape: vec![labels.len()], data: labels }),
    ]);
    Weights::new(tensors).write(path).unwrap();
}
