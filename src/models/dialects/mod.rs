//! Configurations that other ecosystems write beside their weights, one file an ecosystem, translated into a [`Config`].
//!
//! Foreign files have dozens of keys that do not change what is computed (dropout, initialisation, versions): those are ignored. A key
//! that does change it, with a value that percuss has no answer to, is refused by name.

mod hugging_face_clip;
mod huggingface;
mod json;
mod open_clip;
mod timm;
mod torchvision;
mod torchxrayvision;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use self::json::Json;
use super::config::{Architecture, Config, Head, InputScaling};
use super::weights::Weights;
use crate::{Error, Result};

/// Mean and deviation of OpenAI's training images, of values from 0 to 1: what image-text models are scaled with where nothing else is said.
const CLIP_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// The largest value of a pixel: ecosystems divide by it, here samples are pixels.
const WHITE: f64 = 255.0;

/// The configuration that a foreign `config.json` stands for; `None` where it is percuss's own. `folder` is where files beside it are.
///
/// # Errors
/// An architecture that is not among the families, a key with a value that they have no answer to.
pub(super) fn translate(
    keys: &Map<String, Value>,
    file: &str,
    folder: Option<&Path>,
) -> Result<Option<Config>> {
    let foreign = Json::of(keys, file);
    let names = keys.get("names").and_then(Value::as_str);
    Ok(Some(if keys.contains_key("model_type") {
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

/// A configuration without class names, scaling and training.
fn plain(architecture: Architecture, head: Head) -> Config {
    Config { architecture, class_names: Vec::new(), head, input_scaling: None, samples: None, training: None }
}

/// Reads a model's folder: its configuration, tensors, and the file that errors about them should name.
///
/// # Errors
/// A file that is missing or broken, a configuration of a model that there is none of here.
pub(super) fn read(folder: &Path) -> Result<(Config, Weights, PathBuf)> {
    let own = folder.join(open_clip::CONFIG);
    if own.is_file() {
        let file = open_clip::WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        let file = file.ok_or_else(|| {
            let expected =
                format!("{} (experiments/clip-evasion/convert.py makes it)", open_clip::WEIGHTS[0]);
            Error::input(folder.display(), "weights", "no safetensors file", expected)
        })?;
        let weights = Weights::read(&file)?;
        let config = open_clip::config(&parsed(&own)?, &weights, text_config(folder)?.as_ref())?;
        return Ok((config, weights, file));
    }
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
    // What is no JSON is for the configuration's own reader to complain about.
    let kind = serde_json::from_str::<Value>(&text).ok();
    let kind = kind.as_ref().and_then(|value| value.get("model_type")).and_then(Value::as_str);
    if kind == Some("clip") {
        let (weights, file) = Weights::read_folder(folder)?;
        let config = hugging_face_clip::config(&parsed(&path)?, &weights, processor(folder)?.as_ref())?;
        return Ok((config, weights, file));
    }
    let config = Config::read(&path)?;
    let (weights, file) = Weights::read_folder(folder)?;
    Ok((config, weights, file))
}

/// The configuration of the text's side beside an open_clip model, if there is one.
fn text_config(folder: &Path) -> Result<Option<Json>> {
    let path = folder.join("config.json");
    path.is_file().then(|| parsed(&path)).transpose()
}

fn processor(folder: &Path) -> Result<Option<Json>> {
    let path = folder.join("preprocessor_config.json");
    path.is_file().then(|| parsed(&path)).transpose()
}

fn parsed(path: &Path) -> Result<Json> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    Json::parse(&text, &path.display().to_string())
}

/// Scaling of pixels by the mean and deviation of values from 0 to `1 = white`. Where white is not that of 8-bit images, nothing says what
/// the data's unit is.
fn scaling(mean: &[f64], std: &[f64], white: f64) -> InputScaling {
    let pixels = |values: &[f64]| values.iter().map(|value| (value * white) as f32).collect();
    let unit = ((white - WHITE).abs() < 1e-3).then(|| "pixel".to_string());
    InputScaling { mean: pixels(mean), std: pixels(std), unit }
}

/// How many blocks there are: one more than the largest number that stands after `prefix` in a tensor's name.
fn blocks(weights: &Weights, prefix: &str) -> usize {
    let number = |name: &String| name.strip_prefix(prefix)?.split('.').next()?.parse::<usize>().ok();
    weights.tensors.keys().filter_map(number).max().map_or(0, |largest| largest.saturating_add(1))
}
