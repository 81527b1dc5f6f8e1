//! Model files that are not what they should be: each is refused, naming the file, the place, what was found and what was expected.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;

use half::{bf16, f16};
use percuss::Error;
use percuss::models::{Config, Model, Weights};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use support::formula_weights;

const CONFIG: &str = r#"{"architecture": "mlp", "inputs": 3, "hidden": [4], "classes": 2}"#;

/// A model folder whose file holds `bytes`.
fn load(bytes: &[u8]) -> Result<Model, Error> {
    load_as(CONFIG, bytes)
}

fn load_as(config: &str, bytes: &[u8]) -> Result<Model, Error> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    Model::load(folder.path())
}

fn whole() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    Weights::new(formula_weights(&Model::declare(&Config::parse(CONFIG, "test").unwrap())))
        .write(&path)
        .unwrap();
    std::fs::read(path).unwrap()
}

fn refused(result: Result<Model, Error>, parts: &[&str]) {
    let error = result.expect_err("this must be refused");
    assert_eq!(error.exit_code(), 2, "{error}");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

#[test]
fn a_whole_file_loads() {
    assert_eq!(load(&whole()).unwrap().config.classes(), 2);
}

#[test]
fn truncated_anywhere_it_is_refused() {
    let bytes = whole();
    for len in (0..bytes.len()).step_by(7) {
        refused(load(&bytes[..len]), &["model.safetensors", "header"]);
    }
}

/// The file with its header replaced.
fn with_header(edit: impl Fn(String) -> String) -> Vec<u8> {
    let bytes = whole();
    let len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = edit(String::from_utf8(bytes[8..8 + len].to_vec()).unwrap());
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[8 + len..]].concat()
}

#[test]
fn lying_headers_are_refused() {
    for (from, to) in [
        ("\"F32\"", "\"Q7\""),
        ("\"shape\":[4,3]", "\"shape\":[4,9]"),
        ("\"shape\":[4,3]", "\"shape\":[4611686018427387904,4611686018427387904]"),
        ("\"data_offsets\":[0,", "\"data_offsets\":[4,"),
    ] {
        let bytes = with_header(|header| {
            assert!(header.contains(from), "{header}");
            header.replacen(from, to, 1)
        });
        refused(load(&bytes), &["model.safetensors", "header"]);
    }
    refused(load(&[&u64::MAX.to_le_bytes()[..], b"{}"].concat()), &["model.safetensors", "header"]);
}

#[test]
fn a_weight_that_is_not_finite_is_named() {
    let mut bytes = whole();
    let len = bytes.len();
    bytes[len - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    refused(load(&bytes), &["tensor", "element", "NaN", "a finite number"]);
}

#[test]
fn missing_extra_and_misshapen_tensors_are_named() {
    let larger = CONFIG.replace("\"hidden\": [4]", "\"hidden\": [4, 4]");
    refused(load_as(&larger, &whole()), &["model.safetensors", "tensor"]);
    let smaller = CONFIG.replace("\"hidden\": [4]", "\"hidden\": []");
    refused(load_as(&smaller, &whole()), &["tensor 0.", "expected"]);
    let wider = CONFIG.replace("\"inputs\": 3", "\"inputs\": 5");
    refused(load_as(&wider, &whole()), &["tensor 0.weight", "[4, 3]", "[4, 5]"]);
}

#[test]
fn a_configuration_that_cannot_be_is_refused() {
    refused(load_as("{", &whole()), &["config.json", "line"]);
    refused(load_as(r#"{"architecture": "transformer"}"#, &whole()), &["config.json", "transformer"]);
    let zero = CONFIG.replace("\"classes\": 2", "\"classes\": 0");
    refused(load_as(&zero, &whole()), &["config.json", "classes", "found 0"]);
    let cnn = r#"{"architecture": "cnn", "input": [5, 5, 1], "classes": 2, "layers": [{"kind": "conv", "out": 2, "kernel": 9}]}"#;
    refused(load_as(cnn, &whole()), &["layers[0]", "no larger than the padded image"]);
}

#[test]
fn half_precision_is_widened_exactly() {
    let reference = load(&whole()).unwrap();
    type Narrow = (Dtype, fn(f32) -> [u8; 2], fn(f32) -> f32);
    let kinds: [Narrow; 2] = [
        (Dtype::F16, |v| f16::from_f32(v).to_le_bytes(), |v| f16::from_f32(v).to_f32()),
        (Dtype::BF16, |v| bf16::from_f32(v).to_le_bytes(), |v| bf16::from_f32(v).to_f32()),
    ];
    for (dtype, bytes, rounded) in kinds {
        let data: Vec<(String, Vec<usize>, Vec<u8>)> = reference
            .weights
            .tensors
            .iter()
            .map(|(name, t)| (name.clone(), t.shape.clone(), t.data.iter().flat_map(|&v| bytes(v)).collect()))
            .collect();
        let views = data
            .iter()
            .map(|(name, shape, bytes)| (name, TensorView::new(dtype, shape.clone(), bytes).unwrap()));
        let model = load(&safetensors::serialize(views, None).unwrap()).unwrap();
        for (name, tensor) in &model.weights.tensors {
            let expected: Vec<f32> =
                reference.weights.tensors[name].data.iter().map(|&v| rounded(v)).collect();
            assert_eq!(tensor.data, expected);
        }
        assert_ne!(model.sha256, reference.sha256, "other weights are another model");
    }
}

#[test]
fn a_folder_without_a_model_says_what_is_missing() {
    let error = Model::load(Path::new("no/such/model")).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("no/such/model"), "{error}");
}
