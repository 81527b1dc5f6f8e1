//! Axes in another order, or walked backwards.

use super::{Operation, check_sizes, unfit};
use crate::Result;
use crate::cpu::{Context, spread_rows};
use crate::gpu::{Adapter, Kernel};

/// `y[i_0, .., i_n] = x` with axis `d` of y being axis `axes[d]` of x, walked backwards where `flip[axes[d]]`. Input: x of `shape`.
/// Output: y.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Permute {
    /// Shape of x, at most 6 axes.
    pub shape: Vec<usize>,
    /// For every axis of y, the axis of x.
    pub axes: Vec<usize>,
    /// For every axis of x, whether it is reversed.
    pub flip: Vec<bool>,
}

/// Most axes.
pub(super) const AXES: usize = 6;

impl Operation for Permute {
    fn name(&self) -> &'static str {
        "permute"
    }

    fn check(&self) -> Result<()> {
        check_sizes(self.name(), "shape", &self.shape)?;
        let rank = self.shape.len();
        let mut sorted = self.axes.clone();
        sorted.sort_unstable();
        if rank > AXES || !sorted.into_iter().eq(0..rank) || self.flip.len() != rank {
            let found = format!("axes {:?} and flip {:?} for shape {:?}", self.axes, self.flip, self.shape);
            return Err(unfit(self.name(), "axes", found, "every axis once, at most 6, and a flip for each"));
        }
        Ok(())
    }

    fn input_lens(&self) -> Vec<usize> {
        vec![self.shape.iter().product()]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.shape.iter().product()]
    }

    fn flops(&self) -> u64 {
        0
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        let x = inputs[0];
        let (axes, start) = self.merged();
        let (width, step) = axes[0];
        spread_rows(context.threads, outputs[0], width, 16_384, |first, rows| {
            for (i, y) in rows.chunks_exact_mut(width).enumerate() {
                let (mut row, mut from) = (first + i, start as isize);
                for &(size, stride) in &axes[1..] {
                    from += (row % size) as isize * stride;
                    row /= size;
                }
                copy_strided(x, from, step, y);
            }
        });
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::permute(self, adapter)
    }
}

impl Permute {
    /// Sizes and strides in x of y's axes, the innermost first, neighbours that x crosses evenly made one; and where y starts in x.
    fn merged(&self) -> ([(usize, isize); AXES], usize) {
        let mut axes = [(1, 0); AXES];
        let (mut rank, mut start) = (0, 0);
        for &axis in self.axes.iter().rev() {
            let (size, stride) = (self.shape[axis], self.shape[axis + 1..].iter().product::<usize>());
            start += if self.flip[axis] { (size - 1) * stride } else { 0 };
            let stride = if self.flip[axis] { -(stride as isize) } else { stride as isize };
            match axes[..rank].last_mut() {
                _ if size == 1 => {}
                Some(inner) if stride == inner.1 * inner.0 as isize => inner.0 *= size,
                _ => {
                    axes[rank] = (size, stride);
                    rank += 1;
                }
            }
        }
        (axes, start)
    }
}

fn copy_strided(x: &[f32], from: isize, step: isize, y: &mut [f32]) {
    let start = from as usize;
    match step {
        1 => y.copy_from_slice(&x[start..][..y.len()]),
        2.. => y.iter_mut().zip(x[start..].iter().step_by(step as usize)).for_each(|(y, x)| *y = *x),
        _ => y.iter_mut().enumerate().for_each(|(j, y)| *y = x[(from + j as isize * step) as usize]),
    }
}
