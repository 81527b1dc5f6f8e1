//! Layer norm over rows, and its gradient to the rows, each in one pass over memory.

use super::{Operation, check_sizes, unfit};
use crate::Result;
use crate::cpu::{Context, Disjoint, layer_norm, spread_rows};
use crate::gpu::{Adapter, Kernel};

/// `y = (x - mean) / sqrt(variance + epsilon) weight + bias` over every row's own mean and biased variance (Ba et al. 2016).
///
/// Inputs: x `[sets, rows, columns]`, weight and bias `[sets, columns]`. Outputs: y (x's shape), the means and the factors `1 / sqrt(variance +
/// epsilon)`, `[sets, rows]` each.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNorm {
    /// Weight sets: 1, or the members of an ensemble.
    pub sets: usize,
    /// Rows for each weight set.
    pub rows: usize,
    /// Features, at least 1.
    pub columns: usize,
    /// Added to the variance, at least 0.
    pub epsilon: f32,
}

/// The gradient of [`LayerNorm`] to x. Inputs: x, weight, means, factors, dy. Output: dx.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNormGrad(pub LayerNorm);

/// Elements that one task handles.
const BLOCK: usize = 8192;

impl LayerNorm {
    fn check_as(&self, name: &'static str) -> Result<()> {
        check_sizes(name, "[sets, rows, columns]", &[self.sets, self.rows, self.columns])?;
        if !(self.epsilon >= 0.0 && self.epsilon.is_finite()) {
            return Err(unfit(name, "epsilon", self.epsilon, "a finite number from 0"));
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.sets * self.rows * self.columns
    }
}

impl Operation for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn check(&self) -> Result<()> {
        self.check_as(self.name())
    }

    fn input_lens(&self) -> Vec<usize> {
        vec![self.len(), self.sets * self.columns, self.sets * self.columns]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.len(), self.sets * self.rows, self.sets * self.rows]
    }

    fn flops(&self) -> u64 {
        8 * self.len() as u64
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        let [y, means, factors] = outputs else { return };
        let &Self { rows, columns, epsilon, .. } = self;
        let [means, factors] = [means, factors].map(|out| Disjoint::new(out));
        spread_rows(context.threads, y, columns, BLOCK, |first, block| {
            for (i, y) in block.chunks_exact_mut(columns).enumerate() {
                let row = first + i;
                let x = &inputs[0][row * columns..][..columns];
                let [weight, bias] = [1, 2].map(|i| &inputs[i][row / rows * columns..][..columns]);
                let state = layer_norm::moments(x, epsilon);
                layer_norm::normalise(x, weight, bias, state, y);
                for (out, value) in [means, factors].iter().zip(state) {
                    // SAFETY: every task has rows of its own.
                    unsafe { out.slice(row, 1)[0] = value };
                }
            }
        });
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::layer_norm(self, adapter)
    }
}

impl Operation for LayerNormGrad {
    fn name(&self) -> &'static str {
        "layer_norm_grad"
    }

    fn check(&self) -> Result<()> {
        self.0.check_as(self.name())
    }

    fn input_lens(&self) -> Vec<usize> {
        let LayerNorm { sets, rows, columns, .. } = self.0;
        vec![self.0.len(), sets * columns, sets * rows, sets * rows, self.0.len()]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.0.len()]
    }

    fn flops(&self) -> u64 {
        12 * self.0.len() as u64
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        let LayerNorm { rows, columns, .. } = self.0;
        spread_rows(context.threads, outputs[0], columns, BLOCK, |first, block| {
            for (i, dx) in block.chunks_exact_mut(columns).enumerate() {
                let row = first + i;
                let of_row = |i: usize| &inputs[i][row * columns..][..columns];
                let weight = &inputs[1][row / rows * columns..][..columns];
                let state = [inputs[2][row], inputs[3][row]];
                layer_norm::gradient(of_row(0), weight, of_row(4), state, dx);
            }
        });
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::layer_norm_grad(&self.0, adapter)
    }
}
