//! The blocks of transformers (Vaswani et al. 2017), under the names that the ecosystems give their tensors.

use serde::{Deserialize, Serialize};

use super::activation::Activation;
use super::config::{Misfit, positive};
use super::net::{Net, Role};
use crate::graph::Tensor;

/// What is added to the score of a pair that must not see each other: e^x of it is 0 in f32.
pub(super) const FORBIDDEN: f32 = -1e9;

/// Whose names a block's tensors have; BERT's blocks normalise after the residual sum, the others before a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockNames {
    /// open_clip's (and OpenAI's) residual attention blocks.
    OpenClip,
    /// timm's ViT.
    Timm,
    /// torchvision's ViT.
    Torchvision,
    /// Hugging Face's ViT.
    HuggingFaceVit,
    /// Hugging Face's CLIP.
    HuggingFaceClip,
    /// Hugging Face's BERT.
    Bert,
}

/// Where queries, keys and values come from.
enum Incoming {
    /// One layer for the three, by the names of its weight `[3 width, width]` and bias.
    Fused([&'static str; 2]),
    /// A layer each.
    Split([&'static str; 3]),
}

/// The names of a block's layers.
struct Layers {
    norms: [&'static str; 2],
    incoming: Incoming,
    outgoing: &'static str,
    mlp: [&'static str; 2],
}

impl BlockNames {
    fn layers(self) -> Layers {
        match self {
            Self::OpenClip => Layers {
                norms: ["ln_1", "ln_2"],
                incoming: Incoming::Fused(["attn.in_proj_weight", "attn.in_proj_bias"]),
                outgoing: "attn.out_proj",
                mlp: ["mlp.c_fc", "mlp.c_proj"],
            },
            Self::Timm => Layers {
                norms: ["norm1", "norm2"],
                incoming: Incoming::Fused(["attn.qkv.weight", "attn.qkv.bias"]),
                outgoing: "attn.proj",
                mlp: ["mlp.fc1", "mlp.fc2"],
            },
            Self::Torchvision => Layers {
                norms: ["ln_1", "ln_2"],
                incoming: Incoming::Fused(["self_attention.in_proj_weight", "self_attention.in_proj_bias"]),
                outgoing: "self_attention.out_proj",
                mlp: ["mlp.0", "mlp.3"],
            },
            Self::HuggingFaceVit => Layers {
                norms: ["layernorm_before", "layernorm_after"],
                incoming: Incoming::Split([
                    "attention.attention.query",
                    "attention.attention.key",
                    "attention.attention.value",
                ]),
                outgoing: "attention.output.dense",
                mlp: ["intermediate.dense", "output.dense"],
            },
            Self::HuggingFaceClip => Layers {
                norms: ["layer_norm1", "layer_norm2"],
                incoming: Incoming::Split(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
                outgoing: "self_attn.out_proj",
                mlp: ["mlp.fc1", "mlp.fc2"],
            },
            Self::Bert => Layers {
                norms: ["attention.output.LayerNorm", "output.LayerNorm"],
                incoming: Incoming::Split([
                    "attention.self.query",
                    "attention.self.key",
                    "attention.self.value",
                ]),
                outgoing: "attention.output.dense",
                mlp: ["intermediate.dense", "output.dense"],
            },
        }
    }
}

/// Heads share the width.
pub(super) fn check_heads(place: &str, heads: usize, width: usize) -> Result<(), Misfit> {
    if width.is_multiple_of(heads) {
        return Ok(());
    }
    Err((place.into(), heads.to_string(), format!("a divisor of the width, {width}")))
}

/// A stack of blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoder {
    /// Whose names the tensors have.
    pub names: BlockNames,
    /// Values a token.
    pub width: usize,
    /// Heads; they divide the width.
    pub heads: usize,
    /// Blocks.
    pub layers: usize,
    /// Width between the MLP's layers.
    pub hidden: usize,
    /// The function there.
    pub activation: Activation,
    /// Epsilon of the layer norms.
    pub epsilon: f32,
    /// Whether queries, keys and values have a bias.
    #[serde(default = "yes")]
    pub qkv_bias: bool,
    /// Whether a block's branches have a scale for each channel, `ls1.gamma` and `ls2.gamma` in timm.
    #[serde(default)]
    pub layer_scale: bool,
}

fn yes() -> bool {
    true
}

impl Encoder {
    /// Whether the sizes can be built; `place` is where they stand.
    pub(super) fn check(&self, place: &str) -> Result<(), Misfit> {
        for (key, value) in [("width", self.width), ("heads", self.heads), ("hidden", self.hidden)] {
            positive(&format!("{place}.{key}"), value)?;
        }
        if self.layers > 1000 {
            return Err((format!("{place}.layers"), self.layers.to_string(), "at most 1000".into()));
        }
        check_heads(&format!("{place}.heads"), self.heads, self.width)?;
        if !(self.epsilon > 0.0 && self.epsilon < 1.0) {
            let found = self.epsilon.to_string();
            return Err((format!("{place}.epsilon"), found, "a number between 0 and 1".into()));
        }
        Ok(())
    }

    /// The tokens x `[.., tokens, width]` after all blocks, named `PREFIX.0`, `PREFIX.1`, ... (`PREFIX_0` in torchvision); `mask` as in
    /// [`crate::graph::Graph::attention`].
    pub(super) fn forward(&self, net: &mut Net, prefix: &str, mut x: Tensor, mask: Option<Tensor>) -> Tensor {
        let sign = if self.names == BlockNames::Torchvision { '_' } else { '.' };
        for layer in 0..self.layers {
            x = self.block(net, &format!("{prefix}{sign}{layer}"), x, mask);
        }
        x
    }

    fn block(&self, net: &mut Net, block: &str, x: Tensor, mask: Option<Tensor>) -> Tensor {
        let layers = self.names.layers();
        let [first, second] = layers.norms.map(|name| format!("{block}.{name}"));
        if self.names == BlockNames::Bert {
            let seen = self.attention(net, block, &layers, x, mask);
            let sum = net.graph.add(seen, x);
            let x = net.layer_norm(&first, sum, self.epsilon);
            let thought = self.mlp(net, block, &layers, x);
            let sum = net.graph.add(thought, x);
            return net.layer_norm(&second, sum, self.epsilon);
        }
        let normed = net.layer_norm(&first, x, self.epsilon);
        let seen = self.attention(net, block, &layers, normed, mask);
        let seen = self.scaled(net, &format!("{block}.ls1.gamma"), seen);
        let x = net.graph.add(x, seen);
        let normed = net.layer_norm(&second, x, self.epsilon);
        let thought = self.mlp(net, block, &layers, normed);
        let thought = self.scaled(net, &format!("{block}.ls2.gamma"), thought);
        net.graph.add(x, thought)
    }

    fn scaled(&self, net: &mut Net, name: &str, y: Tensor) -> Tensor {
        if !self.layer_scale {
            return y;
        }
        let scale = net.tensor(name, &[self.width], Role::LayerScale, self.width);
        net.graph.mul(y, scale)
    }

    fn attention(
        &self,
        net: &mut Net,
        block: &str,
        layers: &Layers,
        x: Tensor,
        mask: Option<Tensor>,
    ) -> Tensor {
        let width = self.width;
        let each = width / self.heads;
        let dims = net.graph.dims(x).to_vec();
        let heads = [&dims[..dims.len() - 1], &[self.heads, each]].concat();
        let [q, k, v] = match &layers.incoming {
            Incoming::Fused([weight, bias]) => [0, 1, 2].map(|part| {
                let rows = part * width..(part + 1) * width;
                let weight = format!("{block}.{weight}");
                let weight = net.rows(&weight, &[3 * width, width], Role::Linear, width, rows.clone());
                let y = net.rows_times(x, weight);
                if !self.qkv_bias {
                    return y;
                }
                let bias = net.rows(&format!("{block}.{bias}"), &[3 * width], Role::Bias, width, rows);
                net.graph.add(y, bias)
            }),
            Incoming::Split(names) => names.map(|name| {
                let [weight, bias] = ["weight", "bias"].map(|part| format!("{block}.{name}.{part}"));
                net.linear_named(&weight, self.qkv_bias.then_some(bias.as_str()), x, width)
            }),
        }
        .map(|y| net.graph.reshape(y, &heads));
        let seen = net.graph.attention(q, k, v, mask, 1.0 / (each as f32).sqrt());
        let seen = net.graph.reshape(seen, &dims);
        net.linear(&format!("{block}.{}", layers.outgoing), seen, width)
    }

    fn mlp(&self, net: &mut Net, block: &str, layers: &Layers, x: Tensor) -> Tensor {
        let [first, second] = layers.mlp.map(|name| format!("{block}.{name}"));
        let inner = net.linear(&first, x, self.hidden);
        let inner = self.activation.apply(net.graph, inner);
        net.linear(&second, inner, self.width)
    }
}
