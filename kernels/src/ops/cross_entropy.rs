//! Cross-entropy of every row against its own label, never averaged: each lane has its loss.

use super::{Operation, check_sizes};
use crate::Result;
use crate::cpu::{Context, math, math::vectorised, spread_rows, tree};
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

/// Elements that one task handles.
const BLOCK: usize = 4096;

impl Operation for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn check(&self) -> Result<()> {
        check_sizes(self.name(), "[rows, classes]", &[self.rows, self.classes])
    }

    fn input_lens(&self) -> Vec<usize> {
        vec![self.rows * self.classes, self.rows]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.rows]
    }

    fn flops(&self) -> u64 {
        4 * (self.rows * self.classes) as u64
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        let (logits, labels) = (inputs[0], inputs[1]);
        spread_rows(context.threads, outputs[0], 1, (BLOCK / self.classes).max(1), |first, losses| {
            vectorised(
                #[inline(always)]
                || {
                    for (i, loss) in losses.iter_mut().enumerate() {
                        let row = &logits[(first + i) * self.classes..][..self.classes];
                        let chosen = class(labels[first + i], self.classes).map(|label| row[label]);
                        *loss = chosen.map_or(f32::NAN, |chosen| {
                            let (max, sum) = max_and_sum(row);
                            math::log(sum) + (max - chosen)
                        });
                    }
                },
            );
        });
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::cross_entropy(self, adapter)
    }
}

impl Operation for CrossEntropyGrad {
    fn name(&self) -> &'static str {
        "cross_entropy_grad"
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }

    fn input_lens(&self) -> Vec<usize> {
        vec![self.0.rows * self.0.classes, self.0.rows, self.0.rows]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.0.rows * self.0.classes]
    }

    fn flops(&self) -> u64 {
        5 * (self.0.rows * self.0.classes) as u64
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        let (logits, labels, dloss) = (inputs[0], inputs[1], inputs[2]);
        let classes = self.0.classes;
        spread_rows(context.threads, outputs[0], classes, BLOCK, |first, rows| {
            vectorised(
                #[inline(always)]
                || {
                    for (i, dx) in rows.chunks_exact_mut(classes).enumerate() {
                        let row = &logits[(first + i) * classes..][..classes];
                        let scale = dloss[first + i];
                        let Some(label) = class(labels[first + i], classes) else {
                            dx.fill(f32::NAN);
                            continue;
                        };
                        let (max, sum) = max_and_sum(row);
                        for (dx, &x) in dx.iter_mut().zip(row) {
                            *dx = math::exp(x - max) / sum * scale;
                        }
                        dx[label] = (math::exp(row[label] - max) / sum - 1.0) * scale;
                    }
                },
            );
        });
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::cross_entropy_grad(self, adapter)
    }
}

/// The class that a label names.
fn class(label: f32, classes: usize) -> Option<usize> {
    (label >= 0.0 && label < classes as f32).then_some(label as usize)
}

/// The largest element, and the sum of `exp(x - max)`.
#[inline(always)]
pub(super) fn max_and_sum(row: &[f32]) -> (f32, f32) {
    let max = row.iter().fold(f32::NEG_INFINITY, |max, &x| if x > max { x } else { max });
    (
        max,
        tree::sum_inline(
            row,
            #[inline(always)]
            |x| math::exp(x - max),
        ),
    )
}
