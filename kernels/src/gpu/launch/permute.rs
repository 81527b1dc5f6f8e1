//! Axes in another order.

use super::{Adapter, Kernel, Template, declare, element, operands, per_item};
use crate::ops::Permute;

/// The launch of [`Permute`].
pub(crate) fn permute(op: &Permute, adapter: &Adapter) -> Vec<Kernel> {
    let last = op.shape.len().saturating_sub(1);
    let vector = op.axes.last() == Some(&last) && !op.flip[last] && op.shape[last].is_multiple_of(4);
    let width = if vector { 4 } else { 1 };
    let mut strides = vec![1; op.shape.len()];
    for axis in (0..last).rev() {
        strides[axis] = strides[axis + 1] * op.shape[axis + 1];
    }
    // The place in x of element i of y: every axis of y, from the last, takes its coordinate off i.
    let mut terms = vec![];
    let mut below = 1;
    for &axis in op.axes.iter().rev() {
        let narrow = if axis == last { 1 } else { width };
        let extent = if axis == last { op.shape[axis] / width } else { op.shape[axis] };
        let stride = strides[axis] / narrow;
        let coordinate = format!("(i / {below}u % {extent}u)");
        terms.push(if op.flip[axis] {
            format!("({}u - {coordinate}) * {stride}u", extent - 1)
        } else {
            format!("{coordinate} * {stride}u")
        });
        below *= extent;
    }
    if terms.is_empty() {
        terms.push("0u".into());
    }
    let kind = element(vector);
    let declared = declare(&[("x", kind), ("y", kind)]);
    let text = include_str!("../../../../shaders/permute.wgsl");
    let template = Template::new(&[&declared, text]).word("PLACE", terms.join(" + "));
    vec![per_item(template, below, operands(1, 1), adapter)]
}
