//! Vision transformers (Dosovitskiy et al. 2021) under timm's, torchvision's or Hugging Face's names: patches as tokens, pre-norm blocks,
//! a class token or the average of the patches.

use serde::{Deserialize, Serialize};

use super::activation::Activation;
use super::config::{Misfit, positive};
use super::names::Names;
use super::net::{Kernel, Net, Role};
use super::vit_names::{BlockNames, Projection, VitNames};
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

/// Width, depth and heads by the size's name.
const SIZES: [(&str, [usize; 3]); 5] = [
    ("tiny", [192, 12, 3]),
    ("small", [384, 12, 6]),
    ("base", [768, 12, 12]),
    ("large", [1024, 24, 16]),
    ("huge", [1280, 32, 16]),
];

impl Vit {
    /// The usual size of this name: `tiny`, `small`, `base`, `large` or `huge`.
    pub(super) fn of_size(
        size: &str,
        patch: usize,
        names: Names,
        input: [usize; 3],
        classes: usize,
    ) -> Option<Self> {
        let (_, [width, depth, heads]) = SIZES.into_iter().find(|(name, _)| *name == size)?;
        Some(Self {
            names,
            input,
            classes,
            patch,
            width,
            depth,
            heads,
            mlp: 4 * width,
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
        if !self.width.is_multiple_of(self.heads) {
            return misfit(
                "heads",
                self.heads.to_string(),
                format!("a divisor of the width, {}", self.width),
            );
        }
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
        let names = VitNames::of(self.names, "");
        let pooled = self.pooled(net, &names, x);
        net.linear(&names.head, pooled, self.classes)
    }

    /// What the classifier reads, `[.., width]`.
    pub(super) fn pooled(&self, net: &mut Net, names: &VitNames, x: Tensor) -> Tensor {
        let mut x = self.tokens(net, names, x);
        for i in 0..self.depth {
            x = self.block(net, &names.block(i), x);
        }
        let axis = net.graph.dims(x).len() - 2;
        let count = net.graph.dims(x)[axis];
        let pooled = match self.pooling {
            Pooling::Token => {
                let token = net.graph.slice(x, axis, 0..1);
                let dims = net.graph.dims(token).to_vec();
                net.graph.reshape(token, &[&dims[..axis], &dims[axis + 1..]].concat())
            }
            Pooling::Average => {
                let patches = net.graph.slice(x, axis, usize::from(self.class_token)..count);
                net.graph.mean(patches, axis..axis + 1)
            }
        };
        let norm = if self.pooling == Pooling::Token { &names.norm } else { &names.norm_after_mean };
        net.layer_norm(norm, pooled, self.epsilon)
    }

    /// The image as tokens that know their places: `[.., tokens, width]`.
    fn tokens(&self, net: &mut Net, names: &VitNames, x: Tensor) -> Tensor {
        let geometry = ConvGeometry { stride: [self.patch; 2], pad: [0; 4], dilation: [1; 2], groups: 1 };
        let y =
            net.conv(&names.patches, x, self.width, Kernel::Square([self.patch; 2]), geometry, true, None);
        let dims = net.graph.dims(y).to_vec();
        let (lead, count) = (&dims[..dims.len() - 3], dims[dims.len() - 3] * dims[dims.len() - 2]);
        let patches = net.graph.reshape(y, &[lead, &[count, self.width]].concat());
        let all = count + usize::from(self.class_token);
        let shape = [1, all, self.width];
        let places = net.tensor(&names.positions, &shape, Role::Embedding, self.width);
        let places = net.graph.reshape(places, &shape[1..]);
        if !self.class_token {
            return net.graph.add(patches, places);
        }
        let token = net.tensor(&names.class_token, &[1, 1, self.width], Role::Embedding, self.width);
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

    fn block(&self, net: &mut Net, names: &BlockNames, x: Tensor) -> Tensor {
        let y = net.layer_norm(&names.norms[0], x, self.epsilon);
        let y = self.attention(net, names, y);
        let y = self.scaled(net, &names.scales[0], y);
        let x = net.graph.add(y, x);
        let y = net.layer_norm(&names.norms[1], x, self.epsilon);
        let y = net.linear(&names.mlp[0], y, self.mlp);
        let y = self.activation.apply(net.graph, y);
        let y = net.linear(&names.mlp[1], y, self.width);
        let y = self.scaled(net, &names.scales[1], y);
        net.graph.add(y, x)
    }

    fn scaled(&self, net: &mut Net, name: &str, y: Tensor) -> Tensor {
        if !self.layer_scale {
            return y;
        }
        let scale = net.tensor(name, &[self.width], Role::LayerScale, self.width);
        net.graph.mul(y, scale)
    }

    fn attention(&self, net: &mut Net, names: &BlockNames, x: Tensor) -> Tensor {
        let [q, k, v] = match &names.projection {
            Projection::Fused { weight, bias } => {
                let bias = self.qkv_bias.then_some(bias.as_str());
                let all = net.linear_named(weight, bias, x, 3 * self.width);
                let axis = net.graph.dims(all).len() - 1;
                [0, 1, 2].map(|i| net.graph.slice(all, axis, i * self.width..(i + 1) * self.width))
            }
            Projection::Separate(layers) => layers.each_ref().map(|layer| {
                let bias = format!("{layer}.bias");
                let bias = self.qkv_bias.then_some(bias.as_str());
                net.linear_named(&format!("{layer}.weight"), bias, x, self.width)
            }),
        };
        let dims = net.graph.dims(x).to_vec();
        let head = self.width / self.heads;
        let split = [&dims[..dims.len() - 1], &[self.heads, head]].concat();
        let [q, k, v] = [q, k, v].map(|part| net.graph.reshape(part, &split));
        let y = net.graph.attention(q, k, v, None, (head as f32).sqrt().recip());
        let y = net.graph.reshape(y, &dims);
        net.linear(&names.output, y, self.width)
    }
}
