//! The Euclidean projection onto the intersection of a norm ball and a box, row by row.

use super::Operation;
use crate::Result;
use crate::cpu::Context;
use crate::gpu::{Adapter, Kernel};

/// The ball's norm. (The linf ball meets the box in a box: a clamp.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ball {
    /// Sum of absolute values.
    L1,
    /// Euclidean length.
    L2,
}

/// The point nearest to `x` (in scaled units) with `low <= y <= high` and `norm((y - x0) / scale) <= radius`.
///
/// With `d = (x - x0) / scale` the solution is `y = clamp(x0 + scale * d / (1 + t), low, high)` for l2 and `y = clamp(x0 + scale *
/// sign(d) max(|d| - t, 0), low, high)` for l1, with the smallest `t >= 0` that meets the radius: the norm falls as t grows, so t is
/// found by bisection (Duchi et al. 2008 give the l1 case without the box; Croce & Hein 2021, "Mind the box", the l1 case with it).
/// `x0` lies in the box; radius 0 returns x0. The norm of the result never exceeds the radius in f32 arithmetic; where the clamped
/// candidate already lies in the ball it is returned unchanged.
///
/// Inputs: x, x0, low, high `[rows, columns]` each, scale `[columns]` (positive), radius `[rows]`. Output: y `[rows, columns]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Project {
    /// Which norm.
    pub ball: Ball,
    /// Number of rows (lanes).
    pub rows: usize,
    /// Elements a row.
    pub columns: usize,
}
