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
        let rank = self.shape.len();
        // Axes of length 1 in front bring every shape to six.
        let (mut shape, mut strides, mut start) = ([1; AXES], [0_isize; AXES], 0);
        for (d, &axis) in self.axes.iter().enumerate() {
            let stride = self.shape[axis + 1..].iter().product::<usize>();
            let place = AXES - rank + d;
            shape[place] = self.shape[axis];
            strides[place] = if self.flip[axis] { -(stride as isize) } else { stride as isize };
            start += if self.flip[axis] { (self.shape[axis] - 1) * stride } else { 0 };
        }
        let x = inputs[0];
        let (width, step) = (shape[AXES - 1], strides[AXES - 1]);
        spread_rows(context.threads, outputs[0], width, 16_384, |first, rows| {
            for (i, y) in rows.chunks_exact_mut(width).enumerate() {
                let (mut row, mut from) = (first + i, start as isize);
                for d in (0..AXES - 1).rev() {
                    from += (row % shape[d]) as isize * strides[d];
                    row /= shape[d];
                }
                copy_strided(x, from, step, y);
            }
        });
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::permute(self, adapter)
    }
}

fn copy_strided(x: &[f32], from: isize, step: isize, y: &mut [f32]) {
    if step == 1 {
        return y.copy_from_slice(&x[from as usize..][..y.len()]);
    }
    for (j, y) in y.iter_mut().enumerate() {
        *y = x[(from + j as isize * step) as usize];
    }
}
