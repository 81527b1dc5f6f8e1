//! Sums in an order that depends on the length alone: blocks in fixed lanes, then pairs of blocks, pairs of pairs, ...
//! The error of a sum of n terms grows with log n instead of n (Higham 1993, "The accuracy of floating point summation").

use super::math::vectorised;

/// Accumulators of a block of [`sum`].
const LANES: usize = 32;
/// Elements of a block of [`sum`].
const BLOCK: usize = 1024;
/// Rows of a block of [`column_sums`].
const ROWS: usize = 32;
/// Columns that [`column_sums`] works on at once.
pub(crate) const COLUMNS: usize = 64;
/// Levels of pairing: enough for 2^40 blocks.
const LEVELS: usize = 40;

/// `sum f(x)`.
pub(crate) fn sum(x: &[f32], f: impl Fn(f32) -> f32 + Copy) -> f32 {
    vectorised(
        #[inline(always)]
        || sum_inline(x, f),
    )
}

/// [`sum`] within a vectorised function.
#[inline(always)]
pub(crate) fn sum_inline(x: &[f32], f: impl Fn(f32) -> f32 + Copy) -> f32 {
    if x.len() <= BLOCK {
        return block_sum(x, f);
    }
    let mut levels = [0.0; LEVELS];
    let mut count = 0_usize;
    for block in x.chunks(BLOCK) {
        let mut total = block_sum(block, f);
        let mut level = 0;
        while count >> level & 1 == 1 {
            total += levels[level];
            level += 1;
        }
        levels[level] = total;
        count += 1;
    }
    let full = (0..LEVELS).filter(|level| count >> level & 1 == 1);
    full.fold(0.0, |total, level| total + levels[level])
}

#[inline(always)]
fn block_sum(x: &[f32], f: impl Fn(f32) -> f32 + Copy) -> f32 {
    let (chunks, tail) = x.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] += f(chunk[i]);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(tail) {
        *lane += f(x);
    }
    // The lanes of a short row's end are zero: adding them changes nothing.
    let mut width = x.len().clamp(1, LANES).next_power_of_two() / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `out[c] = sum over r of f(x[r * stride + c], parameter[c])` for the columns of `out`, at most [`COLUMNS`].
pub(crate) fn column_sums(
    x: &[f32],
    stride: usize,
    rows: usize,
    parameter: &[f32],
    out: &mut [f32],
    f: impl Fn(f32, f32) -> f32 + Copy,
) {
    vectorised(
        #[inline(always)]
        || {
            let width = out.len();
            let mut levels = [[0.0; COLUMNS]; 24];
            let mut count = 0_usize;
            for first in (0..rows).step_by(ROWS) {
                let mut total = [0.0; COLUMNS];
                let end = rows.min(first + ROWS);
                if let Ok(parameter) = <&[f32; COLUMNS]>::try_from(parameter) {
                    total = whole_block(&x[first * stride..], stride, end - first, parameter, f);
                } else {
                    for row in first..end {
                        let x = &x[row * stride..row * stride + width];
                        for ((total, &x), &p) in total.iter_mut().zip(x).zip(parameter) {
                            *total += f(x, p);
                        }
                    }
                }
                let mut level = 0;
                while count >> level & 1 == 1 {
                    add(&mut total, &levels[level]);
                    level += 1;
                }
                levels[level] = total;
                count += 1;
            }
            let mut total = [0.0; COLUMNS];
            for (level, partial) in levels.iter().enumerate() {
                if count >> level & 1 == 1 {
                    add(&mut total, partial);
                }
            }
            out.copy_from_slice(&total[..width]);
        },
    );
}

/// The sums of `rows` rows of [`COLUMNS`] columns, half of them at a time: as many accumulators as stay in registers.
#[inline(always)]
fn whole_block(
    x: &[f32],
    stride: usize,
    rows: usize,
    parameter: &[f32; COLUMNS],
    f: impl Fn(f32, f32) -> f32 + Copy,
) -> [f32; COLUMNS] {
    const HALF: usize = COLUMNS / 2;
    let mut total = [0.0; COLUMNS];
    for half in 0..2 {
        let mut sums = [0.0; HALF];
        let (p, _) = parameter[half * HALF..].as_chunks::<HALF>();
        for row in 0..rows {
            let (x, _) = x[row * stride + half * HALF..][..HALF].as_chunks::<HALF>();
            for i in 0..HALF {
                sums[i] += f(x[0][i], p[0][i]);
            }
        }
        total[half * HALF..][..HALF].copy_from_slice(&sums);
    }
    total
}

#[inline(always)]
fn add(total: &mut [f32; COLUMNS], other: &[f32; COLUMNS]) {
    for (total, other) in total.iter_mut().zip(other) {
        *total += other;
    }
}
