//! Rows picked by index, and the gradient.

use super::{Adapter, Kernel, Template, declare, element, operands, per_item, unroll};
use crate::ops::{Gather, ScatterAdd};

/// The launch of [`Gather`].
pub(crate) fn gather(op: &Gather, adapter: &Adapter) -> Vec<Kernel> {
    let (vector, inner) = quads(op.inner);
    let kind = element(vector);
    let declared = declare(&[("x", kind), ("index", "f32"), ("y", kind)]);
    let text = include_str!("../../../../shaders/gather.wgsl");
    let template = Template::new(&[&declared, text])
        .sizes(&[("ROWS", op.rows), ("PICKED", op.count), ("INNER", inner)])
        .flags(&[("SHARED", op.shared)])
        .word("ELEMENT", kind);
    vec![per_item(template, op.outer * op.count * inner, operands(2, 1), adapter)]
}

/// The launch of [`ScatterAdd`].
pub(crate) fn scatter_add(ScatterAdd(op): &ScatterAdd, adapter: &Adapter) -> Vec<Kernel> {
    let (vector, inner) = quads(op.inner);
    let kind = element(vector);
    let declared = declare(&[("dy", kind), ("index", "f32"), ("dx", kind)]);
    let text = include_str!("../../../../shaders/scatter_add.wgsl");
    let template = Template::new(&[&declared, text])
        .sizes(&[("ROWS", op.rows), ("PICKED", op.count), ("INNER", inner)])
        .sizes(&[("UNROLL", unroll(op.count, adapter))])
        .word("ELEMENT", kind);
    vec![per_item(template, op.outer * op.rows * inner, operands(2, 1), adapter)]
}

fn quads(inner: usize) -> (bool, usize) {
    let vector = inner.is_multiple_of(4);
    (vector, if vector { inner / 4 } else { inner })
}
