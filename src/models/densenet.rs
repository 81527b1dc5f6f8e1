//! Densely connected networks (Huang et al. 2017) under the names that torchvision, timm and torchxrayvision share: `features.conv0`,
//! `features.denseblock1.denselayer1.norm1`, ..., `classifier`.

use percuss_kernels::ops::PoolKind;
use serde::{Deserialize, Serialize};

use super::config::{Misfit, positive, stacked};
use super::net::{BatchNorm, Kernel, Net};
use crate::graph::{ConvGeometry, PoolGeometry, Tensor};

/// Sizes; by default DenseNet-121's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Densenet {
    /// Height, width, channels of a sample.
    pub input: [usize; 3],
    /// Outputs.
    pub classes: usize,
    /// Layers of each dense block.
    #[serde(default = "blocks_of_121")]
    pub blocks: Vec<usize>,
    /// Channels that a layer adds.
    #[serde(default = "growth_of_121")]
    pub growth: usize,
    /// Channels of the stem.
    #[serde(default = "stem_of_121")]
    pub stem: usize,
    /// Channels between a layer's two convolutions, in multiples of `growth`.
    #[serde(default = "bottleneck_of_121")]
    pub bottleneck: usize,
}

fn blocks_of_121() -> Vec<usize> {
    vec![6, 12, 24, 16]
}

fn growth_of_121() -> usize {
    32
}

fn stem_of_121() -> usize {
    64
}

fn bottleneck_of_121() -> usize {
    4
}

impl Densenet {
    /// The sizes of torchvision's `densenet121`, `densenet161`, `densenet169` or `densenet201`.
    pub(super) fn named(name: &str, input: [usize; 3], classes: usize) -> Option<Self> {
        let (blocks, growth, stem) = match name {
            "densenet121" => ([6, 12, 24, 16], 32, 64),
            "densenet161" => ([6, 12, 36, 24], 48, 96),
            "densenet169" => ([6, 12, 32, 32], 32, 64),
            "densenet201" => ([6, 12, 48, 32], 32, 64),
            _ => return None,
        };
        Some(Self { input, classes, blocks: blocks.to_vec(), growth, stem, bottleneck: 4 })
    }

    pub(super) fn check(&self) -> Result<(), Misfit> {
        self.input.iter().enumerate().try_for_each(|(i, &size)| positive(&format!("input[{i}]"), size))?;
        for (place, size) in [
            ("classes", self.classes),
            ("growth", self.growth),
            ("stem", self.stem),
            ("bottleneck", self.bottleneck),
            ("blocks' number", self.blocks.len()),
        ] {
            positive(place, size)?;
        }
        stacked("blocks", &self.blocks)?;
        for (axis, size) in self.input[..2].iter().enumerate() {
            // Stem and pooling round up, transitions down.
            let after_stem = size.div_ceil(2).div_ceil(2);
            let halvings = self.blocks.len() as u32 - 1;
            if after_stem.checked_shr(halvings).unwrap_or(0) == 0 {
                let expected = format!("an image that {} transitions leave something of", halvings);
                return Err((format!("input[{axis}]"), size.to_string(), expected));
            }
        }
        Ok(())
    }

    pub(super) fn forward(&self, net: &mut Net, x: Tensor) -> Tensor {
        let y = conv(net, "features.conv0", x, self.stem, [7, 2], Some("features.norm0"));
        let y = net.graph.relu(y);
        let geometry = PoolGeometry { kernel: [3, 3], stride: [2, 2], pad: [1; 4] };
        let mut x = net.graph.pool(PoolKind::Max, y, geometry);
        for (block, &layers) in self.blocks.iter().enumerate() {
            for layer in 0..layers {
                x = self.layer(net, &format!("features.denseblock{}.denselayer{}", block + 1, layer + 1), x);
            }
            if block + 1 < self.blocks.len() {
                x = transition(net, &format!("features.transition{}", block + 1), x);
            }
        }
        let y = norm_relu(net, "features.norm5", x);
        let pooled = net.graph.global_average(y);
        net.linear("classifier", pooled, self.classes)
    }

    /// Everything so far, and after it what this layer makes of it.
    fn layer(&self, net: &mut Net, name: &str, x: Tensor) -> Tensor {
        let named = |part: &str| format!("{name}.{part}");
        let y = norm_relu(net, &named("norm1"), x);
        let width = self.bottleneck * self.growth;
        let y = conv(net, &named("conv1"), y, width, [1, 1], Some(&named("norm2")));
        let y = net.graph.relu(y);
        let y = conv(net, &named("conv2"), y, self.growth, [3, 1], None);
        let axis = net.graph.dims(x).len() - 1;
        net.graph.concat(&[x, y], axis)
    }
}

fn transition(net: &mut Net, name: &str, x: Tensor) -> Tensor {
    let half = net.graph.dims(x).last().copied().unwrap_or(2) / 2;
    let y = norm_relu(net, &format!("{name}.norm"), x);
    let y = conv(net, &format!("{name}.conv"), y, half, [1, 1], None);
    net.graph.pool(PoolKind::Average, y, PoolGeometry { kernel: [2, 2], stride: [2, 2], pad: [0; 4] })
}

fn norm_relu(net: &mut Net, name: &str, x: Tensor) -> Tensor {
    let y = net.batch_norm(name, x, BatchNorm::new(name).epsilon);
    net.graph.relu(y)
}

fn conv(
    net: &mut Net,
    name: &str,
    x: Tensor,
    width: usize,
    [kernel, stride]: [usize; 2],
    norm: Option<&str>,
) -> Tensor {
    let geometry = ConvGeometry { stride: [stride; 2], pad: [kernel / 2; 4], dilation: [1; 2], groups: 1 };
    net.conv(name, x, width, Kernel::Square([kernel; 2]), geometry, false, norm.map(BatchNorm::new))
}
