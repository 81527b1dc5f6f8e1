//! Batched matrix products: packing where it pays, then tiles over threads.

use super::images::Room;
use super::panels::{Form, Right, pack, packed_len};
use super::product::{Left, Run, Tail, multiply};
use super::{Disjoint, Memory, math, spread};
use crate::ops::{Activation, Matmul};

/// With fewer rows of C than this, or a B this narrow, B is read where it lies if its columns fill vectors.
const FEW_ROWS: usize = 48;
/// Rows of C that one task computes.
const TASK_ROWS: usize = 56;

/// Packs all of a constant B.
pub(crate) fn prepare(op: &Matmul, b: &[f32]) -> Option<Memory> {
    let lanes = math::lanes();
    let form = form(op);
    let len = packed_len(form, lanes, op.k, op.n);
    let count = b.len() / (op.k * op.n);
    let mut memory = Memory::zeroed(count * len).ok()?;
    for (b, out) in b.chunks_exact(op.k * op.n).zip(memory.as_mut_slice().chunks_exact_mut(len)) {
        pack(form, lanes, [op.k, op.n], [0, op.k], b, steps(op), out);
    }
    Some(memory)
}

/// How B is packed.
fn form(op: &Matmul) -> Form {
    if op.a.transposed { Form::Panels } else { Form::packed(op.n) }
}

/// Elements from a row and from a column of B to the next.
fn steps(op: &Matmul) -> [usize; 2] {
    if op.b.transposed { [1, op.k] } else { [op.n, 1] }
}

/// Computes a matrix product; `room.packed` is what [`prepare`] made of B.
pub(crate) fn matmul(op: &Matmul, inputs: &[&[f32]], c: &mut [f32], room: Room) {
    let Matmul { batch, m, n, k, .. } = *op;
    let Room { threads, scratch, kept, packed } = room;
    let lanes = math::lanes();
    let form = form(op);
    let len = packed_len(form, lanes, k, n);
    let direct =
        packed.is_none() && !op.b.transposed && n.is_multiple_of(lanes) && (m < FEW_ROWS || n <= 2 * lanes);
    let count = if op.b.shared { 1 } else { batch };
    // One thread packs a matrix right before it uses it; several pack all of them first.
    let slots = if packed.is_some() || direct {
        0
    } else if threads > 1 {
        count
    } else {
        1
    };
    let own = scratch.take(slots * len);
    let pack_one = |i: usize, out: &mut [f32]| {
        pack(form, lanes, [k, n], [0, k], &inputs[1][i * k * n..(i + 1) * k * n], steps(op), out);
    };
    if slots == count && slots > 0 {
        let own = Disjoint::new(own);
        // SAFETY: every task packs into its own slot.
        spread(threads, count, |i| pack_one(i, unsafe { own.slice(i * len, len) }));
    }
    let (rows, c_rows) = kept.get(|| {
        let rows: Vec<usize> = (0..m).map(|row| if op.a.transposed { row } else { row * k }).collect();
        let c_rows: Vec<usize> = (0..m).map(|row| row * n).collect();
        (rows, c_rows)
    });
    let run = [Run { offset: 0, len: k, step: if op.a.transposed { m } else { 1 } }];
    let out = Disjoint::new(c);
    let product = |i: usize, range: std::ops::Range<usize>, own: &[f32]| {
        let which = if op.b.shared { 0 } else { i };
        let right = match packed {
            Some(packed) => Right { data: &packed[which * len..][..len], columns: n, form },
            None if direct => {
                Right { data: &inputs[1][which * k * n..][..k * n], columns: n, form: Form::Rows(n) }
            }
            None => {
                Right { data: &own[if slots == count { which * len } else { 0 }..][..len], columns: n, form }
            }
        };
        let a = &inputs[0][if op.a.shared { 0 } else { i * m * k }..][..m * k];
        let left = Left { data: a, rows: &rows[range.clone()], runs: &run, transposed: op.a.transposed };
        let epilogue = op.epilogue;
        let residual = epilogue.residual.then(|| inputs[2 + usize::from(epilogue.bias)]);
        let tail = Tail {
            accumulate: false,
            bias: epilogue.bias.then(|| &inputs[2][which * n..][..n]),
            residual: residual.map(|residual| &residual[i * m * n..][..m * n]),
            relu: epilogue.activation == Activation::Relu,
            gate: None,
        };
        // SAFETY: every task writes rows of its own; `address` checks that they lie within C.
        unsafe { multiply(left, right, out.address(i * m * n, m * n), m * n, &c_rows[range], tail) };
    };
    if threads > 1 {
        let parts = m.div_ceil(TASK_ROWS);
        let own = &*own;
        spread(threads, batch * parts, |task| {
            let first = task % parts * TASK_ROWS;
            product(task / parts, first..m.min(first + TASK_ROWS), own);
        });
        return;
    }
    for i in 0..batch {
        if slots == 1 && count > 1 {
            pack_one(i, own);
        }
        product(i, 0..m, own);
    }
}
