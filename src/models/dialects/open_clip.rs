//! open_clip's `open_clip_config.json`: its own vision transformer or one of timm's, its own text transformer or Hugging Face's BERT.

use super::foreign::Foreign;
use super::{CLIP_MEAN, CLIP_STD, blocks, pixels, plain};
use crate::models::activation::Activation;
use crate::models::bert::Bert;
use crate::models::clip::{
    BertPooler, BertText, CausalText, Clip, EndOfText, ImageNames, ImagePool, ImageTower, Projection,
    TextNames, TextTower,
};
use crate::models::config::{Architecture, Config, Head};
use crate::models::transformer::{BlockNames, Encoder};
use crate::models::vit::Size;
use crate::models::weights::Weights;
use crate::{Error, Result};

/// The configuration's file.
pub(super) const CONFIG: &str = "open_clip_config.json";

/// What the tensors' file may be called.
pub(super) const WEIGHTS: [&str; 3] =
    ["open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors"];

/// Values of a head where a configuration does not say how many heads there are.
const HEAD: usize = 64;

/// The model that a configuration describes; `text` is that of Hugging Face's text model, if it lies beside.
pub(super) fn config(json: &Foreign, weights: &Weights, text: Option<&Foreign>) -> Result<Config> {
    let inner = json.object("model_cfg")?;
    let model = inner.as_ref().unwrap_or(json);
    model.refuse_beside(&[
        "embed_dim",
        "vision_cfg",
        "text_cfg",
        "quick_gelu",
        "custom_text",
        "init_logit_scale",
        "init_logit_bias",
        "nonscalar_logit_scale",
        "preprocess_cfg",
    ])?;
    let features = model.whole("embed_dim")?;
    let features = features.ok_or_else(|| model.bad("embed_dim", "a whole number"))?;
    let quick = model.is("quick_gelu")?;
    let (vision_cfg, text_cfg) = (model.part("vision_cfg")?, model.part("text_cfg")?);
    let image = match vision_cfg.text("timm_model_name")? {
        Some(name) => timm(&vision_cfg, name, weights, features)?,
        None => native_image(&vision_cfg, quick)?,
    };
    let text = match text_cfg.text("hf_model_name")? {
        Some(name) => bert(&text_cfg, name, weights, text, features)?,
        None => native_text(&text_cfg, quick, weights)?,
    };
    let scale_shape = weights.tensors.get("logit_scale").map_or(Vec::new(), |scale| scale.shape.clone());
    let bias = weights.tensors.contains_key("logit_bias");
    let clip = Clip { features, image, text, scale_shape, bias, zero_shot: None };
    let processor = json.part("preprocess_cfg")?;
    let mean = processor.numbers("mean")?.unwrap_or(CLIP_MEAN.to_vec());
    let std = processor.numbers("std")?.unwrap_or(CLIP_STD.to_vec());
    let mut config = plain(Architecture::Clip(Box::new(clip)), Head::Softmax);
    config.input_scaling = Some(pixels(&mean, &std));
    config.check(json.file())?;
    Ok(config)
}

fn native_image(cfg: &Foreign, quick: bool) -> Result<ImageTower> {
    cfg.refuse_beside(&[
        "image_size",
        "layers",
        "width",
        "head_width",
        "mlp_ratio",
        "patch_size",
        "patch_dropout",
        "no_ln_pre",
        "final_ln_after_pool",
        "pool_type",
        "act_kwargs",
        "norm_kwargs",
        "pos_embed_type",
        "output_tokens",
    ])?;
    if cfg.text("pos_embed_type")?.is_some_and(|kind| kind != "learnable") {
        return Err(cfg.bad("pos_embed_type", "learnable"));
    }
    if cfg.get("layers").is_some_and(serde_json::Value::is_array) {
        return Err(cfg.bad("layers", "the number of a transformer's blocks: there is no ResNet here"));
    }
    let width = cfg.whole("width")?.unwrap_or(768);
    let heads = width / cfg.whole("head_width")?.unwrap_or(HEAD).max(1);
    let pool = match (cfg.text("pool_type")?.unwrap_or("tok"), cfg.is("final_ln_after_pool")?) {
        ("tok", _) => ImagePool::Token,
        ("avg", false) => ImagePool::NormedAverage,
        ("avg", true) => ImagePool::Average,
        _ => return Err(cfg.bad("pool_type", "tok or avg")),
    };
    Ok(ImageTower {
        names: ImageNames::OpenClip,
        size: cfg.sides("image_size")?.unwrap_or([224; 2]),
        patch: cfg.whole("patch_size")?.unwrap_or(16),
        encoder: native_encoder(cfg, width, heads, quick)?,
        norm_before: !cfg.is("no_ln_pre")?,
        pool,
        projection: Projection::Matrix,
    })
}

fn native_text(cfg: &Foreign, quick: bool, weights: &Weights) -> Result<TextTower> {
    cfg.refuse_beside(&[
        "context_length",
        "vocab_size",
        "hf_tokenizer_name",
        "width",
        "heads",
        "layers",
        "mlp_ratio",
        "pad_id",
        "eos_id",
        "final_ln_after_pool",
        "pool_type",
        "proj_bias",
        "proj_type",
        "act_kwargs",
        "norm_kwargs",
        "output_tokens",
        "hf_model_pretrained",
        "hf_proj_type",
        "hf_pooler_type",
    ])?;
    let width = cfg.whole("width")?.unwrap_or(512);
    let heads = cfg.whole("heads")?.unwrap_or(8);
    let end = match cfg.text("pool_type")?.unwrap_or("argmax") {
        "argmax" => EndOfText::Highest,
        "eos" => EndOfText::Token(cfg.whole("eos_id")?.unwrap_or(2) as u32),
        "first" => EndOfText::First,
        _ => return Err(cfg.bad("pool_type", "argmax, eos or first")),
    };
    let projection = match (cfg.text("proj_type")?.unwrap_or("linear"), cfg.is("proj_bias")?) {
        ("none", _) => Projection::None,
        ("linear", true) => Projection::Linear { bias: true },
        ("linear", false) => Projection::Matrix,
        _ => return Err(cfg.bad("proj_type", "linear or none")),
    };
    let apart = weights.tensors.contains_key("text.positional_embedding");
    Ok(TextTower::Causal(CausalText {
        names: if apart { TextNames::OpenClipApart } else { TextNames::OpenClip },
        vocabulary: cfg.whole("vocab_size")?.unwrap_or(49408),
        context: cfg.whole("context_length")?.unwrap_or(77),
        encoder: native_encoder(cfg, width, heads, quick)?,
        end,
        projection,
    }))
}

fn native_encoder(cfg: &Foreign, width: usize, heads: usize, quick: bool) -> Result<Encoder> {
    let ratio = cfg.number("mlp_ratio")?.unwrap_or(4.0);
    let (act, norm) = (cfg.part("act_kwargs")?, cfg.part("norm_kwargs")?);
    act.refuse_beside(&["approximate"])?;
    norm.refuse_beside(&["eps"])?;
    let activation = match (quick, act.text("approximate")?) {
        (true, None) => Activation::QuickGelu,
        (false, None | Some("none")) => Activation::Gelu,
        (false, Some("tanh")) => Activation::GeluTanh,
        _ => return Err(act.bad("approximate", "none or tanh, without quick_gelu")),
    };
    Ok(Encoder {
        names: BlockNames::OpenClip,
        width,
        heads,
        layers: cfg.whole("layers")?.unwrap_or(12),
        hidden: (width as f64 * ratio) as usize,
        activation,
        epsilon: norm.number("eps")?.unwrap_or(1e-5) as f32,
        qkv_bias: true,
        layer_scale: false,
    })
}

/// A plain vision transformer of timm (`vit_SIZE_patchP_PIXELS`); its sizes are those of its tensors.
fn timm(cfg: &Foreign, name: &str, weights: &Weights, features: usize) -> Result<ImageTower> {
    cfg.refuse_beside(&[
        "timm_model_name",
        "timm_model_pretrained",
        "timm_pool",
        "timm_proj",
        "timm_proj_bias",
        "timm_drop",
        "timm_drop_path",
        "image_size",
        "patch_dropout",
    ])?;
    let plain = name.split('.').next().unwrap_or(name).split('_').collect::<Vec<_>>();
    let [size, "vit"] = [plain.get(1).copied().unwrap_or_default(), plain[0]] else {
        return Err(cfg.bad("timm_model_name", "vit_SIZE_patchP_PIXELS, a plain vision transformer"));
    };
    if plain.len() != 4 || !plain[2].starts_with("patch") || plain[3].parse::<usize>().is_err() {
        return Err(cfg.bad("timm_model_name", "vit_SIZE_patchP_PIXELS, a plain vision transformer"));
    }
    let patches = shape::<4>(weights, "visual.trunk.patch_embed.proj.weight", cfg)?;
    let positions = shape::<3>(weights, "visual.trunk.pos_embed", cfg)?;
    let hidden = shape::<2>(weights, "visual.trunk.blocks.0.mlp.fc1.weight", cfg)?[0];
    let [width, _, patch, _] = patches;
    let grid = positions[1].saturating_sub(1).isqrt();
    let heads = Size::named(size).map(|size| size.heads).ok_or_else(|| {
        let expected = format!("vit_SIZE_patchP_PIXELS, of a size whose heads are known: {}", Size::NAMES);
        cfg.bad("timm_model_name", expected)
    })?;
    let average = weights.tensors.contains_key("visual.trunk.fc_norm.weight");
    let pool = match cfg.text("timm_pool")?.unwrap_or("avg") {
        "" | "token" => ImagePool::Token,
        "avg" if average => ImagePool::Average,
        "avg" => ImagePool::NormedAverage,
        _ => return Err(cfg.bad("timm_pool", "token, avg or nothing")),
    };
    let bias = cfg.is("timm_proj_bias")?;
    let projection = match cfg.text("timm_proj")?.unwrap_or("linear") {
        "linear" => Projection::Linear { bias },
        "mlp" => Projection::Mlp { hidden: 2 * features, bias },
        "none" => Projection::None,
        _ => return Err(cfg.bad("timm_proj", "linear, mlp or none")),
    };
    let encoder = Encoder {
        names: BlockNames::Timm,
        width,
        heads,
        layers: blocks(weights, "visual.trunk.blocks."),
        hidden,
        activation: Activation::Gelu,
        epsilon: 1e-6,
        qkv_bias: true,
        layer_scale: false,
    };
    let size = [grid.saturating_mul(patch); 2];
    Ok(ImageTower { names: ImageNames::Timm, size, patch, encoder, norm_before: false, pool, projection })
}

/// Hugging Face's BERT as the text's side. Its configuration is not part of open_clip's: what the tensors do not say is what `text` says,
/// or what every published BERT has: heads of 64 values, exact GELU, an epsilon of 1e-12.
fn bert(
    cfg: &Foreign,
    name: &str,
    weights: &Weights,
    text: Option<&Foreign>,
    features: usize,
) -> Result<TextTower> {
    cfg.refuse_beside(&[
        "hf_model_name",
        "hf_tokenizer_name",
        "hf_model_pretrained",
        "hf_proj_type",
        "hf_pooler_type",
        "proj",
        "pooler_type",
        "context_length",
        "vocab_size",
        "width",
        "heads",
        "layers",
        "output_tokens",
    ])?;
    // RoBERTa's tensors have the same names, but its positions begin elsewhere.
    let kind = text.map(|text| text.text("model_type")).transpose()?.flatten();
    if kind.is_some_and(|kind| kind != "bert") || name.to_lowercase().contains("roberta") {
        return Err(cfg.bad("hf_model_name", "a BERT"));
    }
    let prefix = "text.transformer.";
    let of = |name: &str| shape::<2>(weights, &format!("{prefix}{name}"), cfg);
    let [vocabulary, width] = of("embeddings.word_embeddings.weight")?;
    let [positions, _] = of("embeddings.position_embeddings.weight")?;
    let [types, _] = of("embeddings.token_type_embeddings.weight")?;
    let [hidden, _] = of("encoder.layer.0.intermediate.dense.weight")?;
    let said = |key: &str| text.map(|text| text.whole(key)).transpose().map(Option::flatten);
    let heads = said("num_attention_heads")?.unwrap_or(width / HEAD);
    let activation = match text.map(|text| text.text("hidden_act")).transpose()?.flatten() {
        None => Activation::Gelu,
        Some(name) => Activation::by_name(name)
            .ok_or_else(|| Error::input("config.json", "hidden_act", name, Activation::NAMES))?,
    };
    let epsilon = text.map(|text| text.number("layer_norm_eps")).transpose()?.flatten().unwrap_or(1e-12);
    let pooler = match said_or_left_out(cfg, ["hf_pooler_type", "pooler_type"], "mean_pooler")? {
        // BERT's own, cls_pooler: but open_clip then builds no pooler's layer, and it takes the first token as it is.
        None => BertPooler::First,
        Some("cls_last_hidden_state_pooler") => BertPooler::First,
        Some("cls_pooler") => BertPooler::Pooler,
        Some("mean_pooler") => BertPooler::Mean,
        _ => {
            let expected = "cls_last_hidden_state_pooler, cls_pooler or mean_pooler";
            return Err(cfg.bad("hf_pooler_type", expected));
        }
    };
    let projection = match said_or_left_out(cfg, ["hf_proj_type", "proj"], "mlp")? {
        Some("mlp") => Projection::Sequential { hidden: (width + features) / 2 },
        Some("linear") => Projection::Linear { bias: false },
        None if width == features => Projection::None,
        _ => {
            let expected = format!("linear or mlp, or null where the text's width is embed_dim, {features}");
            return Err(cfg.bad("hf_proj_type", expected));
        }
    };
    let encoder = Encoder {
        names: BlockNames::Bert,
        width,
        heads,
        layers: blocks(weights, "text.transformer.encoder.layer."),
        hidden,
        activation,
        epsilon: epsilon as f32,
        qkv_bias: true,
        layer_scale: false,
    };
    let bert = Bert { prefix: prefix.into(), vocabulary, positions, types, encoder };
    let context = cfg.whole("context_length")?.unwrap_or(77);
    let padding = said("pad_token_id")?.unwrap_or(0) as u32;
    Ok(TextTower::Bert(BertText { bert, context, padding, pooler, projection }))
}

/// The text under a key or its older name; `default` where both are left out, nothing where null is said.
fn said_or_left_out<'a>(
    cfg: &Foreign<'a>,
    [key, older]: [&str; 2],
    default: &'static str,
) -> Result<Option<&'a str>> {
    let key = if cfg.says(key) { key } else { older };
    if cfg.says(key) { cfg.text(key) } else { Ok(Some(default)) }
}

/// The shape of a tensor that must have so many axes.
fn shape<const AXES: usize>(weights: &Weights, name: &str, cfg: &Foreign) -> Result<[usize; AXES]> {
    let found = weights.tensors.get(name).map(|tensor| tensor.shape.clone());
    let said = found.as_ref().map_or("no such tensor".to_string(), |shape| format!("shape {shape:?}"));
    let fits = found.and_then(|shape| <[usize; AXES]>::try_from(shape).ok());
    fits.ok_or_else(|| {
        Error::input(cfg.file(), format!("tensor {name}"), said, format!("a tensor of {AXES} axes"))
    })
}
