//! Projection onto a ball and a box.

use super::rows::{COLUMNS, columns, slices};
use super::{Adapter, Kernel, Template, declare, operands};
use crate::ops::{Ball, Project};

/// Measures of the norm, the search for the largest element and the store.
const PASSES: usize = 44;

/// The launch of [`Project`].
pub(crate) fn project(op: &Project, adapter: &Adapter) -> Vec<Kernel> {
    let names = ["x", "x0", "low", "high", "scale", "radius", "y"];
    let declared = declare(&names.map(|name| (name, "f32")));
    let text = include_str!("../../../../shaders/project.wgsl");
    let template = Template::new(&[&declared, COLUMNS, text])
        .flags(&[("L2", op.ball == Ball::L2)])
        .word("MARGIN", format!("{:?}f", 1.0 - slack(op.columns, adapter)));
    vec![columns(template, [op.rows, op.columns, 1], PASSES, operands(6, 1), adapter)]
}

/// How far, as a share of the radius, the norm aims below it: half the rounding that its sum can have.
fn slack(len: usize, adapter: &Adapter) -> f32 {
    const BLOCK: usize = 32;
    let (_, slices) = slices(PASSES, len, 1, adapter);
    let additions = BLOCK + len.div_ceil(BLOCK * slices) + slices.ilog2() as usize;
    (additions as f32 * f32::EPSILON / 4.0).max(1e-6)
}
