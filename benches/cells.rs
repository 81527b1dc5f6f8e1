//! The cells of `percuss demo` for `others.py cells`: writes `study.json` and one safetensors file a data set into a folder.
//!
//! `cargo bench --bench cells -- DIR [DATA_DIR]`; `benches/compare.py cells` runs both sides and prints the ratio. Inputs are
//! in units of the data's scale, where eps is; the models' input scaling is changed to match.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use percuss::cli::demo;
use percuss::data::Labels;
use percuss::models::{WeightTensor, Weights};
use percuss::sweep::grid::{Cell, Grid, Outputs};
use percuss::sweep::resolve::{ResolvedSubject, resolve};
use percuss_kernels::Device;
use serde_json::{Value, json};

/// Value `i` of what is one for all or one each.
fn at(values: &[f32], i: usize) -> f64 {
    f64::from(if values.len() == 1 { values[0] } else { values[i] })
}

/// Each feature's quotient of two such lists, or one where both are one for all.
fn over(values: &[f32], scale: &[f32]) -> Vec<f64> {
    (0..values.len().max(scale.len())).map(|i| at(values, i) / at(scale, i)).collect()
}

fn write_data(resolved: &ResolvedSubject, path: &Path) {
    let data = &resolved.subject.data;
    let Labels::Class(labels) = &data.labels else { panic!("the demo's labels are classes") };
    let scaled: Vec<f32> = (data.values.iter().enumerate())
        .map(|(i, &value)| (f64::from(value) / at(&data.domain.scale, i % data.sample_len())) as f32)
        .collect();
    let shape = [vec![data.len()], data.shape.clone()].concat();
    let labels: Vec<f32> = labels.iter().map(|&label| label as f32).collect();
    let tensors = BTreeMap::from([
        ("inputs".to_string(), WeightTensor { shape, data: scaled }),
        ("labels".to_string(), WeightTensor { shape: vec![data.len()], data: labels }),
    ]);
    Weights::new(tensors).write(path).unwrap();
}

/// What a cell needs of its model and data.
fn subject(resolved: &ResolvedSubject, model: PathBuf, file: &str) -> serde_json::Map<String, Value> {
    let (data, config) = (&resolved.subject.data, &resolved.subject.model.config);
    let scale = &data.domain.scale;
    let lowest = over(&data.domain.low, scale).into_iter().fold(f64::INFINITY, f64::min);
    let highest = over(&data.domain.high, scale).into_iter().fold(f64::NEG_INFINITY, f64::max);
    let mut fields = serde_json::Map::new();
    fields.insert("model".into(), json!(model));
    fields.insert("data".into(), json!(file));
    fields.insert("n".into(), json!(data.len()));
    // One pair of bounds for all features is what Foolbox takes.
    fields.insert("bounds".into(), json!([lowest.max(-1e6), highest.min(1e6)]));
    if let Some(scaling) = &config.input_scaling {
        fields.insert("mean".into(), json!(over(&scaling.mean, scale)));
        fields.insert("std".into(), json!(over(&scaling.std, scale)));
    }
    fields
}

fn cell(cell: &Cell, mut fields: serde_json::Map<String, Value>) -> Value {
    fields.insert("attack".into(), json!(cell.attack.name));
    fields.insert("norm".into(), json!(cell.norm.name()));
    fields.insert("loss".into(), json!(cell.loss()));
    fields.insert("eps".into(), json!(cell.eps));
    fields.insert("steps".into(), json!(cell.steps()));
    fields.insert("step_size".into(), json!(cell.step_size()));
    fields.insert("random_start".into(), json!(cell.random_start()));
    fields.insert("seed".into(), json!(cell.seed));
    Value::Object(fields)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let folder = PathBuf::from(arguments.first().expect("cells DIR [DATA_DIR]"));
    let data_dir = arguments.get(1).map(PathBuf::from);
    std::fs::create_dir_all(&folder).unwrap();
    let study = demo::study(data_dir.as_deref()).unwrap();
    let subjects = resolve(&study, &Device::Cpu { threads: 2 }, data_dir.as_deref()).unwrap();
    let find = |model, data| subjects.iter().find(|s| (s.model, s.data) == (model, data)).unwrap();
    let outputs = |model, data| {
        let subject = &find(model, data).subject;
        Some(Outputs::of(&subject.model.config, &subject.data.classes))
    };
    let grid = Grid::new(&study, outputs).unwrap();
    let file = |data: usize| format!("{}.safetensors", study.data[data].id);
    for resolved in &subjects {
        write_data(resolved, &folder.join(file(resolved.data)));
    }
    let cells: Vec<Value> = grid
        .cells
        .iter()
        .map(|c| {
            let model = std::path::absolute(&study.models[c.model].path).unwrap();
            cell(c, subject(find(c.model, c.data), model, &file(c.data)))
        })
        .collect();
    std::fs::write(folder.join("study.json"), serde_json::to_string(&cells).unwrap()).unwrap();
    println!("{}", json!({ "cells": cells.len() }));
}
