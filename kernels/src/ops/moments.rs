//! Mean and variance along an axis, in two passes: what batch, layer and group normalisation have in common.

use super::Operation;
use crate::Result;
use crate::cpu::Context;
use crate::gpu::{Adapter, Kernel};

/// Mean and biased variance of the middle axis. Input: `[outer, len, inner]`. Outputs: mean `[outer, inner]`, variance
/// `[outer, inner]`.
///
/// Layer norm: `outer` rows of `len` features, `inner` 1. Batch norm over a member's minibatch: `outer` members, `len`
/// batch x height x width, `inner` channels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Moments {
    /// Product of the axes before.
    pub outer: usize,
    /// The axis over which mean and variance are taken, at least 1.
    pub len: usize,
    /// Product of the axes after.
    pub inner: usize,
}
