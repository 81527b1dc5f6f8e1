//! The WGSL launches of every op: which template, which sizes, how many workgroups.

mod attention;
mod concat;
mod conv;
mod cross_entropy;
mod gather;
mod gemm;
mod matmul;
mod permute;
mod pointwise;
mod pool;
mod project;
mod random;
mod rows;
mod variants;

pub(crate) use attention::{attention, attention_grad};
pub(crate) use concat::{concat, slice};
pub(crate) use conv::{conv, conv_input_grad, conv_weight_grad};
pub(crate) use cross_entropy::{cross_entropy, cross_entropy_grad};
pub(crate) use gather::{gather, scatter_add};
pub(crate) use matmul::matmul;
pub(crate) use permute::permute;
pub(crate) use pointwise::pointwise;
pub(crate) use pool::{pool, pool_grad};
pub(crate) use project::project;
pub(crate) use random::random;
pub(crate) use rows::{layer_norm, layer_norm_grad, moments, rank, reduce, softmax};
pub use variants::{Product, Variant};

use super::template::Template;
use super::{Adapter, Binding, Kernel};

/// The texts that products are made of, to tell whether timings still hold.
pub(super) const SOURCES: [&str; 10] = [
    include_str!("variants.rs"),
    include_str!("gemm.rs"),
    include_str!("../../../../shaders/gemm_tiled.wgsl"),
    include_str!("../../../../shaders/gemm_cooperative.wgsl"),
    include_str!("../../../../shaders/gemm_round.wgsl"),
    include_str!("../../../../shaders/gemm_matrix.wgsl"),
    include_str!("../../../../shaders/gemm_store.wgsl"),
    include_str!("../../../../shaders/gemm_conv.wgsl"),
    include_str!("../../../../shaders/gemm_conv_input_grad.wgsl"),
    include_str!("../../../../shaders/gemm_conv_weight_grad.wgsl"),
];

/// Dispatches `count` workgroups, folded into y where x is full; shaders count `group.y * GRID_X + group.x`.
fn grid(count: usize, adapter: &Adapter) -> [u32; 3] {
    let most = adapter.max_workgroups as usize;
    let x = count.clamp(1, most);
    [x as u32, count.div_ceil(x) as u32, 1]
}

/// A kernel of `template`, one invocation an item, with `SIZE`, `GRID_X` and `COUNT` set.
fn per_item(template: Template, count: usize, bindings: Vec<Binding>, adapter: &Adapter) -> Kernel {
    let size = if adapter.software { 64 } else { 256 };
    let workgroups = grid(count.div_ceil(size), adapter);
    let sizes = [("SIZE", size), ("GRID_X", workgroups[0] as usize), ("COUNT", count)];
    Kernel { source: template.sizes(&sizes).render(), entry: "main", bindings, workgroups }
}

/// How many steps of a loop of `steps` must be written out so that it ends.
///
/// Mesa's software driver stops an invocation's loops, without a word, after 65,535 iterations in all.
fn unroll(steps: usize, adapter: &Adapter) -> usize {
    const ITERATIONS: usize = 1 << 14;
    if adapter.software { steps.div_ceil(ITERATIONS).max(1) } else { 1 }
}

/// The bindings of an op that reads `inputs` and writes `outputs`.
fn operands(inputs: usize, outputs: usize) -> Vec<Binding> {
    (0..inputs).map(Binding::Input).chain((0..outputs).map(Binding::Output)).collect()
}

/// The declarations of bindings, named and typed in order.
fn declare(bindings: &[(&str, &str)]) -> String {
    let line = |(i, (name, kind)): (usize, &(&str, &str))| {
        format!("@group(0) @binding({i}) var<storage, read_write> {name}: array<{kind}>;\n")
    };
    bindings.iter().enumerate().map(line).collect()
}

/// The element type of a buffer that is read in quads or singly.
fn element(vector: bool) -> &'static str {
    if vector { "vec4<f32>" } else { "f32" }
}
