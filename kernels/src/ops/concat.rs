//! Tensors joined along an axis, and a range cut from one.

use super::Operation;
use crate::Result;
use crate::cpu::Context;
use crate::gpu::{Adapter, Kernel};

/// Joins tensors along the middle axis. Inputs: `[outer, parts[i], inner]` each. Output: `[outer, sum of parts, inner]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Concat {
    /// Product of the axes before.
    pub outer: usize,
    /// Length of every part.
    pub parts: Vec<usize>,
    /// Product of the axes after.
    pub inner: usize,
}

/// Cuts `start .. start + count` from the middle axis. Input: `[outer, len, inner]`. Output: `[outer, count, inner]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slice {
    /// Product of the axes before.
    pub outer: usize,
    /// The axis's length.
    pub len: usize,
    /// Product of the axes after.
    pub inner: usize,
    /// First kept.
    pub start: usize,
    /// How many are kept.
    pub count: usize,
}
