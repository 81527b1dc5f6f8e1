//! Pooling and its gradient.

use super::{Adapter, Kernel, Template, declare, element, operands, per_item};
use crate::ops::{Pool, PoolGrad, PoolKind};

/// The launch of [`Pool`].
pub(crate) fn pool(op: &Pool, adapter: &Adapter) -> Vec<Kernel> {
    // Max selects by comparison, which needs single values.
    let vector = op.channels.is_multiple_of(4) && op.kind != PoolKind::Max;
    let channels = if vector { op.channels / 4 } else { op.channels };
    let kind = element(vector);
    let declared = declare(&[("x", kind), ("y", kind)]);
    let text = include_str!("../../../../shaders/pool.wgsl");
    let [height, width] = op.out_size();
    let template = Template::new(&[&declared, text]).word("ELEMENT", kind);
    let count = op.images * height * width * channels;
    vec![per_item(sizes(template, op, channels), count, operands(1, 1), adapter)]
}

/// The launch of [`PoolGrad`].
pub(crate) fn pool_grad(PoolGrad(op): &PoolGrad, adapter: &Adapter) -> Vec<Kernel> {
    // Averages do not read x, and what a shader does not name need not be bound.
    let first = if op.kind == PoolKind::Max { 0 } else { 1 };
    let declared = declare(&[("x", "f32"), ("dy", "f32"), ("dx", "f32")][first..]);
    let text = include_str!("../../../../shaders/pool_grad.wgsl");
    let template = Template::new(&[&declared, text]);
    let count = op.images * op.height * op.width * op.channels;
    let bindings = operands(2, 1).split_off(first);
    vec![per_item(sizes(template, op, op.channels), count, bindings, adapter)]
}

fn sizes(template: Template, op: &Pool, channels: usize) -> Template {
    let [out_height, out_width] = op.out_size();
    template
        .sizes(&[
            ("HEIGHT", op.height),
            ("WIDTH", op.width),
            ("CHANNELS", channels),
            ("OUT_HEIGHT", out_height),
            ("OUT_WIDTH", out_width),
            ("KERNEL_Y", op.kernel[0]),
            ("KERNEL_X", op.kernel[1]),
            ("STRIDE_Y", op.stride[0]),
            ("STRIDE_X", op.stride[1]),
            ("PAD_Y", op.pad[0]),
            ("PAD_X", op.pad[1]),
        ])
        .flags(&[("MAX", op.kind == PoolKind::Max), ("INSIDE", op.kind == PoolKind::AverageInside)])
}
