//! Cross-entropy of rows, and its gradient.

use super::rows::{COLUMNS, ELEMENTARY, columns, elementary};
use super::{Adapter, Kernel, Template, declare, operands};
use crate::ops::{CrossEntropy, CrossEntropyGrad};

const TEXT: &str = include_str!("../../../../shaders/cross_entropy.wgsl");

/// The launch of [`CrossEntropy`].
pub(crate) fn cross_entropy(op: &CrossEntropy, adapter: &Adapter) -> Vec<Kernel> {
    let declared = declare(&[("logits", "f32"), ("labels", "f32"), ("loss", "f32")]);
    let template = Template::new(&[&declared, COLUMNS, ELEMENTARY, TEXT])
        .flags(&elementary(&["LOGARITHM"]))
        .flags(&[("GRADIENT", false), ("ODDS", op.odds)]);
    vec![columns(template, [op.rows, op.classes, 1], 3, operands(2, 1), adapter)]
}

/// The launch of [`CrossEntropyGrad`].
pub(crate) fn cross_entropy_grad(CrossEntropyGrad(op): &CrossEntropyGrad, adapter: &Adapter) -> Vec<Kernel> {
    let declared = declare(&[("logits", "f32"), ("labels", "f32"), ("dloss", "f32"), ("dx", "f32")]);
    let template = Template::new(&[&declared, COLUMNS, TEXT]).flags(&[("GRADIENT", true), ("ODDS", op.odds)]);
    vec![columns(template, [op.rows, op.classes, 1], 3, operands(3, 1), adapter)]
}
