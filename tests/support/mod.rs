//! What several tests read: golden files, and the formula that their weights and inputs come from.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, missing_docs)]

pub mod clip;
pub mod evaluate;
pub mod evasion;
pub mod files;
pub mod labelled;
pub mod npz;
pub mod onnx;
pub mod poisoning;
pub mod studies;
pub mod sweeps;
pub mod threats;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use percuss::data::{Dataset, Domain, Labels};
use percuss::models::{Config, Declared, Model, WeightTensor, Weights};
use percuss::results::{CellRow, Results, SampleRow};

pub fn golden(name: &str) -> Weights {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.safetensors"));
    read(&path)
}

/// Like `Weights::read`, but whole numbers are read, too.
pub fn read(path: &std::path::Path) -> Weights {
    let bytes = std::fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let data = match view.dtype() {
            safetensors::Dtype::F32 => {
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
            }
            safetensors::Dtype::I64 => view
                .data()
                .chunks_exact(8)
                .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f32)
                .collect(),
            safetensors::Dtype::U8 => view.data().iter().map(|&b| f32::from(b)).collect(),
            other => panic!("{name} is {other:?}"),
        };
        tensors.insert(name, WeightTensor { shape: view.shape().to_vec(), data });
    }
    let mut weights = Weights::new(tensors);
    weights.metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    weights
}

/// The generator's SplitMix64 stream, seeded with the FNV-1a hash of `name` (tests/golden/formula.py).
pub fn unit(name: &str, n: usize) -> Vec<f32> {
    let seed =
        name.bytes().fold(0xCBF2_9CE4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3));
    (1..=n as u64)
        .map(|i| {
            let mut z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^= z >> 31;
            (z >> 40) as f32 * 2f32.powi(-24)
        })
        .collect()
}

/// Classes below `classes`, from the formula's hashes.
pub fn classes(name: &str, n: usize, classes: u64) -> Vec<u32> {
    // A number in [0, 1) is the hash's upper 24 bits.
    unit(name, n).into_iter().map(|u| ((u * 16_777_216.0) as u64 % classes) as u32).collect()
}

pub fn signed(name: &str, n: usize, scale: f32) -> Vec<f32> {
    unit(name, n).into_iter().map(|u| (2.0 * u - 1.0) * scale).collect()
}

/// Vectors of tokens and places.
const EMBEDDINGS: [&str; 7] = [
    "cls_token",
    "class_token",
    "class_embedding",
    "pos_embed",
    "pos_embedding",
    "positional_embedding",
    "position_embeddings",
];

pub fn parameter(name: &str, shape: &[usize]) -> Vec<f32> {
    let n = shape.iter().product();
    let kind = name.rsplit('.').next().unwrap();
    match kind {
        "logit_scale" | "logit_bias" => unit(name, n).into_iter().map(|u| 1.0 + u).collect(),
        "running_var" | "gamma" | "layer_scale" | "layer_scale_parameter" => {
            unit(name, n).into_iter().map(|u| 0.5 + u).collect()
        }
        _ if kind.contains("weight") && shape.len() == 1 => {
            unit(name, n).into_iter().map(|u| 0.5 + u).collect()
        }
        _ if kind == "running_mean" || kind.contains("bias") => signed(name, n, 0.1),
        _ if EMBEDDINGS.contains(&kind) => signed(name, n, 0.5),
        _ if kind.contains("weight") => {
            let fan_in: usize = shape[1..].iter().product();
            signed(name, n, (3.0 / fan_in as f64).sqrt() as f32)
        }
        // Matrices that are stored the other way round.
        "proj" | "text_projection" => signed(name, n, (3.0 / shape[0] as f64).sqrt() as f32),
        other => panic!("no formula for {other}"),
    }
}

/// The configuration in a golden file's metadata, with the input's size, which PyTorch does not need, filled in.
pub fn config(golden: &Weights) -> Config {
    let mut value: serde_json::Value = serde_json::from_str(&golden.metadata["config"]).unwrap();
    let shape: Vec<usize> = serde_json::from_str(&golden.metadata["input_shape"]).unwrap();
    match value["architecture"].as_str().unwrap() {
        "resnet" => {
            let n = shape.len();
            value["input"] = serde_json::json!([shape[n - 2], shape[n - 1], shape[n - 3]]);
            value.as_object_mut().unwrap().remove("in_channels");
        }
        "resnet1d" => value["length"] = shape[shape.len() - 1].into(),
        _ => {}
    }
    if let Some(text) = golden.metadata.get("preprocessing")
        && let Ok([mean, std]) = serde_json::from_str::<[f32; 2]>(text)
    {
        value["input_scaling"] = serde_json::json!({ "mean": [mean], "std": [std] });
    }
    Config::parse(&value.to_string(), "golden").unwrap()
}

pub fn formula_weights(declared: &[Declared]) -> BTreeMap<String, WeightTensor> {
    declared
        .iter()
        .map(|d| {
            (d.name.clone(), WeightTensor { shape: d.shape.clone(), data: parameter(&d.name, &d.shape) })
        })
        .collect()
}

pub fn formula_model(golden: &Weights) -> Model {
    let config = config(golden);
    let mut tensors = formula_weights(&Model::declare(&config));
    if let Some(bias) = golden.tensors.get("last_bias") {
        let last = tensors
            .keys()
            .filter(|name| name.ends_with(".bias"))
            .max_by_key(|name| order(name))
            .unwrap()
            .clone();
        tensors.insert(last, bias.clone());
    }
    Model::new(config, Weights::new(tensors)).unwrap()
}

fn order(name: &str) -> (bool, u32) {
    let first = name.split('.').next().unwrap();
    (first == "fc", first.parse().unwrap_or(0))
}

/// SHA-256 of names and shapes, as the generator of the goldens has it.
pub fn digest(declared: &[Declared]) -> String {
    use sha2::Digest;
    let mut lines: Vec<String> = declared.iter().map(|one| format!("{} {:?}", one.name, one.shape)).collect();
    lines.sort();
    sha2::Sha256::digest(lines.join("\n").as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A model folder with formula weights.
pub fn write_model(folder: &Path, config: &Config) {
    std::fs::create_dir_all(folder).unwrap();
    let weights = Weights::new(formula_weights(&Model::declare(config)));
    std::fs::write(folder.join("config.json"), serde_json::to_string(config).unwrap()).unwrap();
    weights.write(&folder.join("model.safetensors")).unwrap();
}

/// Samples in memory, classes and findings called by their numbers.
pub fn dataset(
    shape: Vec<usize>,
    values: Vec<f32>,
    labels: Labels,
    classes: usize,
    domain: Domain,
) -> Dataset {
    let n = values.len() / shape.iter().product::<usize>();
    Dataset {
        name: "test".into(),
        split: "all".into(),
        synthetic: true,
        sha256: "test".into(),
        shape,
        inputs: Vec::new(),
        values,
        labels,
        classes: (0..classes).map(|class| class.to_string()).collect(),
        unit: "unit".into(),
        group: None,
        subgroups: BTreeMap::new(),
        index: (0..n as u64).collect(),
        domain,
        samples_per_second: None,
        remarks: Vec::new(),
    }
}

/// The golden's inputs `[n, channels.., spatial..]`, in PyTorch's order.
pub fn inputs(golden: &Weights) -> Vec<f32> {
    if let Some(stored) = golden.tensors.get("inputs") {
        return stored.data.clone();
    }
    let shape: Vec<usize> = serde_json::from_str(&golden.metadata["input_shape"]).unwrap();
    let input: serde_json::Value = serde_json::from_str(&golden.metadata["input"]).unwrap();
    let n = shape.iter().product();
    let name = input["name"].as_str().unwrap();
    match input["formula"].as_str().unwrap() {
        "unit" => unit(name, n),
        "pixel" => unit(name, n).into_iter().map(|u| 255.0 * u).collect(),
        "signed" => signed(name, n, input["scale"].as_f64().unwrap() as f32),
        other => panic!("no formula {other}"),
    }
}

/// The golden's inputs as a model of this input shape takes them.
pub fn inputs_for(golden: &Weights, shape: &[usize]) -> Vec<f32> {
    let (channels, spatial) = layout(shape);
    channels_last(&inputs(golden), channels, spatial)
}

/// Channels and places of a sample, whose shape ends with its channels.
pub fn layout(shape: &[usize]) -> (usize, usize) {
    let channels = *shape.last().unwrap();
    (channels, if shape.len() == 1 { 1 } else { shape.iter().product::<usize>() / channels })
}

/// `[n, channels, spatial..]` to channels-last.
pub fn channels_last(data: &[f32], channels: usize, spatial: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(data.len());
    for sample in data.chunks_exact(channels * spatial) {
        for p in 0..spatial {
            out.extend((0..channels).map(|c| sample[c * spatial + p]));
        }
    }
    out
}

/// Largest difference over the largest magnitude.
pub fn relative_error(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
    let worst = found.iter().zip(expected).fold(0f32, |m, (a, b)| m.max((a - b).abs()));
    worst / scale
}

/// The sample rows of these cells, one cell after the other. A group's number is drawn anew for every folder: two folders agree
/// in who belongs together, not in the number, so groups are numbered here as they come.
pub fn samples_of(results: &Results, cells: &[CellRow]) -> Vec<SampleRow> {
    let mut numbers = BTreeMap::new();
    let mut samples = Vec::new();
    for cell in cells {
        for mut row in results.samples(&cell.cell_id).unwrap() {
            let next = numbers.len();
            let number = |group| numbers.entry((cell.data.clone(), group)).or_insert(next).to_string().into();
            row.group = row.group.map(number);
            samples.push(row);
        }
    }
    samples
}
