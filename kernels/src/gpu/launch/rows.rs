//! Ops along the middle axis of `[outer, len, inner]`: reductions, moments, softmax, layer norm.

use super::{Adapter, Binding, Kernel, Template, declare, grid, operands, unroll};
use crate::ops::{LayerNorm, Moments, Rank, Reduce, Reduction, Softmax};

pub(super) const ELEMENTARY: &str = include_str!("../../../../shaders/elementary.wgsl");

/// The flags of elementary.wgsl, with those named set.
pub(super) fn elementary(used: &[&str]) -> Vec<(&'static str, bool)> {
    let all = ["LOGARITHM", "CIRCLE", "TURN", "ANGLE", "TANH", "SIGMOID", "ERF", "GELU"];
    all.map(|name| (name, used.contains(&name))).to_vec()
}

/// Columns a workgroup takes and invocations a column.
///
/// How many slices there are depends on the op, `len` and `inner` only, so that no column's order depends on its company.
pub(super) fn slices(passes: usize, len: usize, inner: usize, adapter: &Adapter) -> (usize, usize) {
    let size = (adapter.max_invocations as usize).min(256);
    match (adapter.software, inner) {
        (true, _) => {
            let slices = unroll(passes * len, adapter).next_power_of_two().min(size);
            ((32 / slices).max(1), slices)
        }
        (_, 1) if len < 32 => (64, 1),
        (_, 1) => {
            let slices = (len / 4).next_power_of_two().clamp(32, size);
            (size / slices, slices)
        }
        _ if len < 64 => (64, 1),
        _ if len < 1024 => (size / 8, 8),
        _ => (16, size / 16),
    }
}

/// A kernel that walks every column `passes` times, in workgroups that suit the adapter.
pub(super) fn columns(
    template: Template,
    [outer, len, inner]: [usize; 3],
    passes: usize,
    bindings: Vec<Binding>,
    adapter: &Adapter,
) -> Kernel {
    let (columns, slices) = slices(passes, len, inner, adapter);
    let count = outer * inner;
    let workgroups = grid(count.div_ceil(columns), adapter);
    let meet = if inner == 1 { slices.min(adapter.subgroup as usize) } else { 1 };
    let source = template
        .sizes(&[
            ("SIZE", columns * slices),
            ("COLUMNS", columns),
            ("SLICES", slices),
            ("MEET", meet),
            ("EXCHANGES", meet.ilog2() as usize),
            ("GRID_X", workgroups[0] as usize),
            ("COUNT", count),
            ("LEN", len),
            ("INNER", inner),
        ])
        .flags(&[("TREE", slices > 1), ("SHARED", slices > meet), ("ADJACENT", inner == 1)])
        .render();
    Kernel { source, entry: "main", bindings, workgroups }
}

pub(super) const COLUMNS: &str = include_str!("../../../../shaders/columns.wgsl");

/// The launch of [`Reduce`].
pub(crate) fn reduce(op: &Reduce, adapter: &Adapter) -> Vec<Kernel> {
    let declared = declare(&[("x", "f32"), ("y", "f32")]);
    let text = include_str!("../../../../shaders/reduce.wgsl");
    let template = Template::new(&[&declared, COLUMNS, text])
        .flags(&[("SUM", op.kind == Reduction::Sum)])
        .word("SIGN", if op.kind == Reduction::Min { "-" } else { "" });
    vec![columns(template, [op.outer, op.len, op.inner], 1, operands(1, 1), adapter)]
}

/// The launch of [`Rank`].
pub(crate) fn rank(op: &Rank, adapter: &Adapter) -> Vec<Kernel> {
    let declared = declare(&[("x", "f32"), ("y", "f32")]);
    let text = include_str!("../../../../shaders/rank.wgsl");
    let template = Template::new(&[&declared, COLUMNS, text]).sizes(&[("PLACE", op.place)]);
    vec![columns(template, [op.rows, op.columns, 1], 31, operands(1, 1), adapter)]
}

/// The launch of [`Moments`].
pub(crate) fn moments(op: &Moments, adapter: &Adapter) -> Vec<Kernel> {
    let declared = declare(&[("x", "f32"), ("mean", "f32"), ("variance", "f32")]);
    let text = include_str!("../../../../shaders/moments.wgsl");
    let template = Template::new(&[&declared, COLUMNS, text]);
    vec![columns(template, [op.outer, op.len, op.inner], 2, operands(1, 2), adapter)]
}

/// The launch of [`Softmax`].
pub(crate) fn softmax(op: &Softmax, adapter: &Adapter) -> Vec<Kernel> {
    let declared = declare(&[("x", "f32"), ("y", "f32")]);
    let text = include_str!("../../../../shaders/softmax.wgsl");
    let template = Template::new(&[&declared, COLUMNS, ELEMENTARY, text])
        .flags(&elementary(&["LOGARITHM"]))
        .flags(&[("LOG", op.log)]);
    vec![columns(template, [op.rows, op.columns, 1], 3, operands(1, 1), adapter)]
}

/// The launch of [`LayerNorm`].
pub(crate) fn layer_norm(op: &LayerNorm, adapter: &Adapter) -> Vec<Kernel> {
    let names = ["x", "weight", "bias", "y", "means", "factors"].map(|name| (name, "f32"));
    let text = include_str!("../../../../shaders/layer_norm.wgsl");
    let template = Template::new(&[&declare(&names), COLUMNS, text])
        .sizes(&[("ROWS", op.rows)])
        .word("EPSILON", format!("{:#010x}", op.epsilon.to_bits()));
    vec![columns(template, [op.sets * op.rows, op.columns, 1], 3, operands(3, 3), adapter)]
}

/// The launch of [`crate::ops::LayerNormGrad`].
pub(crate) fn layer_norm_grad(op: &LayerNorm, adapter: &Adapter) -> Vec<Kernel> {
    let names = ["x", "weight", "means", "factors", "dy", "dx"].map(|name| (name, "f32"));
    let text = include_str!("../../../../shaders/layer_norm_grad.wgsl");
    let template = Template::new(&[&declare(&names), COLUMNS, text]).sizes(&[("ROWS", op.rows)]);
    vec![columns(template, [op.sets * op.rows, op.columns, 1], 2, operands(5, 1), adapter)]
}
