//! Axes in another order, or walked backwards.

use super::Operation;
use crate::Result;
use crate::cpu::Context;
use crate::gpu::{Adapter, Kernel};

/// `y[i_0, .., i_n] = x` with axis `d` of y being axis `axes[d]` of x, walked backwards where `flip[axes[d]]`. Input: x of `shape`.
/// Output: y.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Permute {
    /// Shape of x, at most 6 axes.
    pub shape: Vec<usize>,
    /// For every axis of y, the axis of x.
    pub axes: Vec<usize>,
    /// For every axis of x, whether it is reversed.
    pub flip: Vec<bool>,
}
