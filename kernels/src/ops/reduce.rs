//! Sums, maxima and minima along an axis, in an order that depends only on the axis's length.

use super::{Operation, check_sizes};
use crate::Result;
use crate::cpu::{Context, Disjoint, math::vectorised, spread, spread_rows, tree};
use crate::gpu::{Adapter, Kernel};

/// How elements combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// Sum.
    Sum,
    /// Largest.
    Max,
    /// Smallest.
    Min,
}

/// Reduces the middle axis. Input: `[outer, len, inner]`. Output: `[outer, inner]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reduce {
    /// Sum, max or min.
    pub kind: Reduction,
    /// Product of the axes before.
    pub outer: usize,
    /// The reduced axis, at least 1.
    pub len: usize,
    /// Product of the axes after.
    pub inner: usize,
}

/// Rows that one task adds up; a longer axis is cut into such pieces, whose sums are added in pairs.
const PIECE: usize = 2048;
/// Elements that one task handles where it may choose.
const BLOCK: usize = 16_384;

impl Operation for Reduce {
    fn name(&self) -> &'static str {
        "reduce"
    }

    fn check(&self) -> Result<()> {
        check_sizes(self.name(), "[outer, len, inner]", &[self.outer, self.len, self.inner])
    }

    fn input_lens(&self) -> Vec<usize> {
        vec![self.outer * self.len * self.inner]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.outer * self.inner]
    }

    fn flops(&self) -> u64 {
        (self.outer * self.len * self.inner) as u64
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        let axes = [self.outer, self.len, self.inner];
        let (x, y) = (inputs[0], &mut *outputs[0]);
        match self.kind {
            Reduction::Sum => sum_axis(
                axes,
                x,
                None,
                y,
                context,
                #[inline(always)]
                |x, _| x,
            ),
            Reduction::Max => pick(
                axes,
                x,
                y,
                context,
                #[inline(always)]
                |x, best| x > best,
            ),
            Reduction::Min => pick(
                axes,
                x,
                y,
                context,
                #[inline(always)]
                |x, best| x < best,
            ),
        }
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::reduce(self, adapter)
    }
}

/// The sum over the middle axis of `f(x, parameter)`, where `parameter` has the result's shape and is 0 if absent.
pub(super) fn sum_axis(
    [outer, len, inner]: [usize; 3],
    x: &[f32],
    parameter: Option<&[f32]>,
    y: &mut [f32],
    context: &mut Context,
    f: impl Fn(f32, f32) -> f32 + Copy + Sync,
) {
    if inner == 1 {
        let block = (BLOCK / len).max(1);
        return spread_rows(context.threads, y, 1, block, |first, y| {
            for (i, y) in y.iter_mut().enumerate() {
                let p = parameter.map_or(0.0, |parameter| parameter[first + i]);
                let row = &x[(first + i) * len..][..len];
                *y = tree::sum(
                    row,
                    #[inline(always)]
                    move |x| f(x, p),
                );
            }
        });
    }
    // Few columns: several rows are taken as one of as many columns as fit, whose sums are folded at last.
    let rows = fold(len, inner);
    let (len, wide) = (len / rows, inner * rows);
    let pieces = len.div_ceil(PIECE);
    let zeros = [0.0; tree::COLUMNS];
    let strips = wide.div_ceil(tree::COLUMNS);
    let direct = pieces == 1 && rows == 1;
    let partial = context.scratch.take(if direct { 0 } else { outer * pieces * wide });
    let places = Disjoint::new(if direct { &mut *y } else { &mut *partial });
    let piece = |task: usize| {
        let (strip, piece, o) = (task % strips, task / strips % pieces, task / strips / pieces);
        let column = strip * tree::COLUMNS;
        let width = tree::COLUMNS.min(wide - column);
        let (first, count) = (piece * PIECE, PIECE.min(len - piece * PIECE));
        let mut repeated = zeros;
        let parameter = match parameter {
            Some(p) if rows > 1 => {
                let own = &p[o * inner..][..inner];
                repeated[..wide].chunks_exact_mut(inner).for_each(|part| part.copy_from_slice(own));
                &repeated[..width]
            }
            Some(p) => &p[o * inner + column..][..width],
            None => &zeros[..width],
        };
        // SAFETY: every task has its own (o, piece, strip), so its own columns of its own row.
        let out = unsafe { places.slice((o * pieces + piece) * wide + column, width) };
        tree::column_sums(&x[(o * len + first) * wide + column..], wide, count, parameter, out, f);
    };
    let small = outer * len * wide <= BLOCK;
    spread(if small { 1 } else { context.threads }, outer * pieces * strips, piece);
    if !direct {
        for (o, y) in y.chunks_exact_mut(inner).enumerate() {
            let sums = &mut partial[o * pieces * wide..(o + 1) * pieces * wide];
            add_pairs(sums, wide);
            add_pairs(&mut sums[..wide], inner);
            y.copy_from_slice(&sums[..inner]);
        }
    }
}

/// Rows of `inner` elements that are summed as one row.
fn fold(len: usize, inner: usize) -> usize {
    let rows = tree::COLUMNS / inner;
    if rows > 1 && tree::COLUMNS.is_multiple_of(inner) && len.is_multiple_of(rows) { rows } else { 1 }
}

/// Adds rows in pairs, then pairs of pairs, until the first row is the sum of all.
fn add_pairs(rows: &mut [f32], inner: usize) {
    let count = rows.len() / inner;
    let mut step = 1;
    while step < count {
        for first in (0..count - step).step_by(2 * step) {
            let (left, right) = rows.split_at_mut((first + step) * inner);
            let left = &mut left[first * inner..][..inner];
            left.iter_mut().zip(&right[..inner]).for_each(|(left, right)| *left += right);
        }
        step *= 2;
    }
}

/// The element of the middle axis that no other is `better` than.
fn pick(
    [_, len, inner]: [usize; 3],
    x: &[f32],
    y: &mut [f32],
    context: &Context,
    better: impl Fn(f32, f32) -> bool + Copy + Sync,
) {
    spread_rows(context.threads, y, inner, (BLOCK / len).max(1), |first, y| {
        vectorised(
            #[inline(always)]
            || {
                for (i, y) in y.chunks_exact_mut(inner).enumerate() {
                    let x = &x[(first + i) * len * inner..][..len * inner];
                    if inner == 1 {
                        y[0] = pick_row(x, better);
                        continue;
                    }
                    y.copy_from_slice(&x[..inner]);
                    for x in x.chunks_exact(inner).skip(1) {
                        for (best, &x) in y.iter_mut().zip(x) {
                            *best = if better(x, *best) { x } else { *best };
                        }
                    }
                }
            },
        );
    });
}

#[inline(always)]
fn pick_row(x: &[f32], better: impl Fn(f32, f32) -> bool + Copy) -> f32 {
    let mut lanes = [x[0]; 32];
    let (chunks, tail) = x.as_chunks::<32>();
    for chunk in chunks {
        for i in 0..32 {
            lanes[i] = if better(chunk[i], lanes[i]) { chunk[i] } else { lanes[i] };
        }
    }
    let rest = lanes.iter().chain(tail);
    rest.fold(x[0], |best, &x| if better(x, best) { x } else { best })
}
