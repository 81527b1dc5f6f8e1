//! Vision transformers (Dosovitskiy et al. 2021) under timm's, torchvision's or Hugging Face's names: patches as tokens, pre-norm blocks,
//! a class token or the average of the patches.

use serde::{Deserialize, Serialize};

use super::activation::Activation;
use super::config::{Misfit, positive, stacked};
use super::names::Names;
use super::net::Net;
use super::patches::{PatchEmbedding, first_token, mean_token};
use super::transformer::{BlockNames, Encoder, check_heads};
use crate::graph::Tensor;

/// Sizes; by default ViT-B/16's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vit {
    /// Whose names the tensors have: `timm`, `torchvision` or `huggingface`.
    #[serde(default)]
    pub names: Names,
    /// Height, width, channels of a sample.
    pub input: [usize; 3],
    /// Outputs.
    pub classes: usize,
    /// Side of a patch.
    #[serde(default = "patch_of_base")]
    pub patch: usize,
    /// Length of a token's vector.
    #[serde(default = "width_of_base")]
    pub width: usize,
    /// Blocks.
    #[serde(default = "twelve")]
    pub depth: usize,
    /// Attention heads, which share the width.
    #[serde(default = "twelve")]
    pub heads: usize,
    /// Width between a block's two linear layers.
    #[serde(default = "mlp_of_base")]
    pub mlp: usize,
    /// What the classifier reads.
    #[serde(default)]
    pub pooling: Pooling,
    /// Whether there is a class token; pooling by it needs one.
    #[serde(default = "yes")]
    pub class_token: bool,
    /// Between a block's two linear layers.
    #[serde(default)]
    pub activation: Activation,
    /// Added to the variance in layer norms.
    #[serde(default = "epsilon")]
    pub epsilon: f32,
    /// Whether queries, keys and values have a bias.
    #[serde(default = "yes")]
    pub qkv_bias: bool,
    /// Whether a block's branches have a scale for each channel (timm's `init_values`).
    #[serde(default)]
    pub layer_scale: bool,
}

/// What the classifier reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The class token.
    #[default]
    Token,
    /// The mean of the patches' tokens, whose norm comes after it (timm's `avg`).
    Average,
}

fn patch_of_base() -> usize {
    16
}

fn width_of_base() -> usize {
    768
}

fn twelve() -> usize {
    12
}

fn mlp_of_base() -> usize {
    3072
}

fn epsilon() -> f32 {
    1e-6
}

fn yes() -> bool {
    true
}

/// A usual size, as timm has it.
pub(super) struct Size {
    name: &'static str,
    width: usize,
    depth: usize,
    pub(super) heads: usize,
    /// Width between a block's two linear layers, as a share of the width.
    mlp_ratio: f64,
}

const SIZES: [Size; 7] = [
    Size { name: "tiny", width: 192, depth: 12, heads: 3, mlp_ratio: 4.0 },
    Size { name: "small", width: 384, depth: 12, heads: 6, mlp_ratio: 4.0 },
    Size { name: "base", width: 768, depth: 12, heads: 12, mlp_ratio: 4.0 },
    Size { name: "large", width: 1024, depth: 24, heads: 16, mlp_ratio: 4.0 },
    Size { name: "huge", width: 1280, depth: 32, heads: 16, mlp_ratio: 4.0 },
    Size { name: "giant", width: 1408, depth: 40, heads: 16, mlp_ratio: 48.0 / 11.0 },
    Size { name: "gigantic", width: 1664, depth: 48, heads: 16, mlp_ratio: 64.0 / 13.0 },
];

impl Size {
    /// Their names, for messages.
    pub(super) const NAMES: &str = "tiny, small, base, large, huge, giant, gigantic";

    pub(super) fn named(name: &str) -> Option<Self> {
        SIZES.into_iter().find(|size| size.name == name)
    }
}

impl Vit {
    /// The usual size of this name: one of [`Size::NAMES`].
    pub(super) fn of_size(
        size: &str,
        patch: usize,
        names: Names,
        input: [usize; 3],
        classes: usize,
    ) -> Option<Self> {
        let Size { width, depth, heads, mlp_ratio, .. } = Size::named(size)?;
        Some(Self {
            names,
            input,
            classes,
            patch,
            width,
            depth,
            heads,
            mlp: (width as f64 * mlp_ratio) as usize,
            pooling: Pooling::Token,
            class_token: true,
            activation: Activation::Gelu,
            epsilon: epsilon(),
            qkv_bias: true,
            layer_scale: false,
        })
    }

    pub(super) fn check(&self) -> Result<(), Misfit> {
        self.input.iter().enumerate().try_for_each(|(i, &size)| positive(&format!("input[{i}]"), size))?;
        for (place, size) in [
            ("classes", self.classes),
            ("patch", self.patch),
            ("width", self.width),
            ("heads", self.heads),
            ("mlp", self.mlp),
        ] {
            positive(place, size)?;
        }
        stacked("depth", &[self.depth])?;
        let misfit = |place: &str, found: String, expected: String| Err((place.to_string(), found, expected));
        check_heads("heads", self.heads, self.width)?;
        for axis in 0..2 {
            if !self.input[axis].is_multiple_of(self.patch) {
                let expected = format!("a multiple of the patch, {}", self.patch);
                return misfit(&format!("input[{axis}]"), self.input[axis].to_string(), expected);
            }
        }
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            return misfit("epsilon", self.epsilon.to_string(), "a positive number".into());
        }
        if self.pooling == Pooling::Token && !self.class_token {
            return misfit("class_token", "false".into(), "true, since the classifier reads it".into());
        }
        if self.names != Names::Timm {
            let of_timm = |key: &str, value: &str| {
                misfit(key, value.into(), format!("timm's names, or what {} has", self.names.name()))
            };
            match self {
                Self { pooling: Pooling::Average, .. } => return of_timm("pooling", "average"),
                Self { class_token: false, .. } => return of_timm("class_token", "false"),
                Self { layer_scale: true, .. } => return of_timm("layer_scale", "true"),
                _ => {}
            }
        }
        if self.names == Names::Torchvision && !self.qkv_bias {
            return misfit("qkv_bias", "false".into(), "true, as torchvision has it".into());
        }
        Ok(())
    }

    pub(super) fn forward(&self, net: &mut Net, x: Tensor) -> Tensor {
        let names = Layers::of(self.names);
        let embedding = PatchEmbedding {
            patches: names.patches,
            bias: true,
            class: self.class_token.then_some(names.class_token),
            positions: names.positions,
            lead: [2, 1],
        };
        let tokens = embedding.tokens(net, x, self.patch, self.width);
        let x = self.encoder().forward(net, names.blocks, tokens, None);
        let (pooled, norm) = match self.pooling {
            Pooling::Token => (first_token(net, x), names.norm),
            Pooling::Average => (mean_token(net, x, usize::from(self.class_token)), names.norm_of_average),
        };
        let features = net.layer_norm(norm, pooled, self.epsilon);
        net.linear(names.head, features, self.classes)
    }

    fn encoder(&self) -> Encoder {
        Encoder {
            names: match self.names {
                Names::Timm => BlockNames::Timm,
                Names::Torchvision => BlockNames::Torchvision,
                Names::HuggingFace => BlockNames::HuggingFaceVit,
            },
            width: self.width,
            heads: self.heads,
            layers: self.depth,
            hidden: self.mlp,
            activation: self.activation,
            epsilon: self.epsilon,
            qkv_bias: self.qkv_bias,
            layer_scale: self.layer_scale,
        }
    }
}

/// What the tensors outside the blocks are called.
struct Layers {
    class_token: &'static str,
    positions: &'static str,
    /// The convolution that makes tokens of patches.
    patches: &'static str,
    /// What the blocks' names begin with.
    blocks: &'static str,
    norm: &'static str,
    /// The last norm where the patches' mean is read.
    norm_of_average: &'static str,
    head: &'static str,
}

impl Layers {
    fn of(names: Names) -> Self {
        match names {
            Names::Timm => Self {
                class_token: "cls_token",
                positions: "pos_embed",
                patches: "patch_embed.proj",
                blocks: "blocks",
                norm: "norm",
                norm_of_average: "fc_norm",
                head: "head",
            },
            Names::Torchvision => Self {
                class_token: "class_token",
                positions: "encoder.pos_embedding",
                patches: "conv_proj",
                blocks: "encoder.layers.encoder_layer",
                norm: "encoder.ln",
                norm_of_average: "encoder.ln",
                head: "heads.head",
            },
            Names::HuggingFace => Self {
                class_token: "vit.embeddings.cls_token",
                positions: "vit.embeddings.position_embeddings",
                patches: "vit.embeddings.patch_embeddings.projection",
                blocks: "vit.encoder.layer",
                norm: "vit.layernorm",
                norm_of_average: "vit.layernorm",
                head: "classifier",
            },
        }
    }
}
