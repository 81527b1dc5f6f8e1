//! Rows picked by index, and the deterministic sum that is its gradient.

use super::{Operation, check_sizes, unfit};
use crate::Result;
use crate::cpu::{Context, spread_rows};
use crate::gpu::{Adapter, Kernel};

/// `y[o, j, :] = x[o, index[o, j], :]`. Inputs: x `[outer | 1, rows, inner]`, index `[outer, count]` (as f32, exact below 2^24; an
/// index outside the rows gives NaN). Output: `[outer, count, inner]`.
///
/// Minibatches: one table shared by all members, an index list each. Embeddings likewise. A class's logit: inner 1, count 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Gather {
    /// Tables, or users of the one table.
    pub outer: usize,
    /// Rows of a table.
    pub rows: usize,
    /// Length of a row.
    pub inner: usize,
    /// Rows picked.
    pub count: usize,
    /// One table for all.
    pub shared: bool,
}

/// The gradient of [`Gather`] to tables that are not shared: `dx[o, r, :] = sum of dy[o, j, :] where index[o, j] == r`, j
/// ascending. Inputs: dy `[outer, count, inner]`, index `[outer, count]`. Output: dx `[outer, rows, inner]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScatterAdd(pub Gather);

/// Elements that one task handles.
const BLOCK: usize = 16_384;

impl Operation for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn check(&self) -> Result<()> {
        check_sizes(self.name(), "[outer, rows, inner, 1]", &[self.outer, self.rows, self.inner])?;
        check_sizes(self.name(), "[outer, count, inner]", &[self.outer, self.count, self.inner])?;
        if self.rows > 1 << 24 {
            return Err(unfit(self.name(), "rows", self.rows, "at most 2^24, what f32 counts exactly"));
        }
        Ok(())
    }

    fn input_lens(&self) -> Vec<usize> {
        let tables = if self.shared { 1 } else { self.outer };
        vec![tables * self.rows * self.inner, self.outer * self.count]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.outer * self.count * self.inner]
    }

    fn flops(&self) -> u64 {
        0
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        let (x, index) = (inputs[0], inputs[1]);
        spread_rows(context.threads, outputs[0], self.inner, BLOCK, |first, rows| {
            for (i, y) in rows.chunks_exact_mut(self.inner).enumerate() {
                let place = first + i;
                let table = if self.shared { 0 } else { place / self.count * self.rows };
                match row(index[place], self.rows) {
                    Some(row) => y.copy_from_slice(&x[(table + row) * self.inner..][..self.inner]),
                    None => y.fill(f32::NAN),
                }
            }
        });
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::gather(self, adapter)
    }
}

impl Operation for ScatterAdd {
    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn check(&self) -> Result<()> {
        self.0.check()?;
        if self.0.shared {
            return Err(unfit(self.name(), "table", "a shared one", "one for each user"));
        }
        Ok(())
    }

    fn input_lens(&self) -> Vec<usize> {
        vec![self.0.outer * self.0.count * self.0.inner, self.0.outer * self.0.count]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.0.outer * self.0.rows * self.0.inner]
    }

    fn flops(&self) -> u64 {
        (self.0.outer * self.0.count * self.0.inner) as u64
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        let (dy, index) = (inputs[0], inputs[1]);
        let Gather { rows, inner, count, .. } = self.0;
        spread_rows(context.threads, outputs[0], rows * inner, BLOCK, |first, tables| {
            tables.fill(0.0);
            for (i, table) in tables.chunks_exact_mut(rows * inner).enumerate() {
                for j in (first + i) * count..(first + i + 1) * count {
                    // An index outside the table picked NaN and so passes nothing back.
                    let Some(row) = row(index[j], rows) else { continue };
                    let target = table[row * inner..][..inner].iter_mut();
                    target.zip(&dy[j * inner..]).for_each(|(dx, dy)| *dx += dy);
                }
            }
        });
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::scatter_add(self, adapter)
    }
}

/// The row that an index names.
fn row(index: f32, rows: usize) -> Option<usize> {
    (index >= 0.0 && index < rows as f32).then_some(index as usize)
}
