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
                    if self.classes <= FEW {
                        for (i, losses) in losses.chunks_mut(STRIP).enumerate() {
                            let first = first + i * STRIP;
                            let strip = Strip::new(logits, self.classes, first, losses.len());
                            let mut logs = strip.sum;
                            logs.iter_mut().for_each(|log| *log = math::log(*log));
                            for (r, loss) in losses.iter_mut().enumerate() {
                                let chosen =
                                    class(labels[first + r], self.classes).map(|label| strip.x[label][r]);
                                *loss = chosen.map_or(f32::NAN, |chosen| logs[r] + (strip.max[r] - chosen));
                            }
                        }
                        return;
                    }
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
                    if classes <= FEW {
                        for (i, dx) in rows.chunks_mut(STRIP * classes).enumerate() {
                            let first = first + i * STRIP;
                            let strip = Strip::new(logits, classes, first, dx.len() / classes);
                            strip.gradient(&labels[first..], &dloss[first..], dx);
                        }
                        return;
                    }
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

/// Most classes for which rows lie along vectors.
const FEW: usize = 8;
/// Rows that are worked on at once.
const STRIP: usize = 16;

/// Some rows of at most [`FEW`] logits, class by class.
struct Strip {
    classes: usize,
    x: [[f32; STRIP]; FEW],
    max: [f32; STRIP],
    /// `exp(x - max)`, 0 beyond the classes.
    powers: [[f32; STRIP]; FEW],
    sum: [f32; STRIP],
}

impl Strip {
    /// Rows `first .. first + rows`; sums run in the order of [`max_and_sum`].
    #[inline(always)]
    fn new(logits: &[f32], classes: usize, first: usize, rows: usize) -> Self {
        let zeros = [[0.0; STRIP]; FEW];
        let mut strip =
            Self { classes, x: zeros, max: [f32::NEG_INFINITY; STRIP], powers: zeros, sum: [0.0; STRIP] };
        for (r, row) in logits[first * classes..][..rows * classes].chunks_exact(classes).enumerate() {
            row.iter().enumerate().for_each(|(c, &x)| strip.x[c][r] = x);
        }
        for x in &strip.x[..classes] {
            for (max, &x) in strip.max.iter_mut().zip(x) {
                *max = if x > *max { x } else { *max };
            }
        }
        for (powers, x) in strip.powers.iter_mut().zip(&strip.x[..classes]) {
            for r in 0..STRIP {
                powers[r] = math::exp(x[r] - strip.max[r]);
            }
        }
        let mut lanes = strip.powers;
        for width in [4, 2, 1] {
            let (low, high) = lanes.split_at_mut(width);
            for (low, high) in low.iter_mut().zip(high) {
                low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
            }
        }
        strip.sum = lanes[0];
        strip
    }

    #[inline(always)]
    fn gradient(&self, labels: &[f32], dloss: &[f32], dx: &mut [f32]) {
        let mut shares = [[0.0; STRIP]; FEW];
        for (shares, powers) in shares.iter_mut().zip(&self.powers[..self.classes]) {
            for r in 0..STRIP {
                shares[r] = powers[r] / self.sum[r];
            }
        }
        for (r, dx) in dx.chunks_exact_mut(self.classes).enumerate() {
            let Some(label) = class(labels[r], self.classes) else {
                dx.fill(f32::NAN);
                continue;
            };
            for (c, dx) in dx.iter_mut().enumerate() {
                let wanted = if c == label { 1.0 } else { 0.0 };
                *dx = (shares[c][r] - wanted) * dloss[r];
            }
        }
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
