//! Hugging Face's `config.json` of a CLIPModel, and the `preprocessor_config.json` beside it.

use std::path::Path;

use super::foreign::Foreign;
use super::{CLIP_MEAN, CLIP_STD, huggingface, pixels, plain};
use crate::Result;
use crate::models::activation::Activation;
use crate::models::clip::{
    CausalText, Clip, EndOfText, ImageNames, ImagePool, ImageTower, Projection, TextNames, TextTower,
};
use crate::models::config::{Architecture, Config, Head};
use crate::models::transformer::{BlockNames, Encoder};

/// Reads a configuration whose `model_type` is `clip`.
pub(super) fn read(keys: &Foreign, folder: Option<&Path>) -> Result<Config> {
    let features = keys.whole("projection_dim")?.unwrap_or(512);
    let (vision, text) = (side(keys, "vision_config")?, side(keys, "text_config")?);
    let image = ImageTower {
        names: ImageNames::HuggingFace,
        size: vision.sides("image_size")?.unwrap_or([224; 2]),
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
    let clip = Clip { features, image, text, scale_shape: Vec::new(), bias: false, zero_shot: None };
    let mut config = plain(Architecture::Clip(Box::new(clip)), Head::Softmax);
    let processor = folder.map(|folder| folder.join("preprocessor_config.json"));
    let processor = processor.filter(|path| path.is_file());
    config.input_scaling = match processor {
        Some(path) => huggingface::preprocessor(&path)?,
        None => Some(pixels(&CLIP_MEAN, &CLIP_STD)),
    };
    Ok(config)
}

/// The configuration of one side. Older files say everything twice: where the second is there, its keys and the defaults are what counts.
fn side<'a>(keys: &Foreign<'a>, key: &str) -> Result<Foreign<'a>> {
    match keys.object(&format!("{key}_dict"))? {
        Some(second) => Ok(second),
        None => keys.part(key),
    }
}

/// The blocks; sizes where the configuration says none: width, the MLP's, blocks, heads.
fn encoder(keys: &Foreign, [width, hidden, layers, heads]: [usize; 4]) -> Result<Encoder> {
    let activation = Activation::by_name(keys.text("hidden_act")?.unwrap_or("quick_gelu"));
    let activation = activation.ok_or_else(|| keys.bad("hidden_act", Activation::NAMES))?;
    Ok(Encoder {
        names: BlockNames::HuggingFaceClip,
        width: keys.whole("hidden_size")?.unwrap_or(width),
        heads: keys.whole("num_attention_heads")?.unwrap_or(heads),
        layers: keys.whole("num_hidden_layers")?.unwrap_or(layers),
        hidden: keys.whole("intermediate_size")?.unwrap_or(hidden),
        activation,
        epsilon: keys.number("layer_norm_eps")?.unwrap_or(1e-5) as f32,
        qkv_bias: true,
        layer_scale: false,
    })
}
