//! Rows picked by index, and the deterministic sum that is its gradient.

use super::Operation;
use crate::Result;
use crate::cpu::Context;
use crate::gpu::{Adapter, Kernel};

/// `y[o, j, :] = x[o, index[o, j], :]`. Inputs: x `[outer | 1, rows, inner]`, index `[outer, count]` (as f32, exact below 2^24; an
/// index outside the rows gives NaN). Output: `[outer, count, inner]`.
///
/// Minibatches: one table shared by all members, an index list each. Embeddings likewise. A class's logit: inner 1, count 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gather {
    /// Tables, or users of the one table.
    pub outer: usize,
    /// Rows of a table.
    pub rows: usize,
    /// Length of a row.
    pub inner: usize,
    /// Rows picked.
    pub count: usize,
    /// One table for all.
    pub shared: bool,
}

/// The gradient of [`Gather`] to tables that are not shared: `dx[o, r, :] = sum of dy[o, j, :] where index[o, j] == r`, j
/// ascending. Inputs: dy `[outer, count, inner]`, index `[outer, count]`. Output: dx `[outer, rows, inner]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScatterAdd(pub Gather);
