//! Sums, maxima and minima along an axis, in an order that depends only on the axis's length.

use super::Operation;
use crate::Result;
use crate::cpu::Context;
use crate::gpu::{Adapter, Kernel};

/// How elements combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// Sum.
    Sum,
    /// Largest.
    Max,
    /// Smallest.
    Min,
}

/// Reduces the middle axis. Input: `[outer, len, inner]`. Output: `[outer, inner]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduce {
    /// Sum, max or min.
    pub kind: Reduction,
    /// Product of the axes before.
    pub outer: usize,
    /// The reduced axis, at least 1.
    pub len: usize,
    /// Product of the axes after.
    pub inner: usize,
}
