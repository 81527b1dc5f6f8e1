//! Softmax and its logarithm over rows.

use super::Operation;
use crate::Result;
use crate::cpu::Context;
use crate::gpu::{Adapter, Kernel};

/// `exp(x - max) / sum exp(x - max)` of every row, or its logarithm. Input and output: `[rows, columns]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Softmax {
    /// Number of rows.
    pub rows: usize,
    /// Classes, at least 1.
    pub columns: usize,
    /// The logarithm instead.
    pub log: bool,
}
