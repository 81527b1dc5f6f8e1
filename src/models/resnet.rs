//! Residual networks over images (He et al. 2016) under torchvision's names: `conv1`, `bn1`, `layer1.0.conv1`, ..., `fc`.

use percuss_kernels::ops::PoolKind;
use serde::{Deserialize, Serialize};

use super::config::{Misfit, positive};
use super::net::{BatchNorm, Kernel, Net};
use crate::graph::{ConvGeometry, PoolGeometry, Tensor};

/// How the network begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stem {
    /// 7x7, stride 2, then 3x3 max pooling, stride 2: torchvision's.
    #[serde(rename = "7x7")]
    Large,
    /// 3x3, stride 1, no pooling: for small images.
    #[serde(rename = "3x3")]
    Small,
}

/// Depth, input and stem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resnet {
    /// 18, 34 or 50.
    pub depth: usize,
    /// Height, width, channels of a sample.
    pub input: [usize; 3],
    /// Outputs.
    pub classes: usize,
    /// The stem.
    pub stem: Stem,
}

const WIDTHS: [usize; 4] = [64, 128, 256, 512];

impl Resnet {
    pub(super) fn check(&self) -> Result<(), Misfit> {
        if !matches!(self.depth, 18 | 34 | 50) {
            return Err(("depth".into(), self.depth.to_string(), "18, 34 or 50".into()));
        }
        self.input.iter().enumerate().try_for_each(|(i, &size)| positive(&format!("input[{i}]"), size))?;
        positive("classes", self.classes)
    }

    fn blocks(&self) -> [usize; 4] {
        if self.depth == 18 { [2, 2, 2, 2] } else { [3, 4, 6, 3] }
    }

    pub(super) fn forward(&self, net: &mut Net, x: Tensor) -> Tensor {
        let (kernel, stride) = if self.stem == Stem::Large { (7, 2) } else { (3, 1) };
        let y = conv(net, ["conv1", "bn1"], x, WIDTHS[0], kernel, stride);
        let mut x = net.graph.relu(y);
        if self.stem == Stem::Large {
            let geometry = PoolGeometry { kernel: [3, 3], stride: [2, 2], pad: [1; 4] };
            x = net.graph.pool(PoolKind::Max, x, geometry);
        }
        for (stage, (&width, blocks)) in WIDTHS.iter().zip(self.blocks()).enumerate() {
            for block in 0..blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let name = format!("layer{}.{block}", stage + 1);
                x = if self.depth == 50 {
                    bottleneck(net, &name, x, width, stride)
                } else {
                    basic(net, &name, x, width, stride)
                };
            }
        }
        let pooled = net.graph.global_average(x);
        net.linear("fc", pooled, self.classes)
    }
}

fn conv(
    net: &mut Net,
    [name, norm]: [&str; 2],
    x: Tensor,
    width: usize,
    kernel: usize,
    stride: usize,
) -> Tensor {
    let geometry = ConvGeometry { stride: [stride; 2], pad: [kernel / 2; 4], dilation: [1; 2], groups: 1 };
    net.conv(name, x, width, Kernel::Square([kernel; 2]), geometry, false, Some(BatchNorm::new(norm)))
}

fn part(
    net: &mut Net,
    block: &str,
    index: usize,
    x: Tensor,
    width: usize,
    kernel: usize,
    stride: usize,
) -> Tensor {
    let names = [format!("{block}.conv{index}"), format!("{block}.bn{index}")];
    conv(net, [&names[0], &names[1]], x, width, kernel, stride)
}

fn shortcut(net: &mut Net, block: &str, x: Tensor, width: usize, stride: usize) -> Tensor {
    let channels = net.graph.dims(x).last().copied().unwrap_or(1);
    if stride == 1 && channels == width {
        return x;
    }
    let names = [format!("{block}.downsample.0"), format!("{block}.downsample.1")];
    conv(net, [&names[0], &names[1]], x, width, 1, stride)
}

fn basic(net: &mut Net, block: &str, x: Tensor, width: usize, stride: usize) -> Tensor {
    let identity = shortcut(net, block, x, width, stride);
    let y = part(net, block, 1, x, width, 3, stride);
    let y = net.graph.relu(y);
    let y = part(net, block, 2, y, width, 3, 1);
    let y = net.graph.add(y, identity);
    net.graph.relu(y)
}

fn bottleneck(net: &mut Net, block: &str, x: Tensor, width: usize, stride: usize) -> Tensor {
    let identity = shortcut(net, block, x, 4 * width, stride);
    let y = part(net, block, 1, x, width, 1, 1);
    let y = net.graph.relu(y);
    let y = part(net, block, 2, y, width, 3, stride);
    let y = net.graph.relu(y);
    let y = part(net, block, 3, y, 4 * width, 1, 1);
    let y = net.graph.add(y, identity);
    net.graph.relu(y)
}
