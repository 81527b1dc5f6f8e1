//! Max and average pooling over channels-last images, and their gradients.

use super::{Operation, check_sizes, unfit};
use crate::Result;
use crate::cpu::{Context, math::vectorised, spread_rows};
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

/// Channels that are pooled together.
const STRIP: usize = 64;

impl Pool {
    /// The image rows or columns that window `o` covers along an axis.
    fn window(&self, axis: usize, o: usize) -> std::ops::Range<usize> {
        let size = [self.height, self.width][axis];
        let first = o * self.stride[axis];
        let end = (first + self.kernel[axis]).saturating_sub(self.pad[axis]).min(size);
        first.saturating_sub(self.pad[axis]).min(end)..end
    }

    /// What the sum of a window is multiplied with.
    fn scale(&self, inside: usize) -> f32 {
        match self.kind {
            PoolKind::Max => 1.0,
            PoolKind::Average => 1.0 / (self.kernel[0] * self.kernel[1]) as f32,
            PoolKind::AverageInside => 1.0 / inside as f32,
        }
    }

    fn image_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    fn out_len(&self) -> usize {
        self.out_size()[0] * self.out_size()[1] * self.channels
    }

    #[inline(always)]
    fn forward(&self, x: &[f32], y: &mut [f32]) {
        let channels = self.channels;
        let out_width = self.out_size()[1];
        for (o, y) in y.chunks_exact_mut(channels).enumerate() {
            let rows = self.window(0, o / out_width);
            let columns = self.window(1, o % out_width);
            let scale = self.scale(rows.len() * columns.len());
            let max = self.kind == PoolKind::Max;
            y.fill(if max { f32::NEG_INFINITY } else { 0.0 });
            for row in rows {
                let line = &x[(row * self.width + columns.start) * channels..][..columns.len() * channels];
                for x in line.chunks_exact(channels) {
                    if max {
                        y.iter_mut()
                            .zip(x)
                            .for_each(|(y, &x)| *y = if x > *y || x.is_nan() { x } else { *y });
                    } else {
                        y.iter_mut().zip(x).for_each(|(y, &x)| *y += x);
                    }
                }
            }
            if !max {
                y.iter_mut().for_each(|y| *y *= scale);
            }
        }
    }

    #[inline(always)]
    fn backward(&self, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        let channels = self.channels;
        let out_width = self.out_size()[1];
        dx.fill(0.0);
        for (o, dy) in dy.chunks_exact(channels).enumerate() {
            let (rows, columns) = (self.window(0, o / out_width), self.window(1, o % out_width));
            if self.kind == PoolKind::Max {
                for first in (0..channels).step_by(STRIP) {
                    let strip = first..channels.min(first + STRIP);
                    self.to_largest(x, &dy[strip.clone()], dx, rows.clone(), columns.clone(), strip);
                }
                continue;
            }
            let scale = self.scale(rows.len() * columns.len());
            for row in rows {
                let line = (row * self.width + columns.start) * channels;
                for dx in dx[line..][..columns.len() * channels].chunks_exact_mut(channels) {
                    dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx = dy.mul_add(scale, *dx));
                }
            }
        }
    }

    /// Adds dy of a strip of channels to the first largest position of their window.
    #[inline(always)]
    fn to_largest(
        &self,
        x: &[f32],
        dy: &[f32],
        dx: &mut [f32],
        rows: std::ops::Range<usize>,
        columns: std::ops::Range<usize>,
        strip: std::ops::Range<usize>,
    ) {
        let mut best = [f32::NEG_INFINITY; STRIP];
        let origin = (rows.start * self.width + columns.start) * self.channels;
        let mut place = [origin as u32; STRIP];
        for row in rows.clone() {
            for column in columns.clone() {
                let pixel = (row * self.width + column) * self.channels;
                let x = &x[pixel + strip.start..pixel + strip.end];
                for ((best, place), &x) in best.iter_mut().zip(&mut place).zip(x) {
                    let wins = x > *best || x.is_nan();
                    *best = if wins { x } else { *best };
                    *place = if wins { pixel as u32 } else { *place };
                }
            }
        }
        // Every position takes its share or 0: vectors over channels instead of one address each.
        for row in rows {
            for column in columns.clone() {
                let pixel = (row * self.width + column) * self.channels;
                let dx = &mut dx[pixel + strip.start..pixel + strip.end];
                for ((dx, &dy), &place) in dx.iter_mut().zip(dy).zip(&place) {
                    *dx = if place == pixel as u32 { *dx + dy } else { *dx };
                }
            }
        }
    }
}

impl Operation for Pool {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn check(&self) -> Result<()> {
        let name = self.name();
        check_sizes(name, "x", &[self.images, self.height, self.width, self.channels])?;
        check_sizes(name, "kernel", &self.kernel)?;
        check_sizes(name, "stride", &self.stride)?;
        if self.image_len() > u32::MAX as usize {
            return Err(unfit(name, "image", self.image_len(), "less than 2^32 elements"));
        }
        let fits = |axis: usize| {
            let padded = [self.height, self.width][axis] + self.pad[axis] + self.pad[axis + 2];
            let last = self.out_size()[axis] - 1;
            let empty = self.window(axis, 0).is_empty() || self.window(axis, last).is_empty();
            self.kernel[axis] <= padded && !empty
        };
        if !(fits(0) && fits(1)) {
            let found = format!("kernel {:?}, stride {:?}, pad {:?}", self.kernel, self.stride, self.pad);
            return Err(unfit(name, "windows", found, "windows that each hold a position of the image"));
        }
        Ok(())
    }

    fn input_lens(&self) -> Vec<usize> {
        vec![self.images * self.image_len()]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.images * self.out_len()]
    }

    fn flops(&self) -> u64 {
        (self.images * self.out_len() * self.kernel[0] * self.kernel[1]) as u64
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        let (x, len) = (inputs[0], self.image_len());
        spread_rows(context.threads, outputs[0], self.out_len(), 4096, |first, images| {
            let images = images.chunks_exact_mut(self.out_len()).zip(x[first * len..].chunks_exact(len));
            vectorised(
                #[inline(always)]
                || images.for_each(|(y, x)| self.forward(x, y)),
            );
        });
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::pool(self, adapter)
    }
}

impl Operation for PoolGrad {
    fn name(&self) -> &'static str {
        "pool_grad"
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }

    fn input_lens(&self) -> Vec<usize> {
        vec![self.0.images * self.0.image_len(), self.0.images * self.0.out_len()]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.0.images * self.0.image_len()]
    }

    fn flops(&self) -> u64 {
        self.0.flops()
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        let (len, out_len) = (self.0.image_len(), self.0.out_len());
        spread_rows(context.threads, outputs[0], len, 4096, |first, images| {
            let x = inputs[0][first * len..].chunks_exact(len);
            let dy = inputs[1][first * out_len..].chunks_exact(out_len);
            let images = images.chunks_exact_mut(len).zip(x.zip(dy));
            vectorised(
                #[inline(always)]
                || images.for_each(|(dx, (x, dy))| self.0.backward(x, dy, dx)),
            );
        });
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::pool_grad(self, adapter)
    }
}
