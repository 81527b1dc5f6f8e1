//! Tensors joined, and a range cut out: copies of blocks.

use super::{Adapter, Binding, Kernel, Template, declare, element, per_item};
use crate::ops::{Concat, Slice};

/// The launches of [`Concat`]: one a part, so that any number of parts can be bound.
pub(crate) fn concat(op: &Concat, adapter: &Adapter) -> Vec<Kernel> {
    let pitch = op.parts.iter().sum::<usize>() * op.inner;
    let mut start = 0;
    let mut kernels = vec![];
    for (i, part) in op.parts.iter().enumerate() {
        let len = part * op.inner;
        let bindings = vec![Binding::Input(i), Binding::Output(0)];
        kernels.push(copy_blocks(op.outer, len, [len, 0], [pitch, start], bindings, adapter));
        start += len;
    }
    kernels
}

/// The launch of [`Slice`].
pub(crate) fn slice(op: &Slice, adapter: &Adapter) -> Vec<Kernel> {
    let len = op.count * op.inner;
    let from = [op.len * op.inner, op.start * op.inner];
    let bindings = vec![Binding::Input(0), Binding::Output(0)];
    vec![copy_blocks(op.outer, len, from, [len, 0], bindings, adapter)]
}

/// Copies `outer` blocks of `len`, with pitch and start given for source and target.
fn copy_blocks(
    outer: usize,
    len: usize,
    from: [usize; 2],
    to: [usize; 2],
    bindings: Vec<Binding>,
    adapter: &Adapter,
) -> Kernel {
    let vector = [len, from[0], from[1], to[0], to[1]].iter().all(|size| size.is_multiple_of(4));
    let width = if vector { 4 } else { 1 };
    let kind = element(vector);
    let declared = declare(&[("x", kind), ("y", kind)]);
    let text = include_str!("../../../../shaders/copy_blocks.wgsl");
    let template = Template::new(&[&declared, text]).sizes(&[
        ("LEN", len / width),
        ("X_PITCH", from[0] / width),
        ("X_START", from[1] / width),
        ("Y_PITCH", to[0] / width),
        ("Y_START", to[1] / width),
    ]);
    per_item(template, outer * len / width, bindings, adapter)
}
