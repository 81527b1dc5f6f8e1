//! Matrix products.

use super::gemm::{Factor, Gemm, Store};
use super::{Adapter, Kernel, operands};
use crate::ops::{Activation, Matmul};

/// The launch of [`Matmul`].
pub(crate) fn matmul(op: &Matmul, adapter: &Adapter) -> Vec<Kernel> {
    let (m, n, k) = (op.m, op.n, op.k);
    let base = |shared: bool, size: usize| if shared { "0u".to_owned() } else { format!("(z * {size}u)") };
    let factor = |transposed: bool, shared: bool, rows: usize, columns: usize, k_first: bool| {
        // Stored [rows, columns] before any transposition; k is contiguous in A as it is and in B transposed.
        let leading = if transposed { rows } else { columns };
        Factor::Matrix {
            base: base(shared, rows * columns),
            leading,
            along_k: k_first == transposed,
            vector: leading.is_multiple_of(4),
        }
    };
    let inputs = 2 + usize::from(op.epilogue.bias) + usize::from(op.epilogue.residual);
    let gemm = Gemm {
        m,
        n,
        k,
        z: op.batch,
        a: factor(op.a.transposed, op.a.shared, m, k, false),
        b: factor(op.b.transposed, op.b.shared, k, n, true),
        c: Store {
            base: format!("z * {}u", m * n),
            leading: n,
            vector: n.is_multiple_of(4),
            bias: op.epilogue.bias.then(|| base(op.b.shared, n)),
            residual: op.epilogue.residual,
            relu: op.epilogue.activation == Activation::Relu,
        },
        sizes: vec![],
        bindings: operands(inputs, 1),
        guard_k: false,
    };
    vec![gemm.kernel(adapter)]
}
