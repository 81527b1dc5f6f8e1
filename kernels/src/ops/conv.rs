//! Convolutions over channels-last images, and their gradients to input and to weight. A signal is an image of height 1.

use super::{Activation, Epilogue, Operation, check_sizes, unfit};
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

impl Conv {
    fn check_as(&self, name: &'static str) -> Result<()> {
        let [out_height, out_width] = self.out_size_checked(name)?;
        let inputs = [self.sets, self.images, self.height, self.width, self.in_channels];
        check_sizes(name, "x", &inputs)?;
        check_sizes(name, "y", &[self.sets, self.images, out_height, out_width, self.out_channels])?;
        check_sizes(name, "groups", &[self.groups])?;
        if self.in_channels % self.groups != 0 || self.out_channels % self.groups != 0 {
            let found =
                format!("{} for {} and {} channels", self.groups, self.in_channels, self.out_channels);
            return Err(unfit(name, "groups", found, "a divisor of both"));
        }
        let weights = [self.sets, self.kernel[0], self.kernel[1], self.in_channels, self.out_channels];
        check_sizes(name, "w", &weights)
    }

    fn out_size_checked(&self, name: &'static str) -> Result<[usize; 2]> {
        check_sizes(name, "kernel", &self.kernel)?;
        check_sizes(name, "stride", &self.stride)?;
        check_sizes(name, "dilation", &self.dilation)?;
        for axis in 0..2 {
            let padded = [self.height, self.width][axis]
                .saturating_add(self.pad[axis])
                .saturating_add(self.pad[axis + 2]);
            check_sizes(name, "padded image", &[padded])?;
            let span = self.dilation[axis].saturating_mul(self.kernel[axis] - 1).saturating_add(1);
            if span > padded {
                return Err(unfit(name, "kernel", format!("{span} positions"), format!("at most {padded}")));
            }
        }
        Ok(self.out_size())
    }

    fn x_len(&self) -> usize {
        self.sets * self.images * self.height * self.width * self.in_channels
    }

    fn w_len(&self) -> usize {
        self.sets * self.kernel[0] * self.kernel[1] * self.in_channels / self.groups * self.out_channels
    }

    fn y_len(&self) -> usize {
        let [height, width] = self.out_size();
        self.sets * self.images * height * width * self.out_channels
    }

    fn product_flops(&self) -> u64 {
        let taps = self.kernel[0] * self.kernel[1] * self.in_channels / self.groups;
        2 * (self.y_len() * taps) as u64
    }

    /// Calls `f(x index, w index, y index)` for every product.
    fn each(&self, mut f: impl FnMut(usize, usize, usize)) {
        let [oh, ow] = self.out_size();
        let (cg, og) = (self.in_channels / self.groups, self.out_channels / self.groups);
        for pixel in 0..self.sets * self.images * oh * ow {
            let (image, oy, ox) = (pixel / (oh * ow), pixel / ow % oh, pixel % ow);
            for tap in 0..self.kernel[0] * self.kernel[1] {
                let iy = oy * self.stride[0] + tap / self.kernel[1] * self.dilation[0];
                let ix = ox * self.stride[1] + tap % self.kernel[1] * self.dilation[1];
                let (Some(iy), Some(ix)) = (iy.checked_sub(self.pad[0]), ix.checked_sub(self.pad[1])) else {
                    continue;
                };
                if iy >= self.height || ix >= self.width {
                    continue;
                }
                let x = ((image * self.height + iy) * self.width + ix) * self.in_channels;
                let w =
                    (image / self.images * self.kernel[0] * self.kernel[1] + tap) * cg * self.out_channels;
                for o in 0..self.out_channels {
                    for c in 0..cg {
                        f(x + o / og * cg + c, w + c * self.out_channels + o, pixel * self.out_channels + o);
                    }
                }
            }
        }
    }
}

impl Operation for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn check(&self) -> Result<()> {
        self.check_as(self.name())
    }

    fn input_lens(&self) -> Vec<usize> {
        let mut lens = vec![self.x_len(), self.w_len()];
        lens.extend(self.epilogue.lens(self.sets, self.out_channels, self.y_len()));
        lens
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.y_len()]
    }

    fn flops(&self) -> u64 {
        self.product_flops() + self.epilogue.flops(self.y_len())
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], _context: &mut Context) {
        let (x, w, y) = (inputs[0], inputs[1], &mut *outputs[0]);
        y.fill(0.0);
        self.each(|xi, wi, yi| y[yi] = x[xi].mul_add(w[wi], y[yi]));
        let set = y.len() / self.sets;
        for (i, y) in y.iter_mut().enumerate() {
            if self.epilogue.bias {
                *y += inputs[2][i / set * self.out_channels + i % self.out_channels];
            }
            if self.epilogue.residual {
                *y += inputs[2 + usize::from(self.epilogue.bias)][i];
            }
            if self.epilogue.activation == Activation::Relu {
                *y = y.max(0.0);
            }
        }
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::conv(self, adapter)
    }
}

impl Operation for ConvInputGrad {
    fn name(&self) -> &'static str {
        "conv_input_grad"
    }

    fn check(&self) -> Result<()> {
        self.0.check_as(self.name())
    }

    fn input_lens(&self) -> Vec<usize> {
        vec![self.0.y_len(), self.0.w_len()]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.0.x_len()]
    }

    fn flops(&self) -> u64 {
        self.0.product_flops()
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], _context: &mut Context) {
        let (dy, w, dx) = (inputs[0], inputs[1], &mut *outputs[0]);
        dx.fill(0.0);
        self.0.each(|xi, wi, yi| dx[xi] = dy[yi].mul_add(w[wi], dx[xi]));
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::conv_input_grad(self, adapter)
    }
}

impl Operation for ConvWeightGrad {
    fn name(&self) -> &'static str {
        "conv_weight_grad"
    }

    fn check(&self) -> Result<()> {
        self.0.check_as(self.name())
    }

    fn input_lens(&self) -> Vec<usize> {
        vec![self.0.x_len(), self.0.y_len()]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.0.w_len()]
    }

    fn flops(&self) -> u64 {
        self.0.product_flops()
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], _context: &mut Context) {
        let (x, dy, dw) = (inputs[0], inputs[1], &mut *outputs[0]);
        dw.fill(0.0);
        self.0.each(|xi, wi, yi| dw[wi] = x[xi].mul_add(dy[yi], dw[wi]));
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::conv_weight_grad(self, adapter)
    }
}
