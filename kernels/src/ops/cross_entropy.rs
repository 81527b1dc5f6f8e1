//! Cross-entropy of every row against its own label, never averaged: each lane has its loss.

use super::Operation;
use crate::Result;
use crate::cpu::Context;
use crate::gpu::{Adapter, Kernel};

/// `log sum exp(x) - x[label]` of every row, by the max-shifted form. Inputs: logits `[rows, classes]`, labels `[rows]` (a
/// class index as f32; one outside the classes gives NaN). Output: `[rows]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CrossEntropy {
    /// Number of rows.
    pub rows: usize,
    /// Number of classes.
    pub classes: usize,
}

/// `(softmax(x) - onehot(label)) * dloss`. Inputs: logits `[rows, classes]`, labels `[rows]`, dloss `[rows]`. Output: `[rows,
/// classes]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CrossEntropyGrad(pub CrossEntropy);
