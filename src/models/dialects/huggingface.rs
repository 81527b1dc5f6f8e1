//! Hugging Face's `config.json` (`model_type`) of models for image classification, and the `preprocessor_config.json` beside it.

use std::path::Path;

use super::json::Json;
use super::{WHITE, parsed, plain, scaling};
use crate::Result;
use crate::models::activation::Activation;
use crate::models::convnext::Convnext;
use crate::models::names::Names;
use crate::models::vit::{Pooling, Vit};
use crate::models::{Architecture, Config, Head, InputScaling};

/// Reads a configuration that has a `model_type`.
pub(super) fn read(keys: &Json, folder: Option<&Path>) -> Result<Config> {
    let architecture = match keys.text("model_type")? {
        Some("vit") => Architecture::Vit(vit(keys)?),
        Some("convnext") => Architecture::Convnext(convnext(keys)?),
        _ => return Err(keys.bad("model_type", "vit or convnext")),
    };
    let head = match keys.text("problem_type")? {
        None | Some("single_label_classification") => Head::Softmax,
        Some("multi_label_classification") => Head::Sigmoid,
        Some(_) => {
            return Err(keys.bad("problem_type", "single_label_classification or multi_label_classification"));
        }
    };
    let mut config = plain(architecture, head);
    config.class_names = class_names(keys)?.unwrap_or_default();
    if let Some(folder) = folder {
        config.input_scaling = preprocessor(&folder.join("preprocessor_config.json"))?;
    }
    Ok(config)
}

fn vit(keys: &Json) -> Result<Vit> {
    expect_class(keys, "ViTForImageClassification")?;
    // What transformers' ViTConfig has where a file says nothing.
    let side = keys.pair("image_size")?.unwrap_or([224; 2]);
    Ok(Vit {
        names: Names::HuggingFace,
        input: [side[0], side[1], keys.whole("num_channels")?.unwrap_or(3)],
        classes: classes(keys)?,
        patch: keys.side("patch_size")?.unwrap_or(16),
        width: keys.whole("hidden_size")?.unwrap_or(768),
        depth: keys.whole("num_hidden_layers")?.unwrap_or(12),
        heads: keys.whole("num_attention_heads")?.unwrap_or(12),
        mlp: keys.whole("intermediate_size")?.unwrap_or(3072),
        pooling: Pooling::Token,
        class_token: true,
        activation: activation(keys)?,
        epsilon: keys.number("layer_norm_eps")?.unwrap_or(1e-12) as f32,
        qkv_bias: keys.choice("qkv_bias")?.unwrap_or(true),
        layer_scale: false,
    })
}

fn convnext(keys: &Json) -> Result<Convnext> {
    expect_class(keys, "ConvNextForImageClassification")?;
    let side = keys.pair("image_size")?.unwrap_or([224; 2]);
    Ok(Convnext {
        names: Names::HuggingFace,
        input: [side[0], side[1], keys.whole("num_channels")?.unwrap_or(3)],
        classes: classes(keys)?,
        patch: keys.side("patch_size")?.unwrap_or(4),
        widths: keys.wholes("hidden_sizes")?.unwrap_or_else(|| vec![96, 192, 384, 768]),
        blocks: keys.wholes("depths")?.unwrap_or_else(|| vec![3, 3, 9, 3]),
        activation: activation(keys)?,
        epsilon: keys.number("layer_norm_eps")?.unwrap_or(1e-12) as f32,
        layer_scale: keys.number("layer_scale_init_value")?.unwrap_or(1e-6) > 0.0,
    })
}

/// The weights of the bare encoder have no classifier, those of other tasks another head.
fn expect_class(keys: &Json, class: &str) -> Result<()> {
    match keys.texts("architectures")? {
        Some(classes) if !classes.iter().any(|one| one == class) => Err(keys.bad("architectures", class)),
        _ => Ok(()),
    }
}

fn activation(keys: &Json) -> Result<Activation> {
    let name = keys.text("hidden_act")?.unwrap_or("gelu");
    Activation::by_name(name).ok_or_else(|| keys.bad("hidden_act", Activation::NAMES))
}

/// Outputs: as many as `id2label` has, else `num_labels`, else 2, which transformers leaves out.
fn classes(keys: &Json) -> Result<usize> {
    match keys.given("id2label")? {
        Some(labels) => Ok(labels.names().count()),
        None => Ok(keys.whole("num_labels")?.unwrap_or(2)),
    }
}

/// The names in `id2label`, in the order of their numbers; none where they are made up (`LABEL_0`).
fn class_names(keys: &Json) -> Result<Option<Vec<String>>> {
    let Some(labels) = keys.given("id2label")? else { return Ok(None) };
    let count = labels.names().count();
    let names: Vec<String> = (0..count)
        .map(|i| match labels.text(&i.to_string())? {
            Some(name) => Ok(name.to_string()),
            None => Err(keys.bad("id2label", format!("a name for each number from 0 to {}", count - 1))),
        })
        .collect::<Result<_>>()?;
    let made_up = names.iter().enumerate().all(|(i, name)| *name == format!("LABEL_{i}"));
    Ok((!made_up).then_some(names))
}

/// The scaling of an image processor: `(x * rescale_factor - image_mean) / image_std`; `None` where there is no such file, or it does
/// neither.
fn preprocessor(path: &Path) -> Result<Option<InputScaling>> {
    if !path.is_file() {
        return Ok(None);
    }
    let keys = parsed(path)?;
    let white = match keys.choice("do_rescale")? {
        Some(false) => 1.0,
        _ => 1.0 / keys.number("rescale_factor")?.unwrap_or(1.0 / WHITE),
    };
    if keys.choice("do_normalize")? == Some(false) {
        return Ok((white != 1.0).then(|| scaling(&[0.0], &[1.0], white)));
    }
    let wanted = |key: &str| {
        let expected = "numbers, since do_normalize is not false";
        keys.numbers(key)?.ok_or_else(|| keys.bad(key, expected))
    };
    Ok(Some(scaling(&wanted("image_mean")?, &wanted("image_std")?, white)))
}
