//! Max and average pooling over channels-last images, and their gradients.

use super::Operation;
use crate::Result;
use crate::cpu::Context;
use crate::gpu::{Adapter, Kernel};

/// What a window yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// The largest value; its gradient goes to the first position (row-major) that holds it, as in PyTorch.
    Max,
    /// The mean over all `kernel` positions, padding counting as zeros (PyTorch's `count_include_pad=True`).
    Average,
    /// The mean over the positions inside the image (`count_include_pad=False`, Keras's 'same').
    AverageInside,
}

/// Pools each channel. Input: x `[images, height, width, channels]`. Output: y `[images, out_height, out_width, channels]`.
///
/// Every window holds at least one position of the image.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pool {
    /// Max or average.
    pub kind: PoolKind,
    /// Number of images.
    pub images: usize,
    /// Input height.
    pub height: usize,
    /// Input width.
    pub width: usize,
    /// Channels.
    pub channels: usize,
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Rows and columns added at the top, left, bottom, right (never chosen by max).
    pub pad: [usize; 4],
}

impl Pool {
    /// Output height and width.
    pub fn out_size(&self) -> [usize; 2] {
        let side = |size: usize, axis: usize| {
            (size + self.pad[axis] + self.pad[axis + 2]).saturating_sub(self.kernel[axis]) / self.stride[axis]
                + 1
        };
        [side(self.height, 0), side(self.width, 1)]
    }
}

/// The gradient of [`Pool`]. Inputs: x, dy. Output: dx.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PoolGrad(pub Pool);
