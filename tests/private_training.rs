//! DP-SGD: its accountant against Opacus (tests/golden/privacy_accounting.py), its steps against PyTorch's per-sample gradients
//! (tests/golden/private_training.py), its sampling and noise against what they should be.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use percuss::data::{Dataset, Domain, Labels};
use percuss::models::{Config, Head, Model};
use percuss::training::fit::{Fitted, Recipe};
use percuss::training::private::accountant::{Steps, noise_multiplier, spent};
use percuss::training::private::sgd::{
    Noise, PrivateTrainer, fit_privately, poisson_sample, schedule, step_stream,
};
use percuss::training::trainer::Rule;
use percuss::training::{Lesson, Loss, Optimizer, Schedule};
use percuss_kernels::Device;
use serde::Deserialize;
use support::{channels_last, classes, dataset, formula_weights, golden, layout, signed};

const CPU: Device = Device::Cpu { threads: 1 };
/// What the issue of the accountant promises, relative.
const ONE_PERCENT: f64 = 0.01;

/// Noise multiplier, sample rate and steps of mechanisms that were run one after another.
type History = Vec<(f64, f64, u64)>;

#[derive(Deserialize)]
struct Accounting {
    /// Sample rate, noise multiplier, steps, delta, epsilon.
    spent: Vec<(f64, f64, u64, f64, f64)>,
    /// Epsilon, delta, sample rate, steps, noise multiplier.
    noise_multiplier: Vec<(f64, f64, f64, u64, f64)>,
    /// Several mechanisms, delta, epsilon.
    several: Vec<(History, f64, f64)>,
}

fn accounting() -> Accounting {
    serde_json::from_str(include_str!("golden/privacy_accounting.json")).unwrap()
}

#[test]
fn epsilon_is_that_of_opacus() {
    let golden = accounting();
    assert_eq!(golden.spent.len(), 10 * 7 * 4 * 3);
    let mut worst = 0f64;
    for (sample_rate, noise_multiplier, steps, delta, expected) in golden.spent {
        let found = spent(&[Steps { sample_rate, noise_multiplier, steps }], delta).unwrap().epsilon;
        // Opacus lets epsilon fall below 0, which promises no more than 0.
        let expected = expected.max(0.0);
        let named = format!("rate {sample_rate}, noise {noise_multiplier}, {steps} steps, delta {delta}");
        assert!((found - expected).abs() <= ONE_PERCENT * expected, "{named}: {found} is not {expected}");
        worst = worst.max((found - expected).abs() / expected.max(f64::MIN_POSITIVE));
    }
    println!("the worst epsilon is off by {worst:e} of itself");
    for (history, delta, expected) in golden.several {
        let history: Vec<Steps> = history
            .into_iter()
            .map(|(noise_multiplier, sample_rate, steps)| Steps { sample_rate, noise_multiplier, steps })
            .collect();
        let found = spent(&history, delta).unwrap().epsilon;
        assert!((found - expected).abs() <= ONE_PERCENT * expected, "{history:?}: {found} is not {expected}");
    }
}

#[test]
fn the_noise_for_an_epsilon_is_that_of_opacus() {
    let mut worst = 0f64;
    for (epsilon, delta, sample_rate, steps, expected) in accounting().noise_multiplier {
        let found = noise_multiplier(epsilon, delta, sample_rate, steps).unwrap();
        let named = format!("epsilon {epsilon}, delta {delta}, rate {sample_rate}, {steps} steps");
        assert!((found - expected).abs() <= ONE_PERCENT * expected, "{named}: {found} is not {expected}");
        worst = worst.max((found - expected).abs() / expected);
        let back = spent(&[Steps { sample_rate, noise_multiplier: found, steps }], delta).unwrap().epsilon;
        assert!(back <= epsilon && back > epsilon * (1.0 - 1e-6), "{named}: {back}");
    }
    println!("the worst noise multiplier is off by {worst:e} of itself");
}

fn recipe(optimizer: Optimizer, head: Head) -> Recipe {
    Recipe {
        seed: 5,
        epochs: 1,
        batch: 16,
        rule: Rule { loss: Loss::plain(head), optimizer, clip_norm: None },
        rate: 0.1,
        schedule: Schedule::Constant,
        augment: None,
        early_stopping: None,
    }
}

const PLAIN: Optimizer = Optimizer::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };

/// The generator's samples, channels last.
fn samples(name: &str, config: &Config) -> Dataset {
    let shape = config.input_shape();
    let values = signed(&format!("private {name}"), 64 * shape.iter().product::<usize>(), 1.0);
    let (channels, places) = layout(&shape);
    let values = if shape.len() == 3 { channels_last(&values, channels, places) } else { values };
    let kinds = config.classes().max(2);
    let labels = classes(&format!("private labels {name}"), 64, kinds as u64);
    dataset(shape, values, Labels::Class(labels), kinds, Domain::uniform(-1.0, 1.0))
}

/// Every parameter within 1e-4 of PyTorch's after 40 steps on batches of 0 to 28 samples, of whose gradients about half are clipped.
#[test]
fn steps_without_noise_equal_pytorchs_clipped_per_sample_gradients() {
    let golden = golden("private_training");
    let configs: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(&golden.metadata["configs"]).unwrap();
    let clips: BTreeMap<String, f64> = serde_json::from_str(&golden.metadata["clip_norm"]).unwrap();
    let clipped: BTreeMap<String, f64> = serde_json::from_str(&golden.metadata["clipped"]).unwrap();
    assert!(clipped.values().all(|share| (0.2..0.9).contains(share)), "{clipped:?}");
    assert_eq!(configs.len(), 3);
    let mut most = 0f32;
    let sgd = Optimizer::Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-3 };
    let adamw = Optimizer::AdamW { betas: [0.9, 0.999], epsilon: 1e-4, weight_decay: 1e-2 };
    for (name, config) in configs {
        let config = Config::parse(&config.to_string(), &name).unwrap();
        let base = samples(&name, &config);
        let lesson = Lesson::whole(64);
        let noise = Noise { clip_norm: clips[&name], multiplier: 0.0 };
        for (key, optimizer, rate) in [("sgd", sgd, 0.05), ("adamw", adamw, 2e-3)] {
            let recipe = recipe(optimizer, config.head);
            let mut trainer = PrivateTrainer::new(&config, &recipe, &noise, &base, &CPU).unwrap();
            trainer.load(&formula_weights(&Model::declare(&config))).unwrap();
            for step in 0..40 {
                let chosen: Vec<usize> = (0..37 * step % 29).map(|i| (7 * step + 5 * i) % 64).collect();
                trainer.step(&lesson, &chosen, 16.0, rate, &mut step_stream(0, step as u64)).unwrap();
            }
            for (tensor, found) in trainer.weights() {
                let stored = format!("{name}.{key}.{tensor}");
                let pairs = found.data.iter().zip(&golden.tensors[&stored].data);
                let worst = pairs.fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
                assert!(worst < 1e-4, "{stored} is off by {worst}");
                most = most.max(worst);
            }
        }
    }
    println!("the worst parameter is off by {most:e}");
}

#[test]
fn poisson_batches_have_the_sizes_of_independent_draws() {
    let positions: Vec<usize> = (100..600).collect();
    let (steps, rate) = (3000, 0.08);
    let mut counts = vec![0u32; 600];
    let mut sizes = Vec::new();
    let mut before: Vec<usize> = Vec::new();
    let mut repeated = 0;
    for step in 0..steps {
        let chosen = poisson_sample(&positions, rate, &mut step_stream(9, step));
        assert!(chosen.is_sorted() && chosen.iter().all(|i| (100..600).contains(i)));
        chosen.iter().for_each(|&i| counts[i] += 1);
        repeated += chosen.iter().filter(|i| before.binary_search(i).is_ok()).count();
        sizes.push(chosen.len() as f64);
        before = chosen;
    }
    let n = steps as f64;
    let mean = sizes.iter().sum::<f64>() / n;
    let variance = sizes.iter().map(|size| (size - mean).powi(2)).sum::<f64>() / (n - 1.0);
    // Binomial(500, 0.08): mean 40, variance 36.8; four standard errors each.
    assert!((mean - 40.0).abs() < 4.0 * (36.8 / n).sqrt(), "{mean}");
    assert!((variance - 36.8).abs() < 4.0 * 36.8 * (2.0 / n).sqrt(), "{variance}");
    // Each sample in 240 of 3000 steps, give or take 14.9; the worst of 500 within five of that.
    assert!(counts[100..].iter().all(|&count| (f64::from(count) - 240.0).abs() < 75.0), "{counts:?}");
    // A step knows nothing of the one before: 500 * 0.08^2 = 3.2 samples in common, variance 3.2.
    let common = repeated as f64 / (n - 1.0);
    assert!((common - 3.2).abs() < 4.0 * (3.2 / n).sqrt(), "{common}");
    assert_eq!(poisson_sample(&positions, 1.0, &mut step_stream(9, 0)), positions);
    // A rate far below 2^-24, the step of a 24-bit draw, is no larger than it says: 8 million draws take 0.08 samples on average.
    let many = vec![0; 2_000_000];
    let rare: usize = (0..4).map(|step| poisson_sample(&many, 1e-8, &mut step_stream(1, step)).len()).sum();
    assert!(rare <= 2, "{rare}");
}

fn wide() -> Config {
    let text = r#"{"architecture": "mlp", "inputs": 12, "hidden": [64, 64], "classes": 3}"#;
    Config::parse(text, "test").unwrap()
}

fn fitted(recipe: &Recipe, multiplier: f64, base: &Dataset) -> Fitted {
    let noise = Noise { clip_norm: 0.7, multiplier };
    let (lesson, stop) = (Lesson::whole(64), AtomicBool::new(false));
    fit_privately(&wide(), recipe, &noise, base, &lesson, &CPU, &stop).unwrap()
}

/// All values of one model less those of another.
fn difference(a: &Fitted, b: &Fitted) -> Vec<f64> {
    let pairs = a.weights.iter().zip(&b.weights);
    pairs
        .flat_map(|((_, a), (_, b))| {
            a.data.iter().zip(&b.data).map(|(a, b)| f64::from(a - b)).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn noise_has_the_deviation_that_the_accountant_counts_on() {
    let base = samples("mlp", &wide());
    // One step: 40 of 64 samples expected.
    let recipe = Recipe { batch: 40, rate: 0.5, ..recipe(PLAIN, Head::Softmax) };
    assert_eq!(schedule(&recipe, 64), (0.625, 1));
    let quiet = fitted(&recipe, 0.0, &base);
    for multiplier in [0.3, 1.0, 20.0] {
        let moved = difference(&fitted(&recipe, multiplier, &base), &quiet);
        let n = moved.len() as f64;
        assert_eq!(moved.len(), 12 * 64 + 64 + 64 * 64 + 64 + 64 * 3 + 3);
        // Learning rate times clip times multiplier over the expected batch.
        let expected = 0.5 * 0.7 * multiplier / 40.0;
        let mean = moved.iter().sum::<f64>() / n;
        let deviation = (moved.iter().map(|v| v * v).sum::<f64>() / n).sqrt();
        assert!(mean.abs() < 4.0 * expected / n.sqrt(), "{multiplier}: mean {mean}");
        // The standard error of a deviation is itself over the root of 2 n.
        assert!((deviation / expected - 1.0).abs() < 4.0 / (2.0 * n).sqrt(), "{multiplier}: {deviation}");
        for (reach, share) in [(1.0, 0.682_689), (2.0, 0.954_500)] {
            let within = moved.iter().filter(|v| v.abs() < reach * expected).count() as f64 / n;
            assert!((within - share).abs() < 4.0 * (share * (1.0 - share) / n).sqrt(), "{reach}: {within}");
        }
    }
}

#[test]
fn noise_of_one_step_says_nothing_of_the_next() {
    let base = samples("mlp", &wide());
    let recipe = recipe(PLAIN, Head::Softmax);
    let noise = Noise { clip_norm: 0.7, multiplier: 1.0 };
    let mut trainer = PrivateTrainer::new(&wide(), &recipe, &noise, &base, &CPU).unwrap();
    let lesson = Lesson::whole(64);
    // A step on no sample is noise alone.
    let mut take = |step: u64| {
        let before = trainer.weights();
        trainer.step(&lesson, &[], 16.0, 1.0, &mut step_stream(5, step)).unwrap();
        let after = trainer.weights();
        let pairs = after.iter().zip(&before);
        pairs
            .flat_map(|((_, a), (_, b))| {
                a.data.iter().zip(&b.data).map(|(a, b)| f64::from(a - b)).collect::<Vec<_>>()
            })
            .collect::<Vec<f64>>()
    };
    let (first, second) = (take(0), take(1));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let correlation = dot(&first, &second) / (dot(&first, &first) * dot(&second, &second)).sqrt();
    assert!(correlation.abs() < 4.0 / (first.len() as f64).sqrt(), "{correlation}");
    let deviation = (dot(&first, &first) / first.len() as f64).sqrt();
    assert!((deviation * 16.0 / 0.7 - 1.0).abs() < 4.0 / (2.0 * first.len() as f64).sqrt(), "{deviation}");
}

#[test]
fn fitting_takes_poisson_batches_and_divides_by_their_mean_size() {
    let base = samples("mlp", &wide());
    let recipe = Recipe { epochs: 3, ..recipe(PLAIN, Head::Softmax) };
    let (rate, steps) = schedule(&recipe, 64);
    assert_eq!((rate, steps), (0.25, 12));
    let noise = Noise { clip_norm: 0.7, multiplier: 0.8 };
    let mut trainer = PrivateTrainer::new(&wide(), &recipe, &noise, &base, &CPU).unwrap();
    let lesson = Lesson::whole(64);
    let mut sizes = Vec::new();
    for step in 0..steps {
        let mut stream = step_stream(recipe.seed, step);
        let chosen = poisson_sample(&lesson.samples, rate, &mut stream);
        sizes.push(chosen.len());
        trainer.step(&lesson, &chosen, 16.0, recipe.rate, &mut stream).unwrap();
    }
    assert_eq!(fitted(&recipe, 0.8, &base).weights, trainer.weights());
    sizes.dedup();
    assert!(sizes.len() > 4, "batches differ in size: {sizes:?}");
}

#[test]
fn no_sample_moves_the_sum_further_than_the_clipping_norm() {
    let base = samples("mlp", &wide());
    let recipe = recipe(PLAIN, Head::Softmax);
    let noise = Noise { clip_norm: 0.01, multiplier: 0.0 };
    let mut trainer = PrivateTrainer::new(&wide(), &recipe, &noise, &base, &CPU).unwrap();
    let start = trainer.weights();
    // How far a step moves all parameters, and the sum of losses before it.
    let mut step = |label: u32, chosen: &[usize]| {
        let outlier = [(3, vec![1e6; 12])].into();
        let lesson = Lesson { values: outlier, labels: [(3, label)].into(), ..Lesson::whole(64) };
        trainer.load(&start).unwrap();
        let loss = trainer.step(&lesson, chosen, 1.0, 1.0, &mut step_stream(0, 0)).unwrap();
        let after = trainer.weights();
        let moved =
            |name: &String| after[name].data.iter().zip(&start[name].data).map(|(a, b)| f64::from(a - b));
        (after.keys().flat_map(moved).map(|v| v * v).sum::<f64>().sqrt(), loss)
    };
    // Parameters below 0.3 are rounded to 2^-27 at most, and there are 5123 of them: 5e-7 in length.
    let rounding = 1e-6;
    let alone: Vec<(f64, f64)> = (0..3).map(|label| step(label, &[3])).collect();
    assert!(alone.iter().all(|(length, _)| *length < 0.01 + rounding), "{alone:?}");
    // Of three labels two at least are wrong, with gradients of a million: cut to the norm, not dropped.
    let wrong: Vec<&(f64, f64)> = alone.iter().filter(|(_, loss)| *loss > 1.0).collect();
    assert!(wrong.len() >= 2 && wrong.iter().all(|(length, _)| *length > 0.01 - rounding), "{alone:?}");
    let all: Vec<usize> = (0..64).collect();
    let rest: Vec<usize> = (0..64).filter(|i| *i != 3).collect();
    assert!(step(0, &all).0 <= step(0, &rest).0 + 0.01 + rounding);
}
