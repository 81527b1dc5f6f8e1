//! ConvNeXts (Liu et al. 2022) under torchvision's, timm's or Hugging Face's names: depthwise 7x7 convolutions, layer norm over channels,
//! two linear layers with GELU between them, and a scale for each channel of a block's branch.

use serde::{Deserialize, Serialize};

use super::activation::Activation;
use super::config::{Misfit, positive, stacked};
use super::names::Names;
use super::net::{Kernel, Net, Role};
use crate::graph::{ConvGeometry, Tensor};

/// Sizes; by default ConvNeXt-T's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Convnext {
    /// Whose names the tensors have: `timm`, `torchvision` or `huggingface`.
    #[serde(default)]
    pub names: Names,
    /// Height, width, channels of a sample.
    pub input: [usize; 3],
    /// Outputs.
    pub classes: usize,
    /// Side of the first convolution's window, which is its stride.
    #[serde(default = "patch")]
    pub patch: usize,
    /// Channels of each stage.
    #[serde(default = "widths_of_tiny")]
    pub widths: Vec<usize>,
    /// Blocks of each stage.
    #[serde(default = "blocks_of_tiny")]
    pub blocks: Vec<usize>,
    /// Between a block's linear layers.
    #[serde(default)]
    pub activation: Activation,
    /// Added to the variance in the last layer norm; within the network it is 1e-6.
    #[serde(default = "epsilon")]
    pub epsilon: f32,
    /// Whether a block's branch has a scale for each channel.
    #[serde(default = "yes")]
    pub layer_scale: bool,
}

const EPSILON: f32 = 1e-6;
const KERNEL: usize = 7;

fn patch() -> usize {
    4
}

fn widths_of_tiny() -> Vec<usize> {
    vec![96, 192, 384, 768]
}

fn blocks_of_tiny() -> Vec<usize> {
    vec![3, 3, 9, 3]
}

fn epsilon() -> f32 {
    EPSILON
}

fn yes() -> bool {
    true
}

impl Convnext {
    /// `convnext_tiny`, `convnext_small`, `convnext_base` or `convnext_large`.
    pub(super) fn named(name: &str, names: Names, input: [usize; 3], classes: usize) -> Option<Self> {
        let (width, deep) = match name {
            "convnext_tiny" => (96, 9),
            "convnext_small" => (96, 27),
            "convnext_base" => (128, 27),
            "convnext_large" => (192, 27),
            _ => return None,
        };
        Some(Self {
            names,
            input,
            classes,
            patch: patch(),
            widths: [1, 2, 4, 8].map(|times| times * width).to_vec(),
            blocks: vec![3, 3, deep, 3],
            activation: Activation::Gelu,
            epsilon: EPSILON,
            layer_scale: true,
        })
    }

    pub(super) fn check(&self) -> Result<(), Misfit> {
        self.input.iter().enumerate().try_for_each(|(i, &size)| positive(&format!("input[{i}]"), size))?;
        for (place, size) in
            [("classes", self.classes), ("patch", self.patch), ("widths' number", self.widths.len())]
        {
            positive(place, size)?;
        }
        self.widths
            .iter()
            .enumerate()
            .try_for_each(|(i, &width)| positive(&format!("widths[{i}]"), width))?;
        stacked("blocks", &self.blocks)?;
        if self.blocks.len() != self.widths.len() {
            let expected = format!("{}, one a width", self.widths.len());
            return Err(("blocks".into(), format!("{} stages", self.blocks.len()), expected));
        }
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            return Err(("epsilon".into(), self.epsilon.to_string(), "a positive number".into()));
        }
        for (axis, size) in self.input[..2].iter().enumerate() {
            let halvings = self.widths.len() as u32 - 1;
            if (size / self.patch).checked_shr(halvings).unwrap_or(0) == 0 {
                let expected = format!(
                    "an image that patches of {} and {halvings} halvings leave something of",
                    self.patch
                );
                return Err((format!("input[{axis}]"), size.to_string(), expected));
            }
        }
        Ok(())
    }

    pub(super) fn forward(&self, net: &mut Net, x: Tensor) -> Tensor {
        let names = StageNames { names: self.names };
        let [conv, norm] = names.stem();
        let y = patches(net, &conv, x, self.widths[0], self.patch);
        let mut x = net.layer_norm(&norm, y, EPSILON);
        for (stage, (&width, &blocks)) in self.widths.iter().zip(&self.blocks).enumerate() {
            if stage > 0 {
                let [norm, conv] = names.downsampling(stage);
                let y = net.layer_norm(&norm, x, EPSILON);
                x = patches(net, &conv, y, width, 2);
            }
            for block in 0..blocks {
                x = self.block(net, &names.block(stage, block), x, width);
            }
        }
        let pooled = net.graph.global_average(x);
        let [norm, head] = names.head();
        let y = net.layer_norm(norm, pooled, self.epsilon);
        net.linear(head, y, self.classes)
    }

    fn block(&self, net: &mut Net, names: &BlockNames, x: Tensor, width: usize) -> Tensor {
        let geometry = ConvGeometry { stride: [1; 2], pad: [KERNEL / 2; 4], dilation: [1; 2], groups: width };
        let y = net.conv(&names.depthwise, x, width, Kernel::Square([KERNEL; 2]), geometry, true, None);
        let y = net.layer_norm(&names.norm, y, EPSILON);
        let y = net.linear(&names.linear[0], y, 4 * width);
        let y = self.activation.apply(net.graph, y);
        let mut y = net.linear(&names.linear[1], y, width);
        if self.layer_scale {
            // torchvision's has the shape of a channels-first image.
            let shape: &[usize] = if self.names == Names::Torchvision { &[width, 1, 1] } else { &[width] };
            let scale = net.tensor(&names.scale, shape, Role::LayerScale, width);
            let scale = net.graph.reshape(scale, &[width]);
            y = net.graph.mul(y, scale);
        }
        net.graph.add(y, x)
    }
}

/// A convolution whose windows do not overlap.
fn patches(net: &mut Net, name: &str, x: Tensor, width: usize, side: usize) -> Tensor {
    let geometry = ConvGeometry { stride: [side; 2], pad: [0; 4], dilation: [1; 2], groups: 1 };
    net.conv(name, x, width, Kernel::Square([side; 2]), geometry, true, None)
}

struct StageNames {
    names: Names,
}

struct BlockNames {
    depthwise: String,
    norm: String,
    linear: [String; 2],
    scale: String,
}

impl StageNames {
    /// The first convolution and its norm.
    fn stem(&self) -> [String; 2] {
        let (layer, [conv, norm]) = match self.names {
            Names::Timm => ("stem", ["0", "1"]),
            Names::Torchvision => ("features.0", ["0", "1"]),
            Names::HuggingFace => ("convnext.embeddings", ["patch_embeddings", "layernorm"]),
        };
        [format!("{layer}.{conv}"), format!("{layer}.{norm}")]
    }

    /// Norm and convolution before a stage.
    fn downsampling(&self, stage: usize) -> [String; 2] {
        let layer = match self.names {
            Names::Timm => format!("stages.{stage}.downsample"),
            Names::Torchvision => format!("features.{}", 2 * stage),
            Names::HuggingFace => format!("convnext.encoder.stages.{stage}.downsampling_layer"),
        };
        [format!("{layer}.0"), format!("{layer}.1")]
    }

    fn block(&self, stage: usize, block: usize) -> BlockNames {
        let (layer, [depthwise, norm, first, second, scale]) = match self.names {
            Names::Timm => {
                (format!("stages.{stage}.blocks.{block}"), ["conv_dw", "norm", "mlp.fc1", "mlp.fc2", "gamma"])
            }
            Names::Torchvision => (
                format!("features.{}.{block}", 2 * stage + 1),
                ["block.0", "block.2", "block.3", "block.5", "layer_scale"],
            ),
            Names::HuggingFace => (
                format!("convnext.encoder.stages.{stage}.layers.{block}"),
                ["dwconv", "layernorm", "pwconv1", "pwconv2", "layer_scale_parameter"],
            ),
        };
        let own = |part: &str| format!("{layer}.{part}");
        BlockNames {
            depthwise: own(depthwise),
            norm: own(norm),
            linear: [own(first), own(second)],
            scale: own(scale),
        }
    }

    /// The last norm and the classifier.
    fn head(&self) -> [&'static str; 2] {
        match self.names {
            Names::Timm => ["head.norm", "head.fc"],
            Names::Torchvision => ["classifier.0", "classifier.2"],
            Names::HuggingFace => ["convnext.layernorm", "classifier"],
        }
    }
}
