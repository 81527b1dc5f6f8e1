//! Convolutions and their gradients as matrix products whose factors are read from where they lie.

use super::gemm::{Factor, Gemm, Store};
use super::{Adapter, Binding, Kernel, declare, element, operands, per_item};
use crate::gpu::Operands;
use crate::gpu::template::Template;
use crate::ops::{Activation, Conv, ConvInputGrad, ConvWeightGrad};

/// The launch of [`Conv`]: rows are output positions, columns output channels, k is (ky, kx, channel).
pub(crate) fn conv(op: &Conv, adapter: &Adapter) -> Vec<Kernel> {
    let size = Sizes::of(op);
    let vector_in = size.group_channels.is_multiple_of(4);
    let vector_out = size.group_outputs.is_multiple_of(4);
    let rows = op.images * size.out[0] * size.out[1];
    let k = size.taps * size.group_channels;
    let pointwise = size.taps == 1 && op.stride == [1, 1] && op.pad == [0; 4];
    let a = if pointwise {
        Factor::Matrix {
            base: size.base(rows * op.in_channels, size.group_channels),
            leading: op.in_channels,
            along_k: true,
            vector: vector_in,
        }
    } else {
        Factor::Own {
            text: include_str!("../../../../shaders/gemm_conv.wgsl"),
            flags: vec![("VECTOR", vector_in)],
            vector: vector_in,
        }
    };
    let inputs = 2 + usize::from(op.epilogue.bias) + usize::from(op.epilogue.residual);
    let gemm = Gemm {
        m: rows,
        n: size.group_outputs,
        k,
        z: op.sets * op.groups,
        a,
        b: Factor::Matrix {
            base: size.base(k * op.out_channels, size.group_outputs),
            leading: op.out_channels,
            along_k: false,
            vector: vector_out,
        },
        c: Store {
            base: size.base(rows * op.out_channels, size.group_outputs),
            leading: op.out_channels,
            vector: vector_out,
            bias: op.epilogue.bias.then(|| size.base(op.out_channels, size.group_outputs)),
            residual: op.epilogue.residual,
            relu: op.epilogue.activation == Activation::Relu,
        },
        sizes: size.constants(op),
        bindings: operands(inputs, 1),
        guard_k: false,
    };
    vec![gemm.kernel(adapter)]
}

/// The launch of [`ConvInputGrad`]: rows are input positions, columns input channels, k is (ky, kx, output channel).
pub(crate) fn conv_input_grad(ConvInputGrad(op): &ConvInputGrad, adapter: &Adapter) -> Vec<Kernel> {
    let size = Sizes::of(op);
    let vector = size.group_outputs.is_multiple_of(4);
    let rows = op.images * op.height * op.width;
    let gemm = Gemm {
        m: rows,
        n: size.group_channels,
        k: size.taps * size.group_outputs,
        z: op.sets * op.groups,
        a: Factor::Own {
            text: include_str!("../../../../shaders/gemm_conv_input_grad.wgsl"),
            flags: vec![("VECTOR", vector)],
            vector,
        },
        b: Factor::Own { text: "", flags: vec![], vector },
        c: Store {
            base: size.base(rows * op.in_channels, size.group_channels),
            leading: op.in_channels,
            vector: size.group_channels.is_multiple_of(4),
            bias: None,
            residual: false,
            relu: false,
        },
        sizes: size.constants(op),
        bindings: operands(2, 1),
        guard_k: false,
    };
    vec![gemm.kernel(adapter)]
}

/// The launches of [`ConvWeightGrad`]: rows are (ky, kx, channel), columns output channels, k is the position.
///
/// One member's gradient is small and its sum long, so the positions are cut into parts that are summed apart, then added
/// in order. How many there are depends on one member's sizes only. Members are taken in runs that bound the scratch.
pub(crate) fn conv_weight_grad(ConvWeightGrad(op): &ConvWeightGrad, adapter: &Adapter) -> Vec<Kernel> {
    const SCRATCH: usize = 1 << 23;
    // Neither operand is a weight.
    let operands = if adapter.operands == Operands::F32 { Operands::F32 } else { Operands::Rounded };
    let adapter = &Adapter { operands, ..adapter.clone() };
    let size = Sizes::of(op);
    let positions = op.images * size.out[0] * size.out[1];
    let (m, n) = (size.taps * size.group_channels, size.group_outputs);
    let weights = m * op.out_channels;
    let parts = parts(positions, m * n);
    let chunk = positions.div_ceil(parts);
    let run = if parts == 1 { op.sets } else { (SCRATCH / (parts * weights)).clamp(1, op.sets) };
    let mut kernels = vec![];
    for first in (0..op.sets).step_by(run) {
        let members = run.min(op.sets - first);
        let mut sizes = size.constants(op);
        sizes.extend([("PARTS", parts), ("POSITIONS", positions), ("FIRST_MEMBER", first)]);
        let (vector_a, vector_b) =
            (size.group_channels.is_multiple_of(4), size.group_outputs.is_multiple_of(4));
        let target =
            if parts == 1 { Binding::Output(0) } else { Binding::Scratch(members * parts * weights) };
        let gemm = Gemm {
            m,
            n,
            k: chunk,
            z: members * op.groups * parts,
            a: Factor::Own {
                text: include_str!("../../../../shaders/gemm_conv_weight_grad.wgsl"),
                flags: vec![("VECTOR_A", vector_a), ("VECTOR_B", vector_b)],
                vector: vector_a,
            },
            b: Factor::Own { text: "", flags: vec![], vector: vector_b },
            c: Store {
                base: format!(
                    "((z / {0}u * {parts}u + z % {parts}u) * {weights}u + z / {parts}u % {1}u * {n}u)",
                    parts * op.groups,
                    op.groups
                ),
                leading: op.out_channels,
                vector: vector_b,
                bias: None,
                residual: false,
                relu: false,
            },
            sizes,
            bindings: vec![Binding::Input(0), Binding::Input(1), target],
            guard_k: !positions.is_multiple_of(chunk),
        };
        kernels.push(gemm.kernel(adapter));
        if parts > 1 {
            kernels.push(sum_parts(first, members, parts, weights, adapter));
        }
    }
    kernels
}

/// How many parts the sum over `positions` is cut into for a member with `elements` of gradient a group.
fn parts(positions: usize, elements: usize) -> usize {
    const LEAST: usize = 512;
    const SUMS: usize = 1 << 18;
    let wanted = (positions / LEAST).min(SUMS / elements.max(1)).clamp(1, 32);
    // No part may be empty.
    positions.div_ceil(positions.div_ceil(wanted))
}

fn sum_parts(first: usize, members: usize, parts: usize, weights: usize, adapter: &Adapter) -> Kernel {
    let vector = weights.is_multiple_of(4);
    let width = if vector { 4 } else { 1 };
    let text = include_str!("../../../../shaders/sum_parts.wgsl");
    let declared = declare(&[("parts", element(vector)), ("y", element(vector))]);
    let template = Template::new(&[&declared, text]).sizes(&[
        ("FIRST", first * weights / width),
        ("PARTS", parts),
        ("LEN", weights / width),
    ]);
    let bindings = vec![Binding::Scratch(members * parts * weights), Binding::Output(0)];
    per_item(template, members * weights / width, bindings, adapter)
}

/// What the shaders call the sizes of a convolution.
struct Sizes {
    out: [usize; 2],
    taps: usize,
    group_channels: usize,
    group_outputs: usize,
    groups: usize,
}

impl Sizes {
    fn of(op: &Conv) -> Self {
        Self {
            out: op.out_size(),
            taps: op.kernel[0] * op.kernel[1],
            group_channels: op.in_channels / op.groups,
            group_outputs: op.out_channels / op.groups,
            groups: op.groups,
        }
    }

    /// Start of the matrix of product z: `member` elements a member, `group` a group.
    fn base(&self, member: usize, group: usize) -> String {
        format!("(z / {0}u * {member}u + z % {0}u * {group}u)", self.groups)
    }

    fn constants(&self, op: &Conv) -> Vec<(&'static str, usize)> {
        vec![
            ("IMAGES", op.images),
            ("HEIGHT", op.height),
            ("WIDTH", op.width),
            ("IN_CHANNELS", op.in_channels),
            ("OUT_CHANNELS", op.out_channels),
            ("OUT_HEIGHT", self.out[0]),
            ("OUT_WIDTH", self.out[1]),
            ("KERNEL_X", op.kernel[1]),
            ("TAPS", self.taps),
            ("STRIDE_Y", op.stride[0]),
            ("STRIDE_X", op.stride[1]),
            ("PAD_Y", op.pad[0]),
            ("PAD_X", op.pad[1]),
            ("DILATION_Y", op.dilation[0]),
            ("DILATION_X", op.dilation[1]),
            ("GROUPS", op.groups),
            ("GROUP_CHANNELS", self.group_channels),
            ("GROUP_OUTPUTS", self.group_outputs),
        ]
    }
}
