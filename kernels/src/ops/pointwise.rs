//! Any chain of elementwise expressions with broadcasting, as one launch.

use super::permute::AXES;
use super::{Operation, check_sizes, unfit};
use crate::Result;
use crate::cpu::{Context, interpret};
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
    /// The error function, 2 / sqrt(pi) times the integral of e^-t^2 from 0 to x.
    Erf,
    /// x times the normal distribution function of x (Hendrycks & Gimpel 2016), exact.
    Gelu,
    /// The slope of [`Unary::Gelu`].
    GeluSlope,
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

impl Instr {
    /// Indices of the instructions whose values it takes.
    pub(crate) fn operands(&self) -> impl Iterator<Item = usize> {
        let [a, b, c] = match *self {
            Self::Input(_) | Self::Const(_) | Self::Index(_) => [None; 3],
            Self::Unary(_, a) => [Some(a), None, None],
            Self::Binary(_, a, b) => [Some(a), Some(b), None],
            Self::Select(c, a, b) => [Some(c), Some(a), Some(b)],
        };
        [a, b, c].into_iter().flatten()
    }
}

impl Operation for Pointwise {
    fn name(&self) -> &'static str {
        "pointwise"
    }

    fn check(&self) -> Result<()> {
        let name = self.name();
        check_sizes(name, "shape", &self.shape)?;
        if self.shape.len() > AXES {
            return Err(unfit(name, "shape", format!("{:?}", self.shape), "at most 6 axes"));
        }
        for (i, strides) in self.strides.iter().enumerate() {
            let sizes: Vec<usize> =
                self.shape.iter().zip(strides).map(|(n, s)| (n - 1).saturating_mul(*s) + 1).collect();
            if strides.len() != self.shape.len() {
                return Err(unfit(
                    name,
                    &format!("strides {i}"),
                    format!("{strides:?}"),
                    "one for each axis",
                ));
            }
            for size in sizes {
                check_sizes(name, &format!("strides {i}"), &[size])?;
            }
        }
        for (i, instr) in self.code.iter().enumerate() {
            let known = match *instr {
                Instr::Input(input) => input < self.strides.len(),
                Instr::Index(axis) => axis < self.shape.len(),
                _ => true,
            };
            if !known || instr.operands().any(|operand| operand >= i) {
                let expected = "inputs and axes that exist, operands from earlier";
                return Err(unfit(name, &format!("instruction {i}"), format!("{instr:?}"), expected));
            }
        }
        let computed = |output: &usize| *output < self.code.len();
        if self.outputs.is_empty() || !self.outputs.iter().all(computed) {
            return Err(unfit(name, "outputs", format!("{:?}", self.outputs), "instructions of the code"));
        }
        Ok(())
    }

    fn input_lens(&self) -> Vec<usize> {
        let len = |strides: &Vec<usize>| {
            1 + self.shape.iter().zip(strides).map(|(size, stride)| (size - 1) * stride).sum::<usize>()
        };
        self.strides.iter().map(len).collect()
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.shape.iter().product(); self.outputs.len()]
    }

    fn in_place(&self) -> bool {
        true
    }

    fn flops(&self) -> u64 {
        let work = |instr: &&Instr| instr.operands().next().is_some();
        (self.code.iter().filter(work).count() * self.shape.iter().product::<usize>()) as u64
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        interpret(self, inputs, outputs, context);
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::pointwise(self, adapter)
    }
}
