//! Models, scalings and bounds that a study must not be run with.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;

use percuss::models::{Config, Model, Weights};
use percuss::sweep::options::SweepOptions;
use percuss::sweep::resolve::{check_expectations, resolve};
use percuss::sweep::run::sweep;
use percuss::sweep::study::Study;
use percuss::{Error, Result};
use percuss_kernels::Device;
use support::{formula_weights, write_model};

const CONFIG: &str = r#"{"architecture": "cnn", "input": [28, 28, 1], "classes": 2, "layers": [
    {"kind": "conv", "out": 4, "kernel": 3, "stride": 2}, {"kind": "batch_norm"}, {"kind": "relu"},
    {"kind": "global_avg_pool"}, {"kind": "linear", "out": 2}],
    "input_scaling": {"mean": [127.0], "std": [64.0]}}"#;

const STUDY: &str = r#"
name = "refused"
[[data]]
id = "phantoms"
name = "cxr-phantom"
split = "test"
limit = 8
[[model]]
id = "cnn"
path = "cnn"
data = ["phantoms"]
[[attack]]
kind = "fgsm"
budget = [ { norm = "linf", eps = 1 } ]
"#;

fn study(folder: &Path, text: &str) -> Study {
    Study::parse(text, &folder.join("study.toml")).unwrap()
}

fn message<T>(result: Result<T>) -> String {
    let Err(error) = result else { panic!("this must be refused") };
    assert!(matches!(error, Error::Input { .. }) && error.exit_code() == 2, "{error}");
    error.to_string()
}

#[test]
fn a_model_without_finite_logits_is_not_scored() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::parse(CONFIG, "test").unwrap();
    write_model(&folder.path().join("cnn"), &config);
    let mut tensors = formula_weights(&Model::declare(&config));
    tensors.get_mut("1.weight").unwrap().data.fill(1e3);
    tensors.get_mut("4.weight").unwrap().data.fill(1e38);
    Weights::new(tensors).write(&folder.path().join("cnn/model.safetensors")).unwrap();
    let study = study(folder.path(), STUDY);
    let out = folder.path().join("out");
    let options =
        SweepOptions { out: Some(out.clone()), quiet: true, device: "cpu".into(), ..SweepOptions::default() };
    let cpu = Device::Cpu { threads: 1 };
    for text in [message(sweep(&study, &options)), message(resolve(&study, &cpu, None))] {
        for part in ["cnn: sample ", "of data cxr-phantom", "found inf", "expected finite logits"] {
            assert!(text.contains(part), "{text:?} does not say {part:?}");
        }
    }
    assert!(!out.exists(), "nothing is written");
}

#[test]
fn a_negative_running_variance_is_refused() {
    let config = Config::parse(CONFIG, "test").unwrap();
    let mut tensors = formula_weights(&Model::declare(&config));
    tensors.get_mut("1.running_var").unwrap().data[2] = -0.5;
    let text = message(Model::new(config, Weights::new(tensors)));
    assert!(text.contains("tensor 1.running_var, element 2: found -0.5"), "{text}");
}

#[test]
fn stated_bounds_must_hold_the_data() {
    let folder = tempfile::tempdir().unwrap();
    write_model(&folder.path().join("cnn"), &Config::parse(CONFIG, "test").unwrap());
    let cpu = Device::Cpu { threads: 1 };
    let with = |bounds: &str| {
        let entry = format!("path = \"cnn\"\ninput = {{ bounds = {bounds} }}");
        resolve(&study(folder.path(), &STUDY.replace("path = \"cnn\"", &entry)), &cpu, None)
    };
    let whole = with("[0, 255]").unwrap();
    assert_eq!(whole[0].subject.data.domain.high, [255.0]);
    // Exactly the largest value is inside, and a unit that is not the data's is seen.
    let values = &whole[0].subject.data.values;
    let (least, most) =
        values.iter().fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
    assert_eq!(with(&format!("[{least:?}, {most:?}]")).unwrap()[0].subject.data.domain.high, [most]);
    for bounds in ["[0, 1]", &format!("[{:?}, 255]", f64::from(least) + 0.5)] {
        let text = message(with(bounds));
        for part in ["model.input.bounds", "sample ", "value ", "cxr-phantom", "pixel"] {
            assert!(text.contains(part), "{text:?} does not say {part:?}");
        }
    }
}

#[test]
fn unknown_keys_of_a_model_are_named_with_the_nearest_known_one() {
    let parse = |text: &str| message(Config::parse(text, "m/config.json"));
    let text = parse(&CONFIG.replace("input_scaling", "input_scalling"));
    assert!(
        text.starts_with("m/config.json: input_scalling: found an unknown key, expected one of "),
        "{text}"
    );
    assert!(text.ends_with("; the nearest is \"input_scaling\""), "{text}");
    let text = parse(&CONFIG.replace("\"classes\"", "\"hed\": \"sigmoid\", \"classes\""));
    assert!(
        text.contains("hed: found an unknown key") && text.ends_with("; the nearest is \"head\""),
        "{text}"
    );
    parse(&CONFIG.replace("\"mean\"", "\"maen\""));
    parse(&CONFIG.replace("\"stride\"", "\"strid\""));
}

#[test]
fn the_committed_models_load() {
    let mut loaded = 0;
    for entry in std::fs::read_dir("experiments/models").unwrap() {
        let file = entry.unwrap().path().join("config.json");
        if file.is_file() {
            Config::read(&file).unwrap();
            loaded += 1;
        }
    }
    assert!(loaded >= 6, "{loaded}");
}

#[test]
fn a_metric_that_a_head_does_not_have_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = CONFIG.replace("\"classes\": 2", "\"classes\": 3").replace("\"out\": 2}", "\"out\": 3}");
    write_model(&folder.path().join("cnn"), &Config::parse(&config, "test").unwrap());
    let text = STUDY.replace("path = \"cnn\"", "path = \"cnn\"\nexpect = { sensitivity = [0.5, 1] }");
    let study = study(folder.path(), &text);
    let subjects = resolve(&study, &Device::Cpu { threads: 1 }, None).unwrap();
    let text = message(check_expectations(&study, &subjects));
    assert!(
        text.contains("expect.sensitivity: found a metric that this head on these data does not have"),
        "{text}"
    );
    assert!(text.contains("one of accuracy, auroc, "), "{text}");
}
