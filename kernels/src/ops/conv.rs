//! Convolutions over channels-last images, and their gradients to input and to weight. A signal is an image of height 1.

use super::{Epilogue, Operation};
use crate::Result;
use crate::cpu::Context;
use crate::gpu::{Adapter, Kernel};

/// `y[e, i, oy, ox, o] = act(bias[e, o] + residual + sum_{ky, kx, c} x[e, i, iy, ix, c] w[e, ky, kx, c, o])`.
///
/// With `iy = oy * stride[0] + ky * dilation[0] - pad[0]` and likewise `ix`; positions outside count as 0. Channel `c` runs
/// over the `in_channels / groups` of o's group.
///
/// Inputs: x `[sets, images, height, width, in_channels]`, w `[sets, kernel[0], kernel[1], in_channels / groups,
/// out_channels]`, then bias `[sets, out_channels]` and residual (y's shape) if the epilogue has them. Output: y `[sets,
/// images, out_height, out_width, out_channels]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Weight sets: 1, or the members of an ensemble.
    pub sets: usize,
    /// Images for each weight set.
    pub images: usize,
    /// Input height.
    pub height: usize,
    /// Input width.
    pub width: usize,
    /// Input channels, a multiple of `groups`.
    pub in_channels: usize,
    /// Output channels, a multiple of `groups`.
    pub out_channels: usize,
    /// Kernel height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Zero rows and columns added at the top, left, bottom, right.
    pub pad: [usize; 4],
    /// Vertical and horizontal distance of neighbouring taps.
    pub dilation: [usize; 2],
    /// Groups of channels that do not mix.
    pub groups: usize,
    /// Fused tail.
    pub epilogue: Epilogue,
}

impl Conv {
    /// Output height and width.
    pub fn out_size(&self) -> [usize; 2] {
        let side = |size: usize, axis: usize| {
            let span = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            (size + self.pad[axis] + self.pad[axis + 2]).saturating_sub(span) / self.stride[axis] + 1
        };
        [side(self.height, 0), side(self.width, 1)]
    }
}

/// The gradient of [`Conv`] to its input. Inputs: dy (y's shape), w. Output: dx (x's shape). The epilogue is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConvInputGrad(pub Conv);

/// The gradient of [`Conv`] to its weight, summed over images in a fixed order. Inputs: x, dy. Output: dw (w's shape).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConvWeightGrad(pub Conv);
