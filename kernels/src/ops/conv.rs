//! Convolutions over channels-last images, and their gradients to input and to weight. A signal is an image of height 1.

use super::{Activation, Epilogue, Operation, check_sizes, unfit};
use crate::Result;
use crate::cpu::images::{ImageTail, Plan, Room, convolve, weight_gradient};
use crate::cpu::winograd::Winograd;
use crate::cpu::{Context, Memory};
use crate::gpu::{Adapter, Kernel, Product};

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
        if !self.in_channels.is_multiple_of(self.groups) || !self.out_channels.is_multiple_of(self.groups) {
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

    /// dx from dy and w. Of the convolution's epilogue nothing counts; the tail's operands are in x's shape.
    pub(super) fn input_gradient(&self, [dy, w]: [&[f32]; 2], dx: &mut [f32], tail: ImageTail, room: Room) {
        let counts = [self.sets, self.images];
        match Winograd::backward(self) {
            Some(plan) => plan.convolve(counts, dy, w, dx, tail, room),
            None => convolve(|| Plan::backward(self), counts, dy, w, dx, tail, room),
        }
    }

    /// As a product of `m` rows, `n` columns and sums of `k` in each group.
    fn as_product(&self, m: usize, n: usize, k: usize) -> Product {
        let Self { kernel, stride, dilation, in_channels, out_channels, height, width, .. } = self;
        let operands = format!(
            "{height}x{width} {in_channels}-{out_channels} by {}x{} stride {}x{} dilation {}x{}",
            kernel[0], kernel[1], stride[0], stride[1], dilation[0], dilation[1]
        );
        Product { m, n, k, z: self.sets * self.groups, operands, weights: Some(1) }
    }

    /// Taps, input channels and output channels of a group.
    fn group_sizes(&self) -> [usize; 3] {
        let taps = self.kernel[0] * self.kernel[1];
        [taps, self.in_channels / self.groups, self.out_channels / self.groups]
    }

    /// What of the spec decides how the weights are packed.
    fn packing(&self) -> String {
        let Self { sets, in_channels, out_channels, kernel, stride, pad, dilation, groups, .. } = self;
        format!(
            "{sets} {in_channels} {out_channels} {kernel:?} {stride:?} {pad:?} {dilation:?} {groups} {} {}",
            self.height, self.width
        )
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

    fn prepared_key(&self, input: usize) -> Option<String> {
        (input == 1).then(|| format!("conv {}", self.packing()))
    }

    fn prepare(&self, _input: usize, constant: &[f32]) -> Option<Memory> {
        match Winograd::forward(self) {
            Some(plan) => plan.prepare(self.sets, constant),
            None => Plan::forward(self).prepare(self.sets, constant),
        }
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        let tail = ImageTail {
            bias: self.epilogue.bias.then(|| inputs[2]),
            residual: self.epilogue.residual.then(|| inputs[2 + usize::from(self.epilogue.bias)]),
            relu: self.epilogue.activation == Activation::Relu,
            gate: None,
        };
        let counts = [self.sets, self.images];
        let (x, w, y, room) = (inputs[0], inputs[1], &mut *outputs[0], context.room());
        match Winograd::forward(self) {
            Some(plan) => plan.convolve(counts, x, w, y, tail, room),
            None => convolve(|| Plan::forward(self), counts, x, w, y, tail, room),
        }
    }

    fn product(&self) -> Option<Product> {
        let [taps, channels, outputs] = self.group_sizes();
        let [height, width] = self.out_size();
        Some(self.as_product(self.images * height * width, outputs, taps * channels))
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

    fn prepared_key(&self, input: usize) -> Option<String> {
        (input == 1).then(|| format!("conv_input_grad {}", self.0.packing()))
    }

    fn prepare(&self, _input: usize, constant: &[f32]) -> Option<Memory> {
        match Winograd::backward(&self.0) {
            Some(plan) => plan.prepare(self.0.sets, constant),
            None => Plan::backward(&self.0).prepare(self.0.sets, constant),
        }
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        self.0.input_gradient([inputs[0], inputs[1]], outputs[0], ImageTail::default(), context.room());
    }

    fn product(&self) -> Option<Product> {
        let [taps, channels, outputs] = self.0.group_sizes();
        Some(self.0.as_product(self.0.images * self.0.height * self.0.width, channels, taps * outputs))
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

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        weight_gradient(&self.0, inputs[0], inputs[1], outputs[0], context.room());
    }

    fn product(&self) -> Option<Product> {
        let [taps, channels, outputs] = self.0.group_sizes();
        let [height, width] = self.0.out_size();
        let product = self.0.as_product(taps * channels, outputs, self.0.images * height * width);
        Some(Product { weights: None, ..product })
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::conv_weight_grad(self, adapter)
    }
}
