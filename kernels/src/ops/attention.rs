//! Attention over several heads, fused: no more of the scores lies in memory than a block of them.

use super::{Operation, check_sizes, unfit};
use crate::Result;
use crate::cpu::{Context, attention};
use crate::gpu::{Adapter, Kernel};

/// `y = softmax(scale q k^T + mask) v` for every image and head (Vaswani et al. 2017, section 3.2), block by block with running maxima
/// and sums (Milakov & Gimelshein 2018; Dao et al. 2022).
///
/// Inputs: q `[images, queries, heads, size]`, k and v `[images, keys, heads, size]`, then the mask, if there is one: `[masks, queries | 1,
/// keys]`, finite numbers, added to the scores of all heads. Outputs: y (q's shape) and statistics `[images, queries, heads, 2]`: a query's
/// largest score and the sum of `exp(score - largest)`. Products are f32 in every precision.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Number of images, or texts.
    pub images: usize,
    /// Tokens that ask.
    pub queries: usize,
    /// Tokens that answer.
    pub keys: usize,
    /// Number of heads.
    pub heads: usize,
    /// Features of a head, at most [`Attention::MOST`].
    pub size: usize,
    /// Multiplies the products of queries and keys.
    pub scale: f32,
    /// What is added to the scores.
    pub mask: Option<Mask>,
}

/// How an attention's mask lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mask {
    /// How many there are: a divisor of the images, neighbours among which share one.
    pub count: usize,
    /// Whether every query has a row of its own.
    pub rows: bool,
}

/// The gradient of [`Attention`] to q, k and v; weights are computed again from the statistics (Dao et al. 2022, algorithm 4).
///
/// Inputs: q, k, v, y, the statistics, dy (y's shape), the mask. Outputs: dq, dk, dv. The mask gets none.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionGrad(pub Attention);

impl Attention {
    /// Most features of a head.
    pub const MOST: usize = 256;

    fn check_as(&self, name: &'static str) -> Result<()> {
        check_sizes(name, "q", &[self.images, self.queries, self.heads, self.size])?;
        check_sizes(name, "k", &[self.images, self.keys, self.heads, self.size])?;
        if self.size > Self::MOST {
            return Err(unfit(name, "size", self.size, format!("at most {} features a head", Self::MOST)));
        }
        if !self.scale.is_finite() {
            return Err(unfit(name, "scale", self.scale, "a finite number"));
        }
        let Some(mask) = self.mask else { return Ok(()) };
        check_sizes(name, "mask", &[mask.count, self.mask_rows(), self.keys])?;
        if !self.images.is_multiple_of(mask.count) {
            let found = format!("{} for {} images", mask.count, self.images);
            return Err(unfit(name, "masks", found, "a divisor"));
        }
        Ok(())
    }

    fn mask_rows(&self) -> usize {
        if self.mask.is_some_and(|mask| mask.rows) { self.queries } else { 1 }
    }

    fn mask_len(&self) -> Option<usize> {
        self.mask.map(|mask| mask.count * self.mask_rows() * self.keys)
    }

    fn query_len(&self) -> usize {
        self.images * self.queries * self.heads * self.size
    }

    fn key_len(&self) -> usize {
        self.images * self.keys * self.heads * self.size
    }

    fn statistics_len(&self) -> usize {
        2 * self.images * self.queries * self.heads
    }

    /// Of so many products of queries and keys, and ten more for each score.
    fn flops_of(&self, products: usize) -> u64 {
        let scores = self.images * self.heads * self.queries * self.keys;
        (scores * (2 * products * self.size + 10)) as u64
    }
}

impl Operation for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn check(&self) -> Result<()> {
        self.check_as(self.name())
    }

    fn input_lens(&self) -> Vec<usize> {
        let mut lens = vec![self.query_len(), self.key_len(), self.key_len()];
        lens.extend(self.mask_len());
        lens
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.query_len(), self.statistics_len()]
    }

    fn flops(&self) -> u64 {
        self.flops_of(2)
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        attention::forward(self, inputs, outputs, context);
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::attention(self, adapter)
    }
}

impl Operation for AttentionGrad {
    fn name(&self) -> &'static str {
        "attention_grad"
    }

    fn check(&self) -> Result<()> {
        self.0.check_as(self.name())
    }

    fn input_lens(&self) -> Vec<usize> {
        let (queries, keys) = (self.0.query_len(), self.0.key_len());
        let mut lens = vec![queries, keys, keys, queries, self.0.statistics_len(), queries];
        lens.extend(self.0.mask_len());
        lens
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.0.query_len(), self.0.key_len(), self.0.key_len()]
    }

    fn flops(&self) -> u64 {
        self.0.flops_of(5)
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        attention::gradient(&self.0, inputs, outputs, context);
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::attention_grad(&self.0, adapter)
    }
}
