//! One row of a layer norm, while it is in the nearest cache.

use super::math::vectorised;
use super::tree;

/// Accumulators of a sum.
const LANES: usize = 32;

/// Mean and `1 / sqrt(variance + epsilon)`.
pub(crate) fn moments(x: &[f32], epsilon: f32) -> [f32; 2] {
    vectorised(
        #[inline(always)]
        || {
            let scale = 1.0 / x.len() as f32;
            let sum = tree::sum_inline(
                x,
                #[inline(always)]
                |x| x,
            );
            let mean = sum * scale;
            let squares = tree::sum_inline(
                x,
                #[inline(always)]
                |x| (x - mean) * (x - mean),
            );
            [mean, 1.0 / (squares * scale + epsilon).sqrt()]
        },
    )
}

/// `y = (x - mean) factor weight + bias`
pub(crate) fn normalise(x: &[f32], weight: &[f32], bias: &[f32], [mean, factor]: [f32; 2], y: &mut [f32]) {
    vectorised(
        #[inline(always)]
        || {
            for ((y, &x), (&weight, &bias)) in y.iter_mut().zip(x).zip(weight.iter().zip(bias)) {
                *y = ((x - mean) * factor).mul_add(weight, bias);
            }
        },
    );
}

/// The gradient to x: with `a = dy weight` and `u = (x - mean) factor`, `factor (a - mean of a - u mean of a u)`.
pub(crate) fn gradient(x: &[f32], weight: &[f32], dy: &[f32], [mean, factor]: [f32; 2], dx: &mut [f32]) {
    vectorised(
        #[inline(always)]
        || {
            let (mut sums, mut products) = ([0.0; LANES], [0.0; LANES]);
            let rows = x.chunks(LANES).zip(weight.chunks(LANES)).zip(dy.chunks(LANES));
            for ((x, weight), dy) in rows {
                let lanes = sums.iter_mut().zip(&mut products);
                for ((sum, product), ((x, weight), dy)) in lanes.zip(x.iter().zip(weight).zip(dy)) {
                    let along = dy * weight;
                    *sum += along;
                    *product = along.mul_add((x - mean) * factor, *product);
                }
            }
            let scale = 1.0 / x.len() as f32;
            let [level, slope] = [total(sums) * scale, total(products) * scale];
            for ((dx, &x), (&weight, &dy)) in dx.iter_mut().zip(x).zip(weight.iter().zip(dy)) {
                *dx = factor * ((x - mean) * factor).mul_add(-slope, dy.mul_add(weight, -level));
            }
        },
    );
}

/// The lanes' sum, in pairs.
#[inline(always)]
fn total(mut lanes: [f32; LANES]) -> f32 {
    for width in [16, 8, 4, 2, 1] {
        let (low, high) = lanes.split_at_mut(width);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
    }
    lanes[0]
}
