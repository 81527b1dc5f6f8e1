//! Max and average pooling over channels-last images, and their gradients.

use super::{Operation, check_sizes, unfit};
use crate::Result;
use crate::cpu::tiles::{self, Tiling};
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

/// Channels that are pooled together: a vector, or several, that stay in registers while a window is walked.
const STRIP: usize = 16;

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

    /// Whether every position of the image lies in exactly one window, so that gradients need not be added up.
    fn tiled(&self) -> bool {
        let even = |axis: usize| [self.height, self.width][axis].is_multiple_of(self.stride[axis]);
        self.kernel == self.stride && self.pad == [0; 4] && even(0) && even(1)
    }

    /// How windows tile the image, where their maximum has code of its own.
    fn tiling(&self) -> Option<Tiling> {
        let window = self.kernel;
        let known = tiles::WINDOWS.contains(&(window[0] * window[1]));
        let fits = self.kind == PoolKind::Max && self.tiled() && known;
        fits.then_some(Tiling { width: self.width, channels: self.channels, window })
    }

    /// dx from x and dy; with `gated`, zero where x is not positive.
    pub(super) fn gradient(&self, x: &[f32], dy: &[f32], dx: &mut [f32], gated: bool, threads: usize) {
        let (len, out_len) = (self.image_len(), self.out_len());
        spread_rows(threads, dx, len, 4096, |first, images| {
            let x = x[first * len..].chunks_exact(len);
            let dy = dy[first * out_len..].chunks_exact(out_len);
            let images = images.chunks_exact_mut(len).zip(x.zip(dy));
            if let Some(tiling) = self.tiling() {
                return images.for_each(|(dx, (x, dy))| tiles::share(tiling, x, dy, dx, gated));
            }
            vectorised(
                #[inline(always)]
                || {
                    for (dx, (x, dy)) in images {
                        self.backward(x, dy, dx);
                        if gated {
                            dx.iter_mut().zip(x).for_each(|(dx, x)| *dx = if *x > 0.0 { *dx } else { 0.0 });
                        }
                    }
                },
            );
        });
    }

    /// Calls `f(place in y, window)` for every window of an image.
    #[inline(always)]
    fn windows(&self, mut f: impl FnMut(usize, Window)) {
        let out_width = self.out_size()[1];
        for o in 0..self.out_size()[0] * out_width {
            let (rows, columns) = (self.window(0, o / out_width), self.window(1, o % out_width));
            let scale = self.scale(rows.len() * columns.len());
            f(o * self.channels, Window { rows, columns, scale });
        }
    }

    #[inline(always)]
    fn forward(&self, x: &[f32], y: &mut [f32]) {
        self.windows(
            #[inline(always)]
            |at, window| {
                for first in (0..self.channels).step_by(STRIP) {
                    let y = &mut y[at + first..];
                    match (self.channels - first >= STRIP, self.kind) {
                        (true, PoolKind::Max) => self.largest::<STRIP>(x, first, &window, y),
                        (false, PoolKind::Max) => {
                            (first..self.channels)
                                .for_each(|c| self.largest::<1>(x, c, &window, &mut y[c - first..]));
                        }
                        (true, _) => self.mean::<STRIP>(x, first, &window, y),
                        (false, _) => {
                            (first..self.channels)
                                .for_each(|c| self.mean::<1>(x, c, &window, &mut y[c - first..]));
                        }
                    }
                }
            },
        );
    }

    #[inline(always)]
    fn backward(&self, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        let tiled = self.tiled();
        if !tiled {
            dx.fill(0.0);
        }
        self.windows(
            #[inline(always)]
            |at, window| {
                for first in (0..self.channels).step_by(STRIP) {
                    let dy = &dy[at + first..];
                    if self.channels - first >= STRIP {
                        self.share::<STRIP>(x, first, &window, dy, dx, tiled);
                    } else {
                        (first..self.channels)
                            .for_each(|c| self.share::<1>(x, c, &window, &dy[c - first..], dx, tiled));
                    }
                }
            },
        );
    }

    /// Calls `f(place)` for channel `first` at every position of a window.
    #[inline(always)]
    fn positions(&self, window: &Window, first: usize, mut f: impl FnMut(usize)) {
        for row in window.rows.clone() {
            for column in window.columns.clone() {
                f((row * self.width + column) * self.channels + first);
            }
        }
    }

    /// The largest values of N channels.
    #[inline(always)]
    fn largest<const N: usize>(&self, x: &[f32], first: usize, window: &Window, y: &mut [f32]) {
        let mut best = [f32::NEG_INFINITY; N];
        self.positions(
            window,
            first,
            #[inline(always)]
            |place| {
                let x = read::<N>(x, place);
                for i in 0..N {
                    best[i] = if x[i] > best[i] || x[i].is_nan() { x[i] } else { best[i] };
                }
            },
        );
        y[..N].copy_from_slice(&best);
    }

    /// The means of N channels.
    #[inline(always)]
    fn mean<const N: usize>(&self, x: &[f32], first: usize, window: &Window, y: &mut [f32]) {
        let mut sum = [0.0; N];
        self.positions(
            window,
            first,
            #[inline(always)]
            |place| {
                let x = read::<N>(x, place);
                for i in 0..N {
                    sum[i] += x[i];
                }
            },
        );
        for i in 0..N {
            y[i] = sum[i] * window.scale;
        }
    }

    /// Adds dy of N channels to the positions that it came from.
    #[inline(always)]
    fn share<const N: usize>(
        &self,
        x: &[f32],
        first: usize,
        window: &Window,
        dy: &[f32],
        dx: &mut [f32],
        tiled: bool,
    ) {
        let dy = read::<N>(dy, 0);
        let (mut best, mut taken) = ([f32::NEG_INFINITY; N], [0_u32; N]);
        let max = self.kind == PoolKind::Max;
        if max {
            let mut count = 0;
            self.positions(
                window,
                first,
                #[inline(always)]
                |place| {
                    let x = read::<N>(x, place);
                    for i in 0..N {
                        let wins = x[i] > best[i] || x[i].is_nan();
                        best[i] = if wins { x[i] } else { best[i] };
                        taken[i] = if wins { count } else { taken[i] };
                    }
                    count += 1;
                },
            );
        }
        // Every position takes its share or nothing: vectors over channels instead of one address each.
        let mut count = 0;
        self.positions(
            window,
            first,
            #[inline(always)]
            |place| {
                let mut sum = if tiled { [0.0; N] } else { read::<N>(dx, place) };
                for i in 0..N {
                    let share = if max { dy[i] } else { dy[i] * window.scale };
                    sum[i] = if max && taken[i] != count { sum[i] } else { sum[i] + share };
                }
                dx[place..place + N].copy_from_slice(&sum);
                count += 1;
            },
        );
    }
}

/// Positions of the image.
struct Window {
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    /// What a sum over them is multiplied with.
    scale: f32,
}

#[inline(always)]
fn read<const N: usize>(x: &[f32], place: usize) -> [f32; N] {
    let mut strip = [0.0; N];
    strip.copy_from_slice(&x[place..place + N]);
    strip
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
            if let Some(tiling) = self.tiling() {
                return images.for_each(|(y, x)| tiles::largest(tiling, x, y));
            }
            vectorised(
                #[inline(always)]
                || {
                    for (y, x) in images {
                        self.forward(x, y);
                    }
                },
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
        self.0.gradient(inputs[0], inputs[1], outputs[0], false, context.threads);
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::pool_grad(self, adapter)
    }
}
