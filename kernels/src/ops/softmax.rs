//! Softmax and its logarithm over rows.

use super::cross_entropy::max_and_sum;
use super::{Operation, check_sizes};
use crate::Result;
use crate::cpu::{Context, math, math::vectorised, spread_rows};
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

/// Elements that one task handles.
const BLOCK: usize = 4096;

impl Operation for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn check(&self) -> Result<()> {
        check_sizes(self.name(), "[rows, columns]", &[self.rows, self.columns])
    }

    fn input_lens(&self) -> Vec<usize> {
        vec![self.rows * self.columns]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.rows * self.columns]
    }

    fn flops(&self) -> u64 {
        5 * (self.rows * self.columns) as u64
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        let (x, columns) = (inputs[0], self.columns);
        spread_rows(context.threads, outputs[0], columns, BLOCK, |first, rows| {
            vectorised(
                #[inline(always)]
                || {
                    for (i, y) in rows.chunks_exact_mut(columns).enumerate() {
                        let x = &x[(first + i) * columns..][..columns];
                        let (max, sum) = max_and_sum(x);
                        if self.log {
                            let shift = math::log(sum);
                            for (y, &x) in y.iter_mut().zip(x) {
                                *y = (x - max) - shift;
                            }
                        } else {
                            for (y, &x) in y.iter_mut().zip(x) {
                                *y = math::exp(x - max) / sum;
                            }
                        }
                    }
                },
            );
        });
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::softmax(self, adapter)
    }
}
