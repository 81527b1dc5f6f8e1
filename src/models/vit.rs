//! Vision transformers (Dosovitskiy et al. 2021) under timm's, torchvision's or Hugging Face's names: patches as tokens, pre-norm blocks,
//! a class token or the average of the patches.

use serde::{Deserialize, Serialize};

use super::activation::Activation;
use super::config::{Misfit, positive};
use super::names::Names;
use super::net::{Kernel, Net, Role};
use super::transformer::{BlockNames, Encoder, check_heads};
use crate::graph::{ConvGeometry, Shape, Tensor};

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
            ("depth", self.depth),
            ("heads", self.heads),
            ("mlp", self.mlp),
        ] {
            positive(place, size)?;
        }
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
        let tokens = self.tokens(net, &names, x);
        let x = self.encoder().forward(net, names.blocks, tokens, None);
        let axis = net.graph.dims(x).len() - 2;
        let count = net.graph.dims(x)[axis];
        let (pooled, norm) = match self.pooling {
            Pooling::Token => {
                let token = net.graph.slice(x, axis, 0..1);
                let dims = net.graph.dims(token).to_vec();
                let token = net.graph.reshape(token, &[&dims[..axis], &dims[axis + 1..]].concat());
                (token, names.norm)
            }
            Pooling::Average => {
                let patches = net.graph.slice(x, axis, usize::from(self.class_token)..count);
                (net.graph.mean(patches, axis..axis + 1), names.norm_of_average)
            }
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

    /// The image as tokens that know their places: `[.., tokens, width]`.
    fn tokens(&self, net: &mut Net, names: &Layers, x: Tensor) -> Tensor {
        let geometry = ConvGeometry { stride: [self.patch; 2], pad: [0; 4], dilation: [1; 2], groups: 1 };
        let y = net.conv(names.patches, x, self.width, Kernel::Square([self.patch; 2]), geometry, true, None);
        let dims = net.graph.dims(y).to_vec();
        let (lead, count) = (&dims[..dims.len() - 3], dims[dims.len() - 3] * dims[dims.len() - 2]);
        let patches = net.graph.reshape(y, &[lead, &[count, self.width]].concat());
        let all = count + usize::from(self.class_token);
        let shape = [1, all, self.width];
        let places = net.tensor(names.positions, &shape, Role::Embedding, self.width);
        let places = net.graph.reshape(places, &shape[1..]);
        if !self.class_token {
            return net.graph.add(patches, places);
        }
        let token = net.tensor(names.class_token, &[1, 1, self.width], Role::Embedding, self.width);
        let token = net.graph.reshape(token, &[1, self.width]);
        let (first, rest) = (net.graph.slice(places, 0, 0..1), net.graph.slice(places, 0, 1..all));
        let token = net.graph.add(token, first);
        let patches = net.graph.add(patches, rest);
        // Every sample begins with the same token.
        let lane = net.graph.shape(patches).lane;
        let zeros = net.graph.zeros(Shape { lane, dims: [lead, &[1, self.width]].concat() });
        let token = net.graph.add(token, zeros);
        net.graph.concat(&[token, patches], lead.len())
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
