//! The models and data of `benches/compare.py`: EHR MLP, X-ray CNN, ECG ResNet and ResNet-18, for percuss and for other tools alike.
//!
//! `cargo bench --bench export -- DIR [DATA_DIR]` writes a safetensors file of `inputs` and `labels` a model into DIR, and prints a JSON line a
//! model: its folder, and the scaling of its input. Inputs are in units of the data's scale, where eps is, free of masks and groups that
//! other tools do not know. ResNet-18 has formula weights, and its own predictions for labels.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use percuss::cli::demo;
use percuss::data::Labels;
use percuss::models::{Config, Model, WeightTensor, Weights};
use percuss::sweep::resolve::{ResolvedSubject, resolve};
use percuss::sweep::subject::{clean_logits, prediction};
use percuss_kernels::Device;
use serde_json::json;

const RESNET18: &str = r#"{"architecture": "resnet", "depth": 18, "input": [28, 28, 1], "classes": 2, "stem": "3x3",
    "input_scaling": {"mean": [127.0], "std": [64.0]}}"#;

/// Value `i` of what is one for all or one each.
fn at(values: &[f32], i: usize) -> f64 {
    f64::from(if values.len() == 1 { values[0] } else { values[i] })
}

/// Each feature's quotient of two such lists, or one where both are one for all.
fn over(values: &[f32], scale: &[f32]) -> Vec<f64> {
    (0..values.len().max(scale.len())).map(|i| at(values, i) / at(scale, i)).collect()
}

fn write(path: &Path, inputs: Vec<f32>, shape: &[usize], labels: &[u32]) {
    let shape = [&[labels.len()], shape].concat();
    let labels: Vec<f32> = labels.iter().map(|&label| label as f32).collect();
    let tensors = BTreeMap::from([
        ("inputs".to_string(), WeightTensor { shape, data: inputs }),
        ("labels".to_string(), WeightTensor { shape: vec![labels.len()], data: labels }),
    ]);
    Weights::new(tensors).write(path).unwrap();
}

fn export(name: &str, resolved: &ResolvedSubject, folder: &Path, model: &Path) {
    let data = &resolved.subject.data;
    let Labels::Class(labels) = &data.labels else { panic!("the demo's labels are classes") };
    let scale = &data.domain.scale;
    let scaled = (data.values.iter().enumerate())
        .map(|(i, &value)| (f64::from(value) / at(scale, i % data.sample_len())) as f32)
        .collect();
    write(&folder.join(format!("{name}.safetensors")), scaled, &data.shape, labels);
    let scaling = resolved.subject.model.config.input_scaling.as_ref().unwrap();
    let (mean, std) = (over(&scaling.mean, scale), over(&scaling.std, scale));
    println!(
        "{}",
        json!({ "name": name, "model": std::path::absolute(model).unwrap(), "mean": mean, "std": std })
    );
}

/// ResNet-18 on the CNN's images.
fn export_resnet18(images: &ResolvedSubject, folder: &Path) {
    let config = Config::parse(RESNET18, "bench").unwrap();
    let place = folder.join("resnet18");
    support::write_model(&place, &config);
    let model = Model::load(&place).unwrap();
    let data = &images.subject.data;
    let logits = clean_logits(&model, data, &Device::Cpu { threads: 2 }).unwrap();
    let labels: Vec<u32> = logits.chunks(2).map(prediction).collect();
    write(&folder.join("resnet18.safetensors"), data.values.clone(), &data.shape, &labels);
    println!("{}", json!({ "name": "resnet18", "model": place, "mean": [127.0], "std": [64.0] }));
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let folder = PathBuf::from(arguments.first().expect("export DIR [DATA_DIR]"));
    let data_dir = arguments.get(1).map(PathBuf::from);
    std::fs::create_dir_all(&folder).unwrap();
    let mut study = demo::study(data_dir.as_deref()).unwrap();
    study.data.iter_mut().for_each(|entry| entry.request.limit = Some(1024));
    let subjects = resolve(&study, &Device::Cpu { threads: 2 }, data_dir.as_deref()).unwrap();
    for resolved in &subjects {
        let name = match resolved.subject.model.config.input_shape().as_slice() {
            [_] => "mlp",
            [1, ..] => "resnet1d",
            _ => "cnn",
        };
        export(name, resolved, &folder, &study.models[resolved.model].path);
        if name == "cnn" {
            export_resnet18(resolved, &folder);
        }
    }
}
