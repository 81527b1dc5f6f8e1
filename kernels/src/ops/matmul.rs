//! Matrix products, batched, each factor in any of the two memory orders, with a fused epilogue.

use super::{Activation, Epilogue, Operation, check_sizes};
use crate::Result;
use crate::cpu::{Context, Memory, matrices};
use crate::gpu::{Adapter, Kernel, Product};

/// How a factor lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Stored as the transpose: A as `[k, m]`, B as `[n, k]`.
    pub transposed: bool,
    /// One matrix for every product of the batch, instead of one for each.
    pub shared: bool,
}

/// `C[i] = act(A[i] B[i] + bias[i] + residual[i])` for `i < batch`.
///
/// Inputs: A `[batch | 1, m, k]`, B `[batch | 1, k, n]`, then, if the epilogue has them, bias `[batch | 1, n]` (shared
/// exactly when B is) and residual `[batch, m, n]`. Output: C `[batch, m, n]`. The batch axis is the ensemble axis where
/// members have weights of their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Matmul {
    /// Number of products.
    pub batch: usize,
    /// Rows of C.
    pub m: usize,
    /// Columns of C.
    pub n: usize,
    /// The summed axis.
    pub k: usize,
    /// A's order.
    pub a: Layout,
    /// B's order.
    pub b: Layout,
    /// Fused tail.
    pub epilogue: Epilogue,
}

impl Epilogue {
    /// Lengths of its operands for a result `[sets, .., columns]` of `len` elements, with one bias for all if `shared`.
    pub(super) fn lens(&self, biases: usize, columns: usize, len: usize) -> Vec<usize> {
        let bias = self.bias.then_some(biases * columns);
        bias.into_iter().chain(self.residual.then_some(len)).collect()
    }

    pub(super) fn flops(&self, len: usize) -> u64 {
        let steps = [self.bias, self.residual, self.activation != Activation::Identity];
        steps.into_iter().filter(|step| *step).count() as u64 * len as u64
    }
}

impl Operation for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn check(&self) -> Result<()> {
        let name = self.name();
        check_sizes(name, "A", &[self.batch, self.m, self.k])?;
        check_sizes(name, "B", &[self.batch, self.k, self.n])?;
        check_sizes(name, "C", &[self.batch, self.m, self.n])
    }

    fn input_lens(&self) -> Vec<usize> {
        let count = |layout: Layout| if layout.shared { 1 } else { self.batch };
        let b = count(self.b);
        let mut lens = vec![count(self.a) * self.m * self.k, b * self.k * self.n];
        lens.extend(self.epilogue.lens(b, self.n, self.batch * self.m * self.n));
        lens
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.batch * self.m * self.n]
    }

    fn flops(&self) -> u64 {
        let results = self.batch * self.m * self.n;
        2 * (results * self.k) as u64 + self.epilogue.flops(results)
    }

    fn prepared_key(&self, input: usize) -> Option<String> {
        (input == 1).then(|| {
            format!("matmul {} {} {} {:?} {}", self.batch, self.k, self.n, self.b, self.a.transposed)
        })
    }

    fn prepare(&self, _input: usize, constant: &[f32]) -> Option<Memory> {
        matrices::prepare(self, constant)
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        matrices::matmul(self, inputs, outputs[0], context.room());
    }

    fn product(&self) -> Option<Product> {
        let order = |layout: Layout| match (layout.transposed, layout.shared) {
            (false, false) => "n",
            (false, true) => "n shared",
            (true, false) => "t",
            (true, true) => "t shared",
        };
        let operands = format!("{}, {}", order(self.a), order(self.b));
        Some(Product { m: self.m, n: self.n, k: self.k, z: self.batch, operands, weights: Some(1) })
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::matmul(self, adapter)
    }
}
