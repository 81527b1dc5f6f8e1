//! The sums of one tile of a product, in registers.

use pulp::Simd;

use super::product::Run;

/// A block of the summed axis: all of some runs but the ends of the first and the last.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) runs: &'a [Run],
    /// Terms of the first run that earlier blocks took.
    pub(super) skip: usize,
    pub(super) len: usize,
    /// Terms before the block.
    pub(super) start: usize,
    pub(super) last: bool,
}

/// # Safety
/// `min(valid, lanes)` elements can be read at `p`.
#[inline(always)]
pub(super) unsafe fn load<S: Simd>(simd: S, p: *const f32, valid: usize) -> S::f32s {
    // SAFETY: the caller's promise.
    unsafe {
        if valid >= S::F32_LANES {
            p.cast::<S::f32s>().read_unaligned()
        } else {
            simd.partial_load_f32s(std::slice::from_raw_parts(p, valid))
        }
    }
}

/// # Safety
/// `min(valid, lanes)` elements can be written at `p`.
#[inline(always)]
pub(super) unsafe fn store<S: Simd>(simd: S, p: *mut f32, valid: usize, y: S::f32s) {
    // SAFETY: the caller's promise.
    unsafe {
        if valid >= S::F32_LANES {
            p.cast::<S::f32s>().write_unaligned(y);
        } else {
            simd.partial_store_f32s(std::slice::from_raw_parts_mut(p, valid), y);
        }
    }
}

/// Asks for the line at `p`, which may lie anywhere, to come into the second cache.
#[inline(always)]
fn prefetch(p: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which reads nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(p.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// Sums of a tile where a row's terms are neighbours in memory.
///
/// # Safety
/// Every term of the block can be read for every row and at `b`, `b_row` elements apart.
#[inline(always)]
pub(super) unsafe fn sum_rows<S: Simd, const M: usize, const V: usize>(
    simd: S,
    rows: [*const f32; M],
    block: Block,
    mut b: *const f32,
    b_row: usize,
    mut ahead: *const f32,
) -> [[S::f32s; V]; M] {
    let mut sums = [[simd.splat_f32s(0.0); V]; M];
    let (mut rest, mut skip) = (block.len, block.skip);
    for run in block.runs {
        let len = (run.len - skip).min(rest);
        let mut a = rows;
        for a in &mut a {
            *a = a.wrapping_add(run.offset + skip);
        }
        for term in 0..len {
            prefetch(ahead);
            ahead = ahead.wrapping_add(S::F32_LANES);
            let mut right = [simd.splat_f32s(0.0); V];
            for (v, right) in right.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                *right = unsafe { b.add(v * S::F32_LANES).cast::<S::f32s>().read_unaligned() };
            }
            for i in 0..M {
                // SAFETY: the caller's promise.
                let left = simd.splat_f32s(unsafe { *a[i].add(term) });
                for v in 0..V {
                    sums[i][v] = simd.mul_add_e_f32s(left, right[v], sums[i][v]);
                }
            }
            b = b.wrapping_add(b_row);
        }
        rest -= len;
        skip = 0;
        if rest == 0 {
            break;
        }
    }
    sums
}

/// Sums of a tile where a term's rows are neighbours in memory, from `a` on.
///
/// # Safety
/// As [`sum_rows`].
#[inline(always)]
pub(super) unsafe fn sum_columns<S: Simd, const M: usize, const V: usize>(
    simd: S,
    a: *const f32,
    block: Block,
    mut b: *const f32,
    b_row: usize,
) -> [[S::f32s; V]; M] {
    let mut sums = [[simd.splat_f32s(0.0); V]; M];
    let (mut rest, mut skip) = (block.len, block.skip);
    for run in block.runs {
        let len = (run.len - skip).min(rest);
        let mut a = a.wrapping_add(run.offset + skip * run.step);
        for _ in 0..len {
            let mut right = [simd.splat_f32s(0.0); V];
            for (v, right) in right.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                *right = unsafe { b.add(v * S::F32_LANES).cast::<S::f32s>().read_unaligned() };
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                let left = simd.splat_f32s(unsafe { *a.add(i) });
                for v in 0..V {
                    sums[v] = simd.mul_add_e_f32s(left, right[v], sums[v]);
                }
            }
            a = a.wrapping_add(run.step);
            b = b.wrapping_add(b_row);
        }
        rest -= len;
        skip = 0;
        if rest == 0 {
            break;
        }
    }
    sums
}
