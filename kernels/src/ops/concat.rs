//! Tensors joined along an axis, and a range cut from one.

use super::{Operation, check_sizes, unfit};
use crate::Result;
use crate::cpu::Context;
use crate::gpu::{Adapter, Kernel};

/// Joins tensors along the middle axis. Inputs: `[outer, parts[i], inner]` each. Output: `[outer, sum of parts, inner]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Concat {
    /// Product of the axes before.
    pub outer: usize,
    /// Length of every part.
    pub parts: Vec<usize>,
    /// Product of the axes after.
    pub inner: usize,
}

/// Cuts `start .. start + count` from the middle axis. Input: `[outer, len, inner]`. Output: `[outer, count, inner]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slice {
    /// Product of the axes before.
    pub outer: usize,
    /// The axis's length.
    pub len: usize,
    /// Product of the axes after.
    pub inner: usize,
    /// First kept.
    pub start: usize,
    /// How many are kept.
    pub count: usize,
}

impl Operation for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn check(&self) -> Result<()> {
        let total = self.parts.iter().try_fold(0_usize, |sum, &part| sum.checked_add(part));
        check_sizes(self.name(), "sizes", &[self.outer, total.unwrap_or(usize::MAX), self.inner])?;
        if self.parts.contains(&0) {
            return Err(unfit(self.name(), "parts", format!("{:?}", self.parts), "lengths from 1"));
        }
        Ok(())
    }

    fn input_lens(&self) -> Vec<usize> {
        self.parts.iter().map(|part| self.outer * part * self.inner).collect()
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.outer * self.parts.iter().sum::<usize>() * self.inner]
    }

    fn flops(&self) -> u64 {
        0
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], _context: &mut Context) {
        let row = self.parts.iter().sum::<usize>() * self.inner;
        for (o, row) in outputs[0].chunks_exact_mut(row).enumerate() {
            let mut start = 0;
            for (input, part) in inputs.iter().zip(&self.parts) {
                let len = part * self.inner;
                row[start..start + len].copy_from_slice(&input[o * len..(o + 1) * len]);
                start += len;
            }
        }
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::concat(self, adapter)
    }
}

impl Operation for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn check(&self) -> Result<()> {
        check_sizes(self.name(), "sizes", &[self.outer, self.len, self.inner, self.count])?;
        if self.start.checked_add(self.count).is_none_or(|end| end > self.len) {
            let found = format!("{} from {}", self.count, self.start);
            return Err(unfit(self.name(), "range", found, format!("a range within {}", self.len)));
        }
        Ok(())
    }

    fn input_lens(&self) -> Vec<usize> {
        vec![self.outer * self.len * self.inner]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.outer * self.count * self.inner]
    }

    fn flops(&self) -> u64 {
        0
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], _context: &mut Context) {
        let len = self.count * self.inner;
        let rows = inputs[0].chunks_exact(self.len * self.inner);
        for (y, x) in outputs[0].chunks_exact_mut(len).zip(rows) {
            y.copy_from_slice(&x[self.start * self.inner..][..len]);
        }
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::slice(self, adapter)
    }
}
