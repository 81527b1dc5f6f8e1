//! The ops: one file each, with its spec, its shape check, its CPU function, its WGSL launch and its test shapes.
//!
//! Every tensor is a contiguous row-major run of f32; images are channels-last. What a lane or an ensemble member is,
//! an op does not know: it sees plain sizes.

use std::fmt::Debug;

use crate::cpu::{Context, Memory};
use crate::gpu::{Adapter, Kernel, Product};
use crate::program::shape;
use crate::{Error, Result};

mod attention;
mod concat;
mod conv;
mod cross_entropy;
mod gated;
mod gather;
mod layer_norm;
mod matmul;
mod moments;
mod permute;
mod pointwise;
mod pool;
mod project;
mod random;
mod rank;
mod reduce;
mod softmax;

pub use attention::{Attention, AttentionGrad, Mask};
pub use concat::{Concat, Slice};
pub use conv::{Conv, ConvInputGrad, ConvWeightGrad};
pub use cross_entropy::{CrossEntropy, CrossEntropyGrad};
pub use gated::{GatedConvInputGrad, GatedPoolGrad};
pub use gather::{Gather, ScatterAdd};
pub use layer_norm::{LayerNorm, LayerNormGrad};
pub use matmul::{Layout, Matmul};
pub use moments::Moments;
pub use permute::Permute;
pub use pointwise::{Binary, Instr, Pointwise, Unary};
pub use pool::{Pool, PoolGrad, PoolKind};
pub use project::{Ball, Project};
pub use random::{Distribution, Random, threefry2x32};
pub use rank::Rank;
pub use reduce::{Reduce, Reduction};
pub use softmax::Softmax;

/// What an executor asks of an op. A spec is plain data; its `Debug` text identifies it in caches.
pub trait Operation: Debug + Send + Sync {
    /// The op's name in errors, profiles and tests.
    fn name(&self) -> &'static str;

    /// Whether the spec makes sense (no zero size, groups that divide the channels, ...).
    fn check(&self) -> Result<()>;

    /// Number of elements of each input, in order.
    fn input_lens(&self) -> Vec<usize>;

    /// Number of elements of each output, in order.
    fn output_lens(&self) -> Vec<usize>;

    /// Whether output `i` may be the very memory of an input: true only for ops that read an element, at the same
    /// place, before they write it.
    fn in_place(&self) -> bool {
        false
    }

    /// Floating-point operations of one launch, a multiply-add counting as two.
    fn flops(&self) -> u64;

    /// Computes the outputs on the CPU. Lengths have been checked. A row's bits depend only on that row's inputs and
    /// on the sizes of one sample, never on how many samples there are or how many threads work.
    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context);

    /// Names what [`Operation::prepare`] would make of an input that never changes; `None` if nothing is worth keeping.
    fn prepared_key(&self, _input: usize) -> Option<String> {
        None
    }

    /// What [`Operation::cpu`] derives from a constant input once, such as packed weights; it finds it in
    /// [`Context::prepared`].
    fn prepare(&self, _input: usize, _constant: &[f32]) -> Option<Memory> {
        None
    }

    /// The matrix products that the op comes down to, if that is what it is: what a GPU can compute in several ways.
    fn product(&self) -> Option<Product> {
        None
    }

    /// The launches that compute the outputs on a GPU.
    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel>;
}

/// The activation that a matmul or a convolution applies to its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// None.
    Identity,
    /// max(0, y).
    Relu,
}

/// What a matmul or a convolution does to its result before storing it: `act(y + bias + residual)`.
///
/// The operands follow the two factors, the bias first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epilogue {
    /// Adds a vector over the last axis, one for each weight set.
    pub bias: bool,
    /// Adds a tensor of the result's shape.
    pub residual: bool,
    /// Applied last.
    pub activation: Activation,
}

impl Epilogue {
    /// Stores the result as it is.
    pub const NONE: Self = Self { bias: false, residual: false, activation: Activation::Identity };
}

/// Checks that no size is 0 and that their product counts elements that memory could hold.
pub(crate) fn check_sizes(op: &'static str, what: &str, sizes: &[usize]) -> Result<()> {
    let product = sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
    match product {
        Some(1..=MOST_ELEMENTS) => Ok(()),
        _ => Err(unfit(op, what, format!("{sizes:?}"), "sizes from 1 with a product of at most 2^40")),
    }
}

/// No tensor is longer.
const MOST_ELEMENTS: usize = 1 << 40;

/// A spec that makes no sense.
pub(crate) fn unfit(op: &'static str, what: &str, found: impl ToString, expected: impl ToString) -> Error {
    shape(op, what, found, expected)
}
