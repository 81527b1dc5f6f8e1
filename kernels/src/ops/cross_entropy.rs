//! Cross-entropy of every row against its own label, or the log odds against it; never averaged: each lane has its loss.

use super::{Operation, check_sizes};
use crate::Result;
use crate::cpu::{Context, math, math::vectorised, spread_rows, tree};
use crate::gpu::{Adapter, Kernel};

/// `log sum exp(x) - x[label]` of every row, by the max-shifted form; with `odds` the sum is over the other classes alone, which gives
/// `log((1 - p) / p)` of the label's probability p: it rises with cross-entropy, and its gradient is that without the factor 1 - p, which
/// vanishes where p rounds to 1. Inputs: logits `[rows, classes]`, labels `[rows]` (a class index as f32; one outside the classes gives
/// NaN). Output: `[rows]`. Odds of a single class are -infinity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CrossEntropy {
    /// Number of rows.
    pub rows: usize,
    /// Number of classes.
    pub classes: usize,
    /// Whether the label is left out of the sum.
    pub odds: bool,
}

/// `(softmax(x) - onehot(label)) * dloss`, with `odds` by the softmax of the other classes alone. Inputs: logits `[rows, classes]`, labels `[rows]`, dloss `[rows]`. Output: `[rows,
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
                            let strip = Strip::new(self, logits, labels, first, losses.len());
                            let mut logs = strip.sum;
                            logs.iter_mut().for_each(|log| *log = math::log(*log));
                            for (r, loss) in losses.iter_mut().enumerate() {
                                let chosen = class(labels[first + r], self.classes)
                                    .map(|label| logits[(first + r) * self.classes + label]);
                                *loss = chosen.map_or(f32::NAN, |chosen| logs[r] + (strip.max[r] - chosen));
                            }
                        }
                        return;
                    }
                    for (i, loss) in losses.iter_mut().enumerate() {
                        let row = &logits[(first + i) * self.classes..][..self.classes];
                        let label = class(labels[first + i], self.classes);
                        *loss = label.map_or(f32::NAN, |label| {
                            let (max, sum) = self.max_and_sum(row, label);
                            math::log(sum) + (max - row[label])
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
                            let strip = Strip::new(&self.0, logits, labels, first, dx.len() / classes);
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
                        let (max, sum) = self.0.max_and_sum(row, label);
                        for (dx, &x) in dx.iter_mut().zip(row) {
                            *dx = math::exp(x - max) / sum * scale;
                        }
                        let own = if self.0.odds { 0.0 } else { math::exp(row[label] - max) / sum };
                        dx[label] = (own - 1.0) * scale;
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
    /// Rows `first .. first + rows`; sums run in the order of [`max_and_sum`]. A label that is left out counts as -infinity.
    #[inline(always)]
    fn new(op: &CrossEntropy, logits: &[f32], labels: &[f32], first: usize, rows: usize) -> Self {
        let classes = op.classes;
        let zeros = [[0.0; STRIP]; FEW];
        let mut strip =
            Self { classes, x: zeros, max: [f32::NEG_INFINITY; STRIP], powers: zeros, sum: [0.0; STRIP] };
        for (r, row) in logits[first * classes..][..rows * classes].chunks_exact(classes).enumerate() {
            row.iter().enumerate().for_each(|(c, &x)| strip.x[c][r] = x);
            if let Some(label) = class(labels[first + r], classes).filter(|_| op.odds) {
                strip.x[label][r] = f32::NEG_INFINITY;
            }
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

impl CrossEntropy {
    /// [`max_and_sum`] of what the sum is over.
    #[inline(always)]
    fn max_and_sum(&self, row: &[f32], label: usize) -> (f32, f32) {
        if !self.odds {
            return max_and_sum(row);
        }
        let (before, after) = (&row[..label], &row[label + 1..]);
        let larger = |max: f32, x: &f32| if *x > max { *x } else { max };
        let max = after.iter().fold(before.iter().fold(f32::NEG_INFINITY, larger), larger);
        let [before, after] = [before, after].map(|part| {
            tree::sum_inline(
                part,
                #[inline(always)]
                |x| math::exp(x - max),
            )
        });
        (max, before + after)
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
