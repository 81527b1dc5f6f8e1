//! Residual networks over signals, named as torchvision names its 2-d ones; convolutions are Conv1d.

use serde::{Deserialize, Serialize};

use super::config::{Misfit, positive, stacked};
use super::net::{BatchNorm, Kernel, Net};
use crate::graph::{ConvGeometry, Tensor};

/// Stem, stages and kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resnet1d {
    /// Samples of a signal.
    pub length: usize,
    /// Leads.
    pub in_channels: usize,
    /// Outputs.
    pub classes: usize,
    /// Odd length of the first kernel.
    pub stem_kernel: usize,
    /// Its stride.
    pub stem_stride: usize,
    /// Channels of each stage; every stage but the first begins with stride 2.
    pub widths: Vec<usize>,
    /// Blocks of each stage.
    pub blocks: Vec<usize>,
    /// Odd length of the blocks' kernels.
    pub kernel: usize,
}

impl Resnet1d {
    pub(super) fn check(&self) -> Result<(), Misfit> {
        let sizes = [
            ("length", self.length),
            ("in_channels", self.in_channels),
            ("classes", self.classes),
            ("stem_kernel", self.stem_kernel),
            ("stem_stride", self.stem_stride),
            ("kernel", self.kernel),
            ("widths' number", self.widths.len()),
        ];
        sizes.iter().try_for_each(|(place, size)| positive(place, *size))?;
        self.widths.iter().try_for_each(|&width| positive("widths", width))?;
        stacked("blocks", &self.blocks)?;
        if self.blocks.len() != self.widths.len() {
            return Err((
                "blocks".into(),
                format!("{} stages", self.blocks.len()),
                format!("{}, one a width", self.widths.len()),
            ));
        }
        for (place, kernel) in [("stem_kernel", self.stem_kernel), ("kernel", self.kernel)] {
            if kernel % 2 == 0 {
                return Err((place.into(), kernel.to_string(), "an odd number".into()));
            }
        }
        Ok(())
    }

    pub(super) fn forward(&self, net: &mut Net, x: Tensor) -> Tensor {
        let y = conv(net, ["conv1", "bn1"], x, self.widths[0], self.stem_kernel, self.stem_stride);
        let mut x = net.graph.relu(y);
        for (stage, (&width, &blocks)) in self.widths.iter().zip(&self.blocks).enumerate() {
            for block in 0..blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                x = self.block(net, &format!("layer{}.{block}", stage + 1), x, width, stride);
            }
        }
        let pooled = net.graph.global_average(x);
        net.linear("fc", pooled, self.classes)
    }

    fn block(&self, net: &mut Net, name: &str, x: Tensor, width: usize, stride: usize) -> Tensor {
        let named = |suffix: &str| format!("{name}.{suffix}");
        let channels = net.graph.dims(x).last().copied().unwrap_or(1);
        let identity = if stride == 1 && channels == width {
            x
        } else {
            conv(net, [&named("downsample.0"), &named("downsample.1")], x, width, 1, stride)
        };
        let y = conv(net, [&named("conv1"), &named("bn1")], x, width, self.kernel, stride);
        let y = net.graph.relu(y);
        let y = conv(net, [&named("conv2"), &named("bn2")], y, width, self.kernel, 1);
        let y = net.graph.add(y, identity);
        net.graph.relu(y)
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
    let pad = kernel / 2;
    let geometry = ConvGeometry { stride: [1, stride], pad: [0, pad, 0, pad], dilation: [1; 2], groups: 1 };
    net.conv(name, x, width, Kernel::Line(kernel), geometry, false, Some(BatchNorm::new(norm)))
}
