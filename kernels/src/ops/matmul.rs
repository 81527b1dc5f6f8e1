//! Matrix products, batched, each factor in any of the two memory orders, with a fused epilogue.

use super::{Epilogue, Operation};
use crate::Result;
use crate::cpu::Context;
use crate::gpu::{Adapter, Kernel};

/// How a factor lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Stored as the transpose: A as `[k, m]`, B as `[n, k]`.
    pub transposed: bool,
    /// One matrix for every product of the batch, instead of one for each.
    pub shared: bool,
}

/// `C[i] = act(A[i] B[i] + bias[i] + residual[i])` for `i < batch`.
///
/// Inputs: A `[batch | 1, m, k]`, B `[batch | 1, k, n]`, then, if the epilogue has them, bias `[batch | 1, n]` (shared
/// exactly when B is) and residual `[batch, m, n]`. Output: C `[batch, m, n]`. The batch axis is the ensemble axis where
/// members have weights of their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Matmul {
    /// Number of products.
    pub batch: usize,
    /// Rows of C.
    pub m: usize,
    /// Columns of C.
    pub n: usize,
    /// The summed axis.
    pub k: usize,
    /// A's order.
    pub a: Layout,
    /// B's order.
    pub b: Layout,
    /// Fused tail.
    pub epilogue: Epilogue,
}
