//! Configurations that other ecosystems write beside their weights, one file an ecosystem, translated into a [`Config`].
//!
//! Foreign files have dozens of keys that do not change what is computed (dropout, initialisation, versions): those are ignored. A key
//! that does change it, with a value that percuss has no answer to, is refused by name.

mod foreign;
mod hugging_face_clip;
mod huggingface;
mod open_clip;
mod timm;
mod torchvision;
mod torchxrayvision;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Architecture, Config, Head, InputScaling, Weights};
use crate::{Error, Result};
use foreign::Foreign;

/// Intensities of 8-bit images, which the other ecosystems divide by before they standardise.
const WHITE: f64 = 255.0;

/// Mean and deviation of OpenAI's training images, of values from 0 to 1: what image-text models are scaled with where nothing else is said.
const CLIP_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// The configuration that a foreign `config.json` stands for; `None` where it is percuss's own. `folder` is where files beside it are.
///
/// # Errors
/// An architecture that is not among the families, a key with a value that they have no answer to.
pub(super) fn translate(
    keys: &Map<String, Value>,
    file: &str,
    folder: Option<&Path>,
) -> Result<Option<Config>> {
    let foreign = Foreign::new(keys, file);
    let names = keys.get("names").and_then(Value::as_str);
    Ok(Some(if keys.get("model_type").and_then(Value::as_str) == Some("clip") {
        hugging_face_clip::read(&foreign, folder)?
    } else if keys.contains_key("model_type") {
        huggingface::read(&foreign, folder)?
    } else if keys.contains_key("pretrained_cfg") {
        timm::read(&foreign)?
    } else if names == Some("torchxrayvision") {
        torchxrayvision::read(&foreign)?
    } else if names == Some("torchvision") && torchvision::knows(keys) {
        torchvision::read(&foreign)?
    } else {
        return Ok(None);
    }))
}

/// Reads a folder of open_clip's, if it is one: the configuration, the tensors, and the file that errors about them should name.
///
/// # Errors
/// A file that is missing or broken, a configuration of a model that there is none of here.
pub(super) fn open_clip(folder: &Path) -> Result<Option<(Config, Weights, PathBuf)>> {
    let path = folder.join(open_clip::CONFIG);
    if !path.is_file() {
        return Ok(None);
    }
    let file = open_clip::WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    let file = file.ok_or_else(|| {
        let expected = format!("{} (experiments/clip-evasion/convert.py makes it)", open_clip::WEIGHTS[0]);
        Error::input(folder.display(), "weights", "no safetensors file", expected)
    })?;
    let weights = Weights::read(&file)?;
    let (own, name) = (object(&path)?, path.display().to_string());
    // That of the text's side lies beside it.
    let beside = folder.join("config.json");
    let text = beside.is_file().then(|| object(&beside)).transpose()?;
    let beside = beside.display().to_string();
    let text = text.as_ref().map(|keys| Foreign::new(keys, &beside));
    let config = open_clip::config(&Foreign::new(&own, &name), &weights, text.as_ref())?;
    Ok(Some((config, weights, file)))
}

/// The object in a JSON file.
fn object(path: &Path) -> Result<Map<String, Value>> {
    let text = crate::files::read_text(path)?;
    let broken = |e: serde_json::Error| {
        Error::input(path.display(), format!("line {}", e.line()), e.to_string(), "a JSON object")
    };
    serde_json::from_str(&text).map_err(broken)
}

/// How many blocks there are: one more than the largest number that stands after `prefix` in a tensor's name.
fn blocks(weights: &Weights, prefix: &str) -> usize {
    let number = |name: &String| name.strip_prefix(prefix)?.split('.').next()?.parse::<usize>().ok();
    weights.tensors.keys().filter_map(number).max().map_or(0, |largest| largest.saturating_add(1))
}

/// A configuration without class names, scaling and training.
fn plain(architecture: Architecture, head: Head) -> Config {
    Config {
        architecture,
        class_names: Vec::new(),
        head,
        input_scaling: None,
        samples: None,
        training: None,
        remarks: Vec::new(),
    }
}

/// What standardises pixels from 0 to 255, given mean and deviation of pixels from 0 to 1.
fn pixels(mean: &[f64], std: &[f64]) -> InputScaling {
    let of_pixels = |values: &[f64]| values.iter().map(|value| (value * WHITE) as f32).collect();
    InputScaling { mean: of_pixels(mean), std: of_pixels(std), unit: Some("pixel".into()) }
}
