//! Configurations that other ecosystems write beside their weights, one file an ecosystem, translated into a [`Config`].
//!
//! Foreign files have dozens of keys that do not change what is computed (dropout, initialisation, versions): those are ignored. A key
//! that does change it, with a value that percuss has no answer to, is refused by name.

mod foreign;
mod huggingface;
mod timm;
mod torchvision;
mod torchxrayvision;

use std::path::Path;

use serde_json::{Map, Value};

use super::{Architecture, Config, Head, InputScaling};
use crate::Result;
use foreign::Foreign;

/// Intensities of 8-bit images, which the other ecosystems divide by before they standardise.
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
    let foreign = Foreign::new(keys, file);
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
    Config { architecture, class_names: Vec::new(), head, input_scaling: None, training: None }
}

/// What standardises pixels from 0 to 255, given mean and deviation of pixels from 0 to 1.
fn pixels(mean: &[f64], std: &[f64]) -> InputScaling {
    let of_pixels = |values: &[f64]| values.iter().map(|value| (value * WHITE) as f32).collect();
    InputScaling { mean: of_pixels(mean), std: of_pixels(std), unit: Some("pixel".into()) }
}
