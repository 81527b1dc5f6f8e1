//! Any chain of elementwise expressions with broadcasting, as one launch.

use super::Operation;
use crate::Result;
use crate::cpu::Context;
use crate::gpu::{Adapter, Kernel};

/// Functions of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    /// -x
    Neg,
    /// |x|
    Abs,
    /// -1, 0 or 1
    Sign,
    /// e^x
    Exp,
    /// ln x
    Log,
    /// Square root.
    Sqrt,
    /// tanh x, saturating at large arguments
    Tanh,
    /// 1 / (1 + e^-x), saturating at large arguments
    Sigmoid,
    /// Largest whole number not above x.
    Floor,
    /// sin x
    Sin,
    /// cos x
    Cos,
}

/// Functions of two values; comparisons yield 1 or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a * b
    Mul,
    /// a / b
    Div,
    /// The larger.
    Max,
    /// The smaller.
    Min,
    /// a < b
    Less,
    /// a <= b
    LessEqual,
    /// a == b
    Equal,
}

/// One instruction; operands are indices of earlier instructions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Instr {
    /// The element of input `i` at this position.
    Input(usize),
    /// A constant.
    Const(f32),
    /// The coordinate along an axis of the output, as f32.
    Index(usize),
    /// A function of one value.
    Unary(Unary, usize),
    /// A function of two values.
    Binary(Binary, usize, usize),
    /// `Select(c, a, b)`: a where c is not 0, else b (neither is NaN-poisoned by the other).
    Select(usize, usize, usize),
}

/// Evaluates `code` at every position of `shape`.
///
/// Inputs: one for each entry of `strides`, element `sum coordinate * stride` (stride 0 broadcasts). Outputs: the values of the
/// instructions named in `outputs`, contiguous in `shape`. A span may be both input and output if its strides are the contiguous ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Pointwise {
    /// The iteration space, at most 6 axes; empty is one element.
    pub shape: Vec<usize>,
    /// For every input, its stride along each axis, in elements.
    pub strides: Vec<Vec<usize>>,
    /// At least one instruction.
    pub code: Vec<Instr>,
    /// Instructions whose values are stored.
    pub outputs: Vec<usize>,
}
