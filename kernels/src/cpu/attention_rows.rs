//! The rows between an attention's products: from scores to weights, and from slopes of weights to slopes of scores.

use super::math::{exp, vectorised};

/// Elements that are worked on at once; sums have as many parts.
const LANES: usize = 16;

/// Calls `f` with runs of [`LANES`] elements of x and of the mask, zeros where there is none. The last run is filled up with `fill`, or else with
/// its first element again.
#[inline(always)]
fn each_run(
    x: &mut [f32],
    mask: Option<&[f32]>,
    fill: Option<f32>,
    mut f: impl FnMut(&mut [f32; LANES], &[f32; LANES]),
) {
    const ZEROS: [f32; LANES] = [0.0; LANES];
    let (runs, rest) = x.as_chunks_mut::<LANES>();
    let (masks, mask_rest) = mask.unwrap_or(&[]).as_chunks::<LANES>();
    for (i, run) in runs.iter_mut().enumerate() {
        f(run, masks.get(i).unwrap_or(&ZEROS));
    }
    if let Some(&first) = rest.first() {
        let mut last = [fill.unwrap_or(first); LANES];
        let mut last_mask = [mask_rest.first().copied().unwrap_or(0.0); LANES];
        last[..rest.len()].copy_from_slice(rest);
        last_mask[..mask_rest.len()].copy_from_slice(mask_rest);
        f(&mut last, &last_mask);
        rest.copy_from_slice(&last[..rest.len()]);
    }
}

/// The parts' sum, in pairs.
#[inline(always)]
fn total(mut parts: [f32; LANES]) -> f32 {
    for width in [8, 4, 2, 1] {
        let (low, high) = parts.split_at_mut(width);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
    }
    parts[0]
}

/// Turns products into `exp(score - largest)` with `score = scale product + mask`. `before` is what is known of earlier blocks: the largest score
/// and the sum of the exponentials. Returns both with this block, and by what everything from earlier blocks shrinks.
pub(super) fn weights(
    row: &mut [f32],
    scale: f32,
    mask: Option<&[f32]>,
    before: Option<[f32; 2]>,
) -> ([f32; 2], f32) {
    vectorised(
        #[inline(always)]
        || {
            let mut tops = [f32::NEG_INFINITY; LANES];
            each_run(
                row,
                mask,
                None,
                #[inline(always)]
                |row, mask| {
                    for i in 0..LANES {
                        row[i] = row[i].mul_add(scale, mask[i]);
                        // A NaN is larger than anything, so that it shows.
                        tops[i] = if tops[i] > row[i] || tops[i].is_nan() { tops[i] } else { row[i] };
                    }
                },
            );
            let mut largest = before.map_or(f32::NEG_INFINITY, |before| before[0]);
            for top in tops {
                largest = if largest > top || largest.is_nan() { largest } else { top };
            }
            let mut parts = [0.0; LANES];
            each_run(
                row,
                None,
                Some(f32::NEG_INFINITY),
                #[inline(always)]
                |row, _| {
                    for i in 0..LANES {
                        row[i] = exp(row[i] - largest);
                        parts[i] += row[i];
                    }
                },
            );
            let own = total(parts);
            match before {
                None => ([largest, own], 1.0),
                Some([top, sum]) => {
                    let kept = exp(top - largest);
                    ([largest, sum.mul_add(kept, own)], kept)
                }
            }
        },
    )
}

/// Turns products into weights, and the slopes of weights into `scale` times those of scores: `weight (slope - product)`, where `product` is the sum
/// of all weights times their slopes.
pub(super) fn gradients_of_scores(
    row: &mut [f32],
    slopes: &mut [f32],
    scale: f32,
    mask: Option<&[f32]>,
    [largest, sum]: [f32; 2],
    product: f32,
) {
    vectorised(
        #[inline(always)]
        || {
            let share = 1.0 / sum;
            each_run(
                row,
                mask,
                None,
                #[inline(always)]
                |row, mask| {
                    for i in 0..LANES {
                        row[i] = exp(row[i].mul_add(scale, mask[i]) - largest) * share;
                    }
                },
            );
            for (slope, &weight) in slopes.iter_mut().zip(&*row) {
                *slope = weight * (*slope - product) * scale;
            }
        },
    );
}

/// For every row, `step` elements apart, the sum of `x y` over `size` elements.
pub(super) fn row_products(x: &[f32], y: &[f32], step: usize, size: usize, out: &mut [f32]) {
    vectorised(
        #[inline(always)]
        || {
            for (i, out) in out.iter_mut().enumerate() {
                let (x, y) = (&x[i * step..][..size], &y[i * step..][..size]);
                let mut parts = [0.0; LANES];
                for (x, y) in x.chunks(LANES).zip(y.chunks(LANES)) {
                    for (part, (x, y)) in parts.iter_mut().zip(x.iter().zip(y)) {
                        *part = x.mul_add(*y, *part);
                    }
                }
                *out = total(parts);
            }
        },
    );
}
