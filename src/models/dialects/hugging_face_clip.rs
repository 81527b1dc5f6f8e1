//! Hugging Face's `config.json` of a CLIPModel, and the `preprocessor_config.json` beside it.

use super::json::Json;
use super::{CLIP_MEAN, CLIP_STD, WHITE, scaling};
use crate::Result;
use crate::models::activation::Activation;
use crate::models::clip::{
    CausalText, Clip, EndOfText, ImageNames, ImagePool, ImageTower, Projection, TextNames, TextTower,
};
use crate::models::config::{Architecture, Config, Head, InputScaling};
use crate::models::transformer::{BlockNames, Encoder};
use crate::models::weights::Weights;

/// The model that a configuration describes.
pub(super) fn config(json: &Json, weights: &Weights, processor: Option<&Json>) -> Result<Config> {
    let features = json.whole("projection_dim")?.unwrap_or(512);
    // Older files say everything twice; the second is what counts.
    let part =
        |key: &str| -> Result<Json> { Ok(json.object(key)?.with(json.object(&format!("{key}_dict"))?)) };
    let (vision, text) = (part("vision_config")?, part("text_config")?);
    let image = ImageTower {
        names: ImageNames::HuggingFace,
        size: vision.pair("image_size")?.unwrap_or([224; 2]),
        patch: vision.whole("patch_size")?.unwrap_or(32),
        encoder: encoder(&vision, [768, 3072, 12, 12])?,
        norm_before: true,
        pool: ImagePool::Token,
        projection: Projection::Linear { bias: false },
    };
    // Configurations from before the end's number was right say 2; the end is the highest number there.
    let end = match text.whole("eos_token_id")?.unwrap_or(49407) {
        2 => EndOfText::Highest,
        number => EndOfText::Token(number as u32),
    };
    let text = TextTower::Causal(CausalText {
        names: TextNames::HuggingFace,
        vocabulary: text.whole("vocab_size")?.unwrap_or(49408),
        context: text.whole("max_position_embeddings")?.unwrap_or(77),
        encoder: encoder(&text, [512, 2048, 12, 8])?,
        end,
        projection: Projection::Linear { bias: false },
    });
    let scale_shape = weights.tensors.get("logit_scale").map_or(Vec::new(), |scale| scale.shape.clone());
    let clip = Clip { features, image, text, scale_shape, bias: false, zero_shot: None };
    let config = Config {
        architecture: Architecture::Clip(Box::new(clip)),
        class_names: Vec::new(),
        head: Head::Softmax,
        input_scaling: input_scaling(processor)?,
        samples: None,
        training: None,
    };
    config.check(json.file())?;
    Ok(config)
}

/// Sizes where the configuration says none: width, the MLP's, blocks, heads.
fn encoder(cfg: &Json, [width, hidden, layers, heads]: [usize; 4]) -> Result<Encoder> {
    let name = cfg.text("hidden_act")?.unwrap_or("quick_gelu");
    let activation =
        Activation::by_name(name).ok_or_else(|| cfg.error("hidden_act", name, Activation::NAMES))?;
    Ok(Encoder {
        names: BlockNames::HuggingFaceClip,
        width: cfg.whole("hidden_size")?.unwrap_or(width),
        heads: cfg.whole("num_attention_heads")?.unwrap_or(heads),
        layers: cfg.whole("num_hidden_layers")?.unwrap_or(layers),
        hidden: cfg.whole("intermediate_size")?.unwrap_or(hidden),
        activation,
        epsilon: cfg.number("layer_norm_eps")?.unwrap_or(1e-5) as f32,
        qkv_bias: true,
        layer_scale: false,
    })
}

/// What the processor does to the values of pixels; OpenAI's where there is none.
fn input_scaling(processor: Option<&Json>) -> Result<Option<InputScaling>> {
    let Some(processor) = processor else { return Ok(Some(scaling(&CLIP_MEAN, &CLIP_STD, WHITE))) };
    let done = |key: &str| Ok::<bool, crate::Error>(processor.get(key).is_none() || processor.flag(key)?);
    let white = match done("do_rescale")? {
        true => 1.0 / processor.number("rescale_factor")?.unwrap_or(1.0 / WHITE),
        false => 1.0,
    };
    if !done("do_normalize")? {
        return Ok(Some(scaling(&[0.0], &[1.0], white)));
    }
    let mean = processor.numbers("image_mean")?.unwrap_or(CLIP_MEAN.to_vec());
    let std = processor.numbers("image_std")?.unwrap_or(CLIP_STD.to_vec());
    Ok(Some(scaling(&mean, &std, white)))
}
