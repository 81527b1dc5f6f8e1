//! Hugging Face's `config.json` (`model_type`) of models for image classification, and the `preprocessor_config.json` beside it.

use std::path::Path;

use serde_json::Value;

use super::foreign::Foreign;
use super::{WHITE, object, plain};
use crate::Result;
use crate::models::activation::Activation;
use crate::models::convnext::Convnext;
use crate::models::names::Names;
use crate::models::vit::{Pooling, Vit};
use crate::models::{Architecture, Bert, BertClassifier, BlockNames, Config, Encoder, Head, InputScaling};

/// Reads a configuration that has a `model_type`.
pub(super) fn read(keys: &Foreign, folder: Option<&Path>) -> Result<Config> {
    let architecture = match keys.text("model_type")? {
        Some("vit") => Architecture::Vit(vit(keys)?),
        Some("convnext") => Architecture::Convnext(convnext(keys)?),
        Some("bert") => Architecture::Bert(bert(keys)?),
        _ => return Err(keys.bad("model_type", "vit, convnext, bert or clip")),
    };
    let head = match keys.text("problem_type")? {
        None | Some("single_label_classification") => Head::Softmax,
        Some("multi_label_classification") => Head::Sigmoid,
        Some(_) => {
            return Err(keys.bad("problem_type", "single_label_classification or multi_label_classification"));
        }
    };
    let mut config = plain(architecture, head);
    if head == Head::Softmax && config.classes() == 1 {
        let expected = "multi_label_classification, or two labels at least: one label alone is regression";
        return Err(keys.bad("problem_type", expected));
    }
    config.class_names = class_names(keys)?.unwrap_or_default();
    // Numbers of tokens are not scaled.
    let images = !matches!(config.architecture, Architecture::Bert(_));
    if let Some(folder) = folder.filter(|_| images) {
        config.input_scaling = preprocessor(&folder.join("preprocessor_config.json"))?;
    }
    Ok(config)
}

fn vit(keys: &Foreign) -> Result<Vit> {
    expect_class(keys, "ViTForImageClassification")?;
    // What transformers' ViTConfig has where a file says nothing.
    let side = keys.sides("image_size")?.unwrap_or([224; 2]);
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
        qkv_bias: keys.flag("qkv_bias")?.unwrap_or(true),
        layer_scale: false,
    })
}

fn bert(keys: &Foreign) -> Result<BertClassifier> {
    expect_class(keys, "BertForSequenceClassification")?;
    keys.refuse_unless("position_embedding_type", &Value::from("absolute"))?;
    let encoder = Encoder {
        names: BlockNames::Bert,
        width: keys.whole("hidden_size")?.unwrap_or(768),
        heads: keys.whole("num_attention_heads")?.unwrap_or(12),
        layers: keys.whole("num_hidden_layers")?.unwrap_or(12),
        hidden: keys.whole("intermediate_size")?.unwrap_or(3072),
        activation: activation(keys)?,
        epsilon: keys.number("layer_norm_eps")?.unwrap_or(1e-12) as f32,
        qkv_bias: true,
        layer_scale: false,
    };
    let bert = Bert {
        prefix: "bert.".into(),
        vocabulary: keys.whole("vocab_size")?.unwrap_or(30522),
        positions: keys.whole("max_position_embeddings")?.unwrap_or(512),
        types: keys.whole("type_vocab_size")?.unwrap_or(2),
        encoder,
    };
    let padding = keys.whole("pad_token_id")?.unwrap_or(0) as u32;
    Ok(BertClassifier { bert, padding, classes: classes(keys)?, words: None })
}

fn convnext(keys: &Foreign) -> Result<Convnext> {
    expect_class(keys, "ConvNextForImageClassification")?;
    let side = keys.sides("image_size")?.unwrap_or([224; 2]);
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
fn expect_class(keys: &Foreign, class: &str) -> Result<()> {
    match keys.texts("architectures")? {
        Some(classes) if !classes.iter().any(|one| one == class) => Err(keys.bad("architectures", class)),
        _ => Ok(()),
    }
}

fn activation(keys: &Foreign) -> Result<Activation> {
    let name = keys.text("hidden_act")?.unwrap_or("gelu");
    Activation::by_name(name).ok_or_else(|| keys.bad("hidden_act", Activation::NAMES))
}

/// Outputs: as many as `id2label` has, else `num_labels`, else 2, which transformers leaves out.
fn classes(keys: &Foreign) -> Result<usize> {
    match keys.object("id2label")? {
        Some(labels) => Ok(labels.names().count()),
        None => Ok(keys.whole("num_labels")?.unwrap_or(2)),
    }
}

/// The names in `id2label`, in the order of their numbers; none where they are made up (`LABEL_0`).
fn class_names(keys: &Foreign) -> Result<Option<Vec<String>>> {
    let Some(labels) = keys.object("id2label")? else { return Ok(None) };
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
pub(super) fn preprocessor(path: &Path) -> Result<Option<InputScaling>> {
    if !path.is_file() {
        return Ok(None);
    }
    let file = path.display().to_string();
    let map = object(path)?;
    let keys = Foreign::new(&map, &file);
    let rescales = keys.flag("do_rescale")?.unwrap_or(true);
    let factor = if rescales { keys.number("rescale_factor")?.unwrap_or(1.0 / WHITE) } else { 1.0 };
    let standardises = keys.flag("do_normalize")?.unwrap_or(true);
    let (mean, std) = match standardises {
        true => (keys.numbers("image_mean")?, keys.numbers("image_std")?),
        false => (Some(vec![0.0]), Some(vec![1.0])),
    };
    let mean = mean.ok_or_else(|| keys.bad("image_mean", "numbers, since do_normalize is not false"))?;
    let std = std.ok_or_else(|| keys.bad("image_std", "numbers, since do_normalize is not false"))?;
    if !rescales && !standardises {
        return Ok(None);
    }
    let of_data = |values: Vec<f64>| values.iter().map(|value| (value / factor) as f32).collect();
    // Without rescaling nothing says what the numbers are.
    let unit = (rescales && (factor * WHITE - 1.0).abs() < 1e-6).then(|| "pixel".to_string());
    Ok(Some(InputScaling { mean: of_data(mean), std: of_data(std), unit }))
}
