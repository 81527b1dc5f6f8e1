//! Training against PyTorch's own steps, and what a training run promises.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use percuss::data::{Dataset, Domain, Labels};
use percuss::graph::{Compiled, Graph, Phase, Shape, Uploads};
use percuss::models::{Config, Head, Model, Weights};
use percuss::training::fit::Place;
use percuss::training::trainer::Rule;
use percuss::training::{
    EarlyStopping, Epoch, Loss, Metric, Metrics, Optimizer, Options, Recipe, Schedule, TrainFile, Trainer,
    evaluate, fit, train,
};
use percuss_kernels::Device;
use support::{config, dataset, formula_weights, golden, inputs_for, signed};

const CPU: Device = Device::Cpu { threads: 1 };
const ADAMW: Optimizer = Optimizer::AdamW { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 1e-2 };

/// Every tensor and loss after the golden's three steps of one optimiser.
///
/// The goldens are f64. AdamW divides a gradient by its own size, so that the rounding of one that nearly vanishes becomes a
/// step (the bias before a batch norm has none at all): how far PyTorch's own f32 run is off is stored with each golden, and
/// four times that is allowed beside 1e-5 of the tensor's largest value.
fn check_steps(name: &str, key: &str, optimizer: Optimizer, rate: f64) {
    let golden = golden(name);
    let config = config(&golden);
    let shape = config.input_shape();
    let x = inputs_for(&golden, &shape);
    let labels = &golden.tensors["labels"].data;
    let rule = Rule { loss: Loss::plain(Head::Softmax), optimizer, clip_norm: None };
    let mut trainer = Trainer::new(&config, &rule, 1, labels.len(), &CPU, 1).unwrap();
    trainer.load(0, &formula_weights(&Model::declare(&config))).unwrap();
    for (step, &expected) in golden.tensors[&format!("{key}.losses")].data.iter().enumerate() {
        trainer.step(&x, labels, rate).unwrap();
        let loss = trainer.take_losses().unwrap()[0];
        assert!(
            (loss - expected).abs() < 1e-5 * expected.abs(),
            "{name} {key} step {step}: {loss} for {expected}"
        );
    }
    let single: BTreeMap<String, f32> = serde_json::from_str(&golden.metadata["torch_f32_error"]).unwrap();
    for (tensor, found) in trainer.weights(0).unwrap() {
        let stored = format!("{key}.{tensor}");
        let expected = &golden.tensors[&stored];
        assert_eq!(found.shape, expected.shape, "{tensor}");
        let scale = expected.data.iter().fold(0f32, |scale, value| scale.max(value.abs()));
        let worst =
            found.data.iter().zip(&expected.data).fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
        let allowed = 1e-5 * scale + 4.0 * single[&stored];
        assert!(worst < allowed, "{name}: {stored} is off by {worst}, {allowed} allowed");
    }
}

#[test]
fn three_steps_of_sgd_equal_pytorch() {
    let sgd = Optimizer::Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-4 };
    for name in ["mlp", "cnn_pooled", "resnet1d"] {
        check_steps(name, "sgd", sgd, 0.05);
    }
}

#[test]
fn three_steps_of_adamw_equal_pytorch() {
    for name in ["mlp", "cnn_pooled", "resnet1d"] {
        check_steps(name, "adamw", ADAMW, 1e-3);
    }
}

/// Every parameter and running average within 1e-4 of PyTorch's after 100 steps over changing minibatches; or, where PyTorch's own f32 run
/// is further off from its f64 one than a quarter of that, within four times as much.
#[test]
fn a_hundred_steps_equal_pytorch() {
    let golden = golden("hundred");
    let configs: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(&golden.metadata["configs"]).unwrap();
    let single: BTreeMap<String, f32> = serde_json::from_str(&golden.metadata["torch_f32_error"]).unwrap();
    let sgd = Optimizer::Sgd { momentum: 0.9, nesterov: false, weight_decay: 1e-4 };
    let adamw = Optimizer::AdamW { betas: [0.9, 0.999], epsilon: 1e-4, weight_decay: 1e-2 };
    for (name, config) in configs {
        let config = Config::parse(&config.to_string(), &name).unwrap();
        let len: usize = config.input_shape().iter().product();
        let values = signed(&format!("hundred {name}"), 64 * len, 1.0);
        let labels = support::classes(&format!("hundred labels {name}"), 64, 3);
        for (key, optimizer, rate) in [("sgd", sgd, 0.01), ("adamw", adamw, 1e-3)] {
            let rule = Rule { loss: Loss::plain(Head::Softmax), optimizer, clip_norm: None };
            let mut trainer = Trainer::new(&config, &rule, 1, 16, &CPU, 1).unwrap();
            trainer.load(0, &formula_weights(&Model::declare(&config))).unwrap();
            for step in 0..100 {
                let chosen: Vec<usize> = (0..16).map(|i| (16 * step + 5 * i) % 64).collect();
                let x: Vec<f32> = chosen.iter().flat_map(|&i| values[i * len..][..len].to_vec()).collect();
                let y: Vec<f32> = chosen.iter().map(|&i| labels[i] as f32).collect();
                trainer.step(&x, &y, rate).unwrap();
            }
            for (tensor, found) in trainer.weights(0).unwrap() {
                let stored = format!("{name}.{key}.{tensor}");
                let pairs = found.data.iter().zip(&golden.tensors[&stored].data);
                let worst = pairs.fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
                let allowed = 1e-4f32.max(4.0 * single[&stored]);
                assert!(worst < allowed, "{stored} is off by {worst}, {allowed} allowed");
            }
        }
    }
}

#[test]
fn class_weights_give_pytorchs_weighted_mean() {
    let goldens = golden("losses");
    for prefix in ["two", "three", "five"] {
        let part = |name: &str| &goldens.tensors[&format!("{prefix}.{name}")];
        let (logits, labels) = (part("logits"), part("labels"));
        let loss = Loss {
            head: Head::Softmax,
            weights: part("class_weights").data.clone(),
            ..Loss::plain(Head::Softmax)
        };
        let mean = mean_loss(&loss, &logits.data, &logits.shape, &labels.data);
        let expected = part("weighted_mean").data[0];
        assert!((mean - expected).abs() < 2e-6 * expected.abs(), "{prefix}: {mean} for {expected}");
    }
}

#[test]
fn losses_equal_their_formulas_by_hand() {
    // Two samples, weights 1 and 3: (1 l0 + 3 l1) / 4.
    let plain = |z: [f64; 2], y: usize| (z[0].exp() + z[1].exp()).ln() - z[y];
    let loss = Loss { head: Head::Softmax, weights: vec![1.0, 3.0], ..Loss::plain(Head::Softmax) };
    let found = mean_loss(&loss, &[1.0, 2.0, 0.5, -0.5], &[2, 2], &[0.0, 1.0]);
    let expected = (plain([1.0, 2.0], 0) + 3.0 * plain([0.5, -0.5], 1)) / 4.0;
    assert!((f64::from(found) - expected).abs() < 1e-6, "{found} for {expected}");
    // Smoothing by 0.2 gives the label 0.9 and the other class 0.1.
    let loss = Loss { smoothing: 0.2, ..Loss::plain(Head::Softmax) };
    let found = mean_loss(&loss, &[1.0, 2.0], &[1, 2], &[0.0]);
    let expected = 0.9 * plain([1.0, 2.0], 0) + 0.1 * plain([1.0, 2.0], 1);
    assert!((f64::from(found) - expected).abs() < 1e-6, "{found} for {expected}");
    // Two findings of one sample, the first one's positives counting five times.
    let softplus = |z: f64| (1.0 + z.exp()).ln();
    let loss = Loss { weights: vec![5.0, 1.0], ..Loss::plain(Head::Sigmoid) };
    let found = mean_loss(&loss, &[0.3, -2.0], &[1, 2], &[1.0, 0.0]);
    let expected = (5.0 * softplus(-0.3) + softplus(-2.0)) / 2.0;
    assert!((f64::from(found) - expected).abs() < 1e-6, "{found} for {expected}");
    // Without a label: the mean is over the three entries that have one, as PyTorch's over `z[m]`, `y[m]` is.
    let loss = Loss { weights: vec![5.0, 1.0], unlabelled: true, ..Loss::plain(Head::Sigmoid) };
    let found = mean_loss(&loss, &[0.3, -2.0, 1.1, 40.0], &[2, 2], &[1.0, 0.0, 0.0, 2.0]);
    let expected = (5.0 * softplus(-0.3) + softplus(-2.0) + softplus(1.1)) / 3.0;
    assert!((f64::from(found) - expected).abs() < 1e-6, "{found} for {expected}");
    assert_eq!(mean_loss(&loss, &[0.3, -2.0], &[1, 2], &[2.0, 2.0]), 0.0);
    // Large logits neither overflow nor vanish.
    assert_eq!(mean_loss(&Loss::plain(Head::Sigmoid), &[-900.0], &[1, 1], &[1.0]), 900.0);
}

fn mean_loss(loss: &Loss, logits: &[f32], shape: &[usize], labels: &[f32]) -> f32 {
    let mut graph = Graph::new();
    let z = graph.state("logits", Shape::lanes(shape));
    let y = graph.state("labels", Shape::lanes(&loss.label_dims(shape[0], shape[1])));
    let out = graph.state("loss", Shape::lanes(&[]));
    let (input, label) = (graph.load(z), graph.load(y));
    let value = loss.mean(&mut graph, input, label);
    let mut phase = Phase::new();
    phase.assign(&mut graph, out, value);
    let compiled = Compiled::new(&graph, &[phase], 1).unwrap();
    let mut executable = compiled.instantiate(&CPU, &mut Uploads::default(), 1).unwrap();
    executable.write(z, logits).unwrap();
    executable.write(y, labels).unwrap();
    executable.run(0, 1).unwrap();
    executable.read(out).unwrap()[0]
}

/// Two noisy classes in four features.
fn blobs(split: &str, n: usize, overlap: f32) -> Dataset {
    let seed = if split == "train" { 1 } else { 2 };
    let mut stream = percuss::training::random::Stream::new(seed, &[9]);
    let labels: Vec<u32> = (0..n).map(|i| (i % 3 == 0).into()).collect();
    let values = labels.iter().flat_map(|&label| {
        let mut centre = [label as f32, 0.5, -(label as f32), 0.0];
        centre.iter_mut().for_each(|value| *value += overlap * stream.normal());
        centre
    });
    let values = values.collect();
    Dataset {
        split: split.into(),
        ..dataset(vec![4], values, Labels::Class(labels), 2, Domain::uniform(-9.0, 9.0))
    }
}

fn recipe() -> Recipe {
    Recipe {
        seed: 5,
        epochs: 8,
        batch: 16,
        rule: Rule { loss: Loss::plain(Head::Softmax), optimizer: ADAMW, clip_norm: Some(1.0) },
        rate: 0.02,
        schedule: Schedule::Cosine { warmup: 1.0, floor: 0.0 },
        augment: None,
        early_stopping: None,
    }
}

fn small_mlp() -> Config {
    Config::parse(r#"{"architecture": "mlp", "inputs": 4, "hidden": [8], "classes": 2}"#, "test").unwrap()
}

/// Fits and collects (validation metric, best) of every epoch.
fn run(recipe: &Recipe, metric: Metric) -> (percuss::training::Fitted, Vec<(f64, bool)>) {
    let (training, validation) = (blobs("train", 200, 1.2), blobs("val", 90, 1.2));
    let mut seen = Vec::new();
    let mut watch = |epoch: &Epoch| seen.push((metric.of(epoch.validation.unwrap()).unwrap(), epoch.best));
    let mut place = Place { device: &CPU, threads: 1, stop: &AtomicBool::new(false), watch: &mut watch };
    let fitted = fit(&small_mlp(), recipe, &training, Some(&validation), &mut place).unwrap();
    (fitted, seen)
}

#[test]
fn early_stopping_keeps_the_best_epoch_and_its_weights() {
    let metric = Metric::BalancedAccuracy;
    let stopping = EarlyStopping { metric, patience: 4 };
    let recipe = Recipe { epochs: 40, rate: 0.1, early_stopping: Some(stopping), ..recipe() };
    let (fitted, seen) = run(&recipe, metric);
    let best = seen.iter().map(|(value, _)| *value).fold(f64::MIN, f64::max);
    let first = seen.iter().position(|(value, _)| *value == best).unwrap();
    assert_eq!(fitted.epoch, first + 1);
    assert_eq!(fitted.epochs_run, seen.len());
    assert_eq!(seen.len(), (first + 1 + stopping.patience).min(40), "it ends when patience does: {seen:?}");
    assert!(first + 1 < seen.len(), "the run went on past its best epoch, else this shows nothing: {seen:?}");
    let validation = blobs("val", 90, 1.2);
    let model = Model::new(small_mlp(), Weights::new(fitted.weights.clone())).unwrap();
    let logits = evaluate::logits(&model, &validation, &CPU, 1).unwrap();
    let again = Metrics::measure(&logits, &validation, &recipe.rule.loss);
    assert_eq!(metric.of(&again), Some(best));
    assert_eq!(fitted.validation, Some(again));
}

#[test]
fn without_early_stopping_the_last_epoch_is_kept_and_training_learns() {
    let (fitted, seen) = run(&recipe(), Metric::Auroc);
    assert_eq!((fitted.epoch, fitted.epochs_run, seen.len()), (8, 8, 8));
    assert!(fitted.losses[7] < fitted.losses[0], "{:?}", fitted.losses);
    // Two normals one deviation / 1.2 apart in two features: the best possible AUROC is 0.798.
    assert!(seen[7].0 > 0.7, "{seen:?}");
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_others() {
    let (first, _) = run(&recipe(), Metric::Loss);
    let (second, _) = run(&recipe(), Metric::Loss);
    assert_eq!(first.weights, second.weights);
    let (other, _) = run(&Recipe { seed: 6, ..recipe() }, Metric::Loss);
    assert_ne!(first.weights, other.weights);
}

#[test]
fn a_member_of_an_ensemble_trains_as_it_would_alone() {
    let rule = Rule { clip_norm: Some(0.5), ..recipe().rule };
    let config = small_mlp();
    let start = |seed| percuss::training::init::initial(&Model::declare(&config), seed);
    let data = blobs("train", 48, 1.0);
    let labels: Vec<f32> = (0..48).map(|i| f32::from(u8::from(i % 3 == 0))).collect();
    let alone = |member: usize| {
        let mut trainer = Trainer::new(&config, &rule, 1, 16, &CPU, 1).unwrap();
        trainer.load(0, &start(member as u64)).unwrap();
        (0..4).for_each(|_| {
            trainer.step(&data.values[member * 64..][..64], &labels[member * 16..][..16], 0.05).unwrap()
        });
        trainer.weights(0).unwrap()
    };
    let mut together = Trainer::new(&config, &rule, 3, 16, &CPU, 1).unwrap();
    (0..3).for_each(|member| together.load(member, &start(member as u64)).unwrap());
    (0..4).for_each(|_| together.step(&data.values, &labels, 0.05).unwrap());
    for member in 0..3 {
        assert_eq!(together.weights(member).unwrap(), alone(member), "member {member}");
    }
}

#[test]
fn nesterov_and_clipping_equal_their_formulas_by_hand() {
    // One linear unit pair on one sample: the gradient of the bias is softmax - one hot.
    let config =
        Config::parse(r#"{"architecture": "mlp", "inputs": 1, "hidden": [], "classes": 2}"#, "test").unwrap();
    let zero: BTreeMap<_, _> = Model::declare(&config)
        .into_iter()
        .map(|d| {
            let data = vec![0.0; d.shape.iter().product()];
            (d.name, percuss::models::WeightTensor { shape: d.shape, data })
        })
        .collect();
    let after = |optimizer, clip_norm, steps| {
        let rule = Rule { loss: Loss::plain(Head::Softmax), optimizer, clip_norm };
        let mut trainer = Trainer::new(&config, &rule, 1, 1, &CPU, 1).unwrap();
        trainer.load(0, &zero).unwrap();
        (0..steps).for_each(|_| trainer.step(&[0.0], &[0.0], 0.1).unwrap());
        trainer.weights(0).unwrap()["0.bias"].data[0]
    };
    let gradient = |b: f64| 1.0 / (1.0 + (-2.0 * b).exp()) - 1.0;
    let (mut b, mut v) = (0.0, 0.0);
    for _ in 0..2 {
        let g = gradient(b);
        v = 0.9 * v + g;
        b -= 0.1 * (g + 0.9 * v);
    }
    let nesterov = Optimizer::Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.0 };
    assert!((f64::from(after(nesterov, None, 2)) - b).abs() < 1e-6);
    // The gradient (-1/2, 1/2) has norm 1/sqrt 2; clipped to 0.1 its parts are 0.1 / sqrt 2.
    let sgd = Optimizer::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    assert!((f64::from(after(sgd, Some(0.1), 1)) - 0.01 / 2f64.sqrt()).abs() < 1e-7);
    assert!((f64::from(after(sgd, Some(9.0), 1)) - 0.05).abs() < 1e-7);
}

const GOOD: &str = r#"
out = "model"
epochs = 2
batch = 64
[data]
name = "cxr-phantom"
limit = 256
[model]
architecture = "cnn"
layers = [{ kind = "conv", out = 4, kernel = 3 }, { kind = "batch_norm" }, { kind = "relu" }, { kind = "global_avg_pool" },
  { kind = "linear", out = 2 }]
[optimizer]
kind = "adamw"
learning_rate = 1e-2
[augment]
shift = 1
"#;

fn write(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("TRAIN.toml");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn training_twice_writes_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), GOOD);
    let options = Options::new(CPU, 1);
    let summary = train(&path, &options).unwrap();
    assert_eq!(summary.out, folder.path().join("model"));
    let read = |name: &str| std::fs::read(folder.path().join("model").join(name)).unwrap();
    let first = (read("config.json"), read("model.safetensors"));
    train(&path, &options).unwrap();
    assert!(
        first == (read("config.json"), read("model.safetensors")),
        "the model of the same file has other bytes"
    );
    let model = Model::load(&summary.out).unwrap();
    let training = model.config.training.unwrap();
    assert_eq!(training["synthetic"], true);
    assert_eq!(training["test"]["n"], 800);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing but the file and the model is left: {left:?}");
}

#[test]
fn train_and_validation_split_can_be_learnt_from_together() {
    let folder = tempfile::tempdir().unwrap();
    let text = GOOD.replace("limit = 256", "limit = 256\ntrain = \"train+val\"\nval = \"none\"");
    let summary = train(&write(folder.path(), &text), &Options::new(CPU, 1)).unwrap();
    let training = Model::load(&summary.out).unwrap().config.training.unwrap();
    // 256 of the train split and the 500 of the validation split.
    assert_eq!(training["train"], serde_json::json!({ "split": "train+val", "n": 756 }));
    assert!(training["val"].is_null());
}

#[test]
fn the_test_split_can_be_limited() {
    let folder = tempfile::tempdir().unwrap();
    let text = GOOD.replace("limit = 256", "limit = 256\ntest_limit = 100");
    let summary = train(&write(folder.path(), &text), &Options::new(CPU, 1)).unwrap();
    assert_eq!(Model::load(&summary.out).unwrap().config.training.unwrap()["test"]["n"], 100);
}

#[test]
fn a_model_that_misses_what_is_expected_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), &format!("{GOOD}[expect]\nauroc = [1.0, 1.0]\n"));
    let error = train(&path, &Options::new(CPU, 1)).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("expect.auroc"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_with_other_files_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), GOOD);
    std::fs::create_dir(folder.path().join("model")).unwrap();
    std::fs::write(folder.path().join("model/notes.txt"), "mine").unwrap();
    let error = train(&path, &Options::new(CPU, 1)).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("notes.txt"), "{error}");
    assert_eq!(std::fs::read(folder.path().join("model/notes.txt")).unwrap(), b"mine");
}

#[test]
fn a_bad_file_is_named_with_its_key() {
    let cases = [
        ("epochs = 2", "epoch = 2", "epochs", "no such key"),
        (
            "batch = 64",
            "batch = 64\nclass_weigths = \"balanced\"",
            "class_weigths",
            "the nearest is \"class_weights\"",
        ),
        ("batch = 64", "batch = 0", "batch", "from 1"),
        ("batch = 64", "batch = \"many\"", "batch", "whole number"),
        ("kind = \"adamw\"", "kind = \"adam\"", "optimizer.kind", "the nearest is \"adamw\""),
        ("learning_rate = 1e-2", "learning_rate = -1", "optimizer.learning_rate", "positive"),
        ("learning_rate = 1e-2", "learning_rate = 1e-2\nmomentum = 0.9", "optimizer.momentum", "unknown key"),
        ("shift = 1", "shfit = 1", "augment.shfit", "the nearest is \"shift\""),
        ("limit = 256", "limit = 256\nval = \"train\"", "data.val", "split of its own"),
        ("limit = 256", "limit = 256\ntrain = \"train+val\"", "data.val", "split of its own"),
        ("limit = 256", "limit = 256\ntest = \"tset\"", "data.test", "tset"),
        (
            "[augment]",
            "[early_stopping]\nmetric = \"auc\"\npatience = 3\n[augment]",
            "early_stopping.metric",
            "auroc",
        ),
        ("epochs = 2", "epochs == 2", "line 3", "TOML"),
    ];
    for (from, to, key, says) in cases {
        assert!(GOOD.contains(from), "{from}");
        let error = TrainFile::parse(Path::new("bad/TRAIN.toml"), &GOOD.replacen(from, to, 1)).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.exit_code(), 2, "{text}");
        assert!(text.contains("bad/TRAIN.toml") && text.contains(key) && text.contains(says), "{to}: {text}");
    }
}

#[test]
fn a_bad_model_is_named_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (
            "architecture = \"cnn\"",
            "architecture = \"cnn\"\nlayer = []",
            "model.layer",
            "the nearest is \"layers\"",
        ),
        ("architecture = \"cnn\"", "architecture = \"vgg\"", "model", "vgg"),
        ("out = 2 }]", "out = 3 }]", "model.classes", "3"),
        (
            "[augment]",
            "[preprocess]\noutcome = \"x\"\nclasses = [\"a\", \"b\"]\n[augment]",
            "preprocess",
            "table",
        ),
        ("name = \"cxr-phantom\"", "name = \"cxr-phantm\"", "cxr-phantm", "cxr-phantom"),
    ];
    for (from, to, key, says) in cases {
        let path = write(folder.path(), &GOOD.replacen(from, to, 1));
        let error = train(&path, &Options::new(CPU, 1)).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.exit_code(), 2, "{text}");
        assert!(text.contains(key) && text.contains(says), "{to}: {text}");
        assert!(!folder.path().join("model").exists());
    }
}
