//! Which magnitude stands at a given place of a row, the largest first.

use super::{Operation, check_sizes, unfit};
use crate::Result;
use crate::cpu::{Context, spread_rows};
use crate::gpu::{Adapter, Kernel};

/// The `place`-th largest absolute value of every row, the first at place 1: exactly one of them, so that comparing finds it. Input:
/// `[rows, columns]`. Output: `[rows]`. NaN counts as larger than infinity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rank {
    /// Number of rows.
    pub rows: usize,
    /// Elements a row.
    pub columns: usize,
    /// From 1 to the number of columns.
    pub place: usize,
}

impl Operation for Rank {
    fn name(&self) -> &'static str {
        "rank"
    }

    fn check(&self) -> Result<()> {
        check_sizes(self.name(), "[rows, columns]", &[self.rows, self.columns])?;
        if !(1..=self.columns).contains(&self.place) {
            return Err(unfit(self.name(), "place", self.place, format!("1 to {}", self.columns)));
        }
        Ok(())
    }

    fn input_lens(&self) -> Vec<usize> {
        vec![self.rows * self.columns]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.rows]
    }

    fn flops(&self) -> u64 {
        4 * (self.rows * self.columns) as u64
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        // Of numbers without a sign the bits stand in the order of the values.
        let size = |x: &f32| x.to_bits() & 0x7FFF_FFFF;
        spread_rows(context.threads, outputs[0], 1, 1, |first, found| {
            let mut sizes = Vec::with_capacity(self.columns);
            for (i, found) in found.iter_mut().enumerate() {
                let row = &inputs[0][(first + i) * self.columns..][..self.columns];
                *found = if self.place == 1 {
                    f32::from_bits(row.iter().map(size).max().unwrap_or(0))
                } else {
                    sizes.clear();
                    sizes.extend(row.iter().map(size));
                    f32::from_bits(*sizes.select_nth_unstable(self.columns - self.place).1)
                };
            }
        });
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::rank(self, adapter)
    }
}
