//! timm's `config.json`: `architecture` names a builder of timm's, `pretrained_cfg` has input size, mean and deviation of pixels from 0 to
//! 1, `model_args` what the builder was told besides.

use serde_json::{Value, json};

use super::foreign::Foreign;
use super::{pixels, plain};
use crate::models::activation::Activation;
use crate::models::convnext::Convnext;
use crate::models::densenet::Densenet;
use crate::models::efficientnet::{Efficientnet, Padding};
use crate::models::names::Names;
use crate::models::resnet::{Resnet, Stem};
use crate::models::vit::{Pooling, Size, Vit};
use crate::models::{Architecture, Config, Head};
use crate::{Error, Result};

/// Arguments that change nothing once a model is trained, or that say what other keys say, too.
const NEUTRAL: [&str; 15] = [
    "num_classes",
    "in_chans",
    "img_size",
    "global_pool",
    "drop_rate",
    "drop_path_rate",
    "pos_drop_rate",
    "patch_drop_rate",
    "proj_drop_rate",
    "attn_drop_rate",
    "weight_init",
    "fix_init",
    "dynamic_img_size",
    "dynamic_img_pad",
    "head_init_scale",
];

/// Reads a configuration that has a `pretrained_cfg`.
pub(super) fn read(keys: &Foreign) -> Result<Config> {
    let Some(pretrained) = keys.object("pretrained_cfg")? else {
        return Err(keys.bad("pretrained_cfg", "an object"));
    };
    let arguments = keys.object("model_args")?;
    let classes = match keys.whole("num_classes")? {
        Some(classes) => classes,
        None => pretrained.whole("num_classes")?.unwrap_or(1000),
    };
    let size = pretrained.wholes("input_size")?.unwrap_or_else(|| vec![3, 224, 224]);
    let &[channels, height, width] = size.as_slice() else {
        return Err(pretrained.bad("input_size", "channels, height and width"));
    };
    let mut input = [height, width, channels];
    if let Some(arguments) = &arguments {
        if let Some(sides) = arguments.sides("img_size")? {
            input[..2].copy_from_slice(&sides);
        }
        input[2] = arguments.whole("in_chans")?.unwrap_or(channels);
    }
    let name = keys.text("architecture")?.unwrap_or_default();
    let architecture = architecture(keys, name, arguments.as_ref(), input, classes)?;
    let mut config = plain(architecture, Head::Softmax);
    match keys.texts("label_names")? {
        Some(names) if names.len() == classes => config.class_names = names,
        Some(names) => config.remarks.push(Config::other_count("label_names", names.len(), classes)),
        None => {}
    }
    if let (Some(mean), Some(std)) = (pretrained.numbers("mean")?, pretrained.numbers("std")?) {
        config.input_scaling = Some(pixels(&mean, &std));
    }
    Ok(config)
}

fn architecture(
    keys: &Foreign,
    name: &str,
    arguments: Option<&Foreign>,
    input: [usize; 3],
    classes: usize,
) -> Result<Architecture> {
    let pool = match arguments.map(|arguments| arguments.text("global_pool")).transpose()?.flatten() {
        Some(pool) => Some(pool),
        None => keys.text("global_pool")?,
    };
    if name.starts_with("vit_") || name.starts_with("deit_") {
        let mut vit = vit(name, input, classes).ok_or_else(|| unknown(keys))?;
        if pool == Some("avg") {
            vit.pooling = Pooling::Average;
        } else if pool.is_some_and(|pool| pool != "token") {
            return Err(keys.bad("global_pool", "\"token\" or \"avg\""));
        }
        if let Some(arguments) = arguments {
            vit_arguments(&mut vit, arguments)?;
        }
        return Ok(Architecture::Vit(vit));
    }
    let mut known = NEUTRAL.to_vec();
    let (names, plain) = (Names::Timm, name.strip_prefix("tf_").unwrap_or(name));
    let architecture = if let Some(mut net) = Efficientnet::named(plain, names, input, classes) {
        if plain != name {
            // Weights from TensorFlow.
            (net.epsilon, net.padding) = (1e-3, Padding::Same);
        }
        Architecture::Efficientnet(net)
    } else if let Some(mut net) = Convnext::named(name, names, input, classes) {
        known.extend(["depths", "dims", "ls_init_value", "patch_size"]);
        if let Some(arguments) = arguments {
            convnext_arguments(&mut net, arguments)?;
        }
        Architecture::Convnext(net)
    } else if let Some(mut net) = Densenet::named(name, input, classes) {
        known.extend(["growth_rate", "block_config"]);
        if let Some(arguments) = arguments {
            net.growth = arguments.whole("growth_rate")?.unwrap_or(net.growth);
            net.stem = 2 * net.growth;
            net.blocks = arguments.wholes("block_config")?.unwrap_or(net.blocks);
        }
        Architecture::Densenet(net)
    } else if let Some(depth @ (18 | 34 | 50)) = name.strip_prefix("resnet").and_then(|d| d.parse().ok()) {
        Architecture::Resnet(Resnet { depth, input, classes, stem: Stem::Large })
    } else {
        return Err(unknown(keys));
    };
    if pool.is_some_and(|pool| pool != "avg") {
        return Err(keys.bad("global_pool", "\"avg\""));
    }
    allow(arguments, &known)?;
    Ok(architecture)
}

fn unknown(keys: &Foreign) -> Error {
    keys.bad(
        "architecture",
        format!(
            "vit_ or deit_{{{}}}_patchP_S, densenet121 and its kin, (tf_)efficientnet_b0 to b7, \
             convnext_{{tiny, small, base, large}} or resnet18, 34, 50",
            Size::NAMES
        ),
    )
}

/// `vit_base_patch16_224` and the like; other words in a name stand for other networks (distilled, registers, CLIP's).
fn vit(name: &str, input: [usize; 3], classes: usize) -> Option<Vit> {
    let parts: Vec<&str> = name.split('_').collect();
    let &["vit" | "deit", size, patch, side] = parts.as_slice() else { return None };
    side.parse::<usize>().ok()?;
    Vit::of_size(size, patch.strip_prefix("patch")?.parse().ok()?, Names::Timm, input, classes)
}

fn vit_arguments(vit: &mut Vit, arguments: &Foreign) -> Result<()> {
    let known = [
        "patch_size",
        "embed_dim",
        "depth",
        "num_heads",
        "mlp_ratio",
        "qkv_bias",
        "init_values",
        "class_token",
        "act_layer",
    ];
    let neutral = [
        ("qk_norm", json!(false)),
        ("scale_attn_norm", json!(false)),
        ("scale_mlp_norm", json!(false)),
        ("proj_bias", json!(true)),
        ("no_embed_class", json!(false)),
        ("reg_tokens", json!(0)),
        ("pre_norm", json!(false)),
        ("final_norm", json!(true)),
        ("pos_embed", json!("learn")),
        ("pool_include_prefix", json!(false)),
        ("fc_norm", json!(vit.pooling == Pooling::Average)),
    ];
    for (key, value) in &neutral {
        arguments.refuse_unless(key, value)?;
    }
    allow(Some(arguments), &[&NEUTRAL[..], &known, &neutral.each_ref().map(|(key, _)| *key)].concat())?;
    vit.patch = arguments.side("patch_size")?.unwrap_or(vit.patch);
    let ratio = arguments.number("mlp_ratio")?.unwrap_or(vit.mlp as f64 / vit.width as f64);
    vit.width = arguments.whole("embed_dim")?.unwrap_or(vit.width);
    vit.depth = arguments.whole("depth")?.unwrap_or(vit.depth);
    vit.heads = arguments.whole("num_heads")?.unwrap_or(vit.heads);
    vit.mlp = (vit.width as f64 * ratio) as usize;
    vit.qkv_bias = arguments.flag("qkv_bias")?.unwrap_or(true);
    vit.class_token = arguments.flag("class_token")?.unwrap_or(true);
    vit.layer_scale = arguments.get("init_values").is_some();
    if let Some(name) = arguments.text("act_layer")? {
        vit.activation =
            Activation::by_name(name).ok_or_else(|| arguments.bad("act_layer", Activation::NAMES))?;
    }
    Ok(())
}

fn convnext_arguments(net: &mut Convnext, arguments: &Foreign) -> Result<()> {
    net.blocks = arguments.wholes("depths")?.unwrap_or_else(|| net.blocks.clone());
    net.widths = arguments.wholes("dims")?.unwrap_or_else(|| net.widths.clone());
    net.patch = arguments.side("patch_size")?.unwrap_or(net.patch);
    net.layer_scale =
        !arguments.names().any(|key| key == "ls_init_value") || arguments.get("ls_init_value").is_some();
    Ok(())
}

/// Refuses the first argument that is none of the known ones: it changes what is computed.
fn allow(arguments: Option<&Foreign>, known: &[&str]) -> Result<()> {
    let Some(arguments) = arguments else { return Ok(()) };
    match arguments.names().find(|key| !known.contains(key) && arguments.get(key) != Some(&Value::Null)) {
        Some(key) => Err(arguments.bad(key, format!("no such argument, or one of {}", known.join(", ")))),
        None => Ok(()),
    }
}
