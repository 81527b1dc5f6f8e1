//! Mean and variance along an axis, in two passes: what batch, layer and group normalisation have in common.

use super::reduce::sum_axis;
use super::{Operation, check_sizes};
use crate::Result;
use crate::cpu::Context;
use crate::gpu::{Adapter, Kernel};

/// Mean and biased variance of the middle axis. Input: `[outer, len, inner]`. Outputs: mean `[outer, inner]`, variance
/// `[outer, inner]`.
///
/// Layer norm: `outer` rows of `len` features, `inner` 1. Batch norm over a member's minibatch: `outer` members, `len`
/// batch x height x width, `inner` channels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Moments {
    /// Product of the axes before.
    pub outer: usize,
    /// The axis over which mean and variance are taken, at least 1.
    pub len: usize,
    /// Product of the axes after.
    pub inner: usize,
}

impl Operation for Moments {
    fn name(&self) -> &'static str {
        "moments"
    }

    fn check(&self) -> Result<()> {
        check_sizes(self.name(), "[outer, len, inner]", &[self.outer, self.len, self.inner])
    }

    fn input_lens(&self) -> Vec<usize> {
        vec![self.outer * self.len * self.inner]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.outer * self.inner; 2]
    }

    fn flops(&self) -> u64 {
        4 * (self.outer * self.len * self.inner) as u64
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        let axes = [self.outer, self.len, self.inner];
        let [mean, variance] = outputs else { return };
        let scale = 1.0 / self.len as f32;
        sum_axis(
            axes,
            inputs[0],
            None,
            mean,
            context,
            #[inline(always)]
            |x, _| x,
        );
        mean.iter_mut().for_each(|mean| *mean *= scale);
        sum_axis(axes, inputs[0], Some(mean), variance, context, square);
        variance.iter_mut().for_each(|variance| *variance *= scale);
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::moments(self, adapter)
    }
}

#[inline(always)]
fn square(x: f32, mean: f32) -> f32 {
    (x - mean) * (x - mean)
}
