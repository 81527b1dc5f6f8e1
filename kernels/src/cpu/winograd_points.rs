//! The transforms of Winograd's minimal filters: Lavin & Gray 2016 (arXiv 1509.09308), sections 4.1 and 4.3.

use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};

use super::panels::{Form, packed_len, panel_vectors};

/// F(OUT, 3) along one axis: `OUT` outputs from `IN = OUT + 2` inputs and as many multiplications.
pub(super) trait Points<const IN: usize, const OUT: usize> {
    /// G: what a kernel's three taps become.
    const WEIGHTS: [[f64; 3]; IN];

    /// B^T d.
    fn patch<S: Simd>(simd: S, d: [S::f32s; IN]) -> [S::f32s; IN];

    /// A^T m.
    fn output<S: Simd>(simd: S, m: [S::f32s; IN]) -> [S::f32s; OUT];
}

/// F(2, 3), at the points 0, 1, -1.
#[derive(Clone, Copy)]
pub(super) struct F2;

impl Points<4, 2> for F2 {
    const WEIGHTS: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

    #[inline(always)]
    fn patch<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
        [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
        let (sum, difference) = (simd.add_f32s(b, c), simd.sub_f32s(b, c));
        [simd.add_f32s(a, sum), simd.sub_f32s(difference, d)]
    }
}

/// F(4, 3), at the points 0, A, -A, B, -B: of the pairs that were tried this leaves the least rounding error, about twice that
/// of the direct sum where 1 and 2 leave four times as much.
#[derive(Clone, Copy)]
pub(super) struct F4;

const A: f32 = 0.625;
const B: f32 = 1.5;
/// N of the points A and -A, and of B and -B: the product of their distances from all others.
const NA: f64 = 2.0 * 0.390625 * (0.390625 - 2.25);
const NB: f64 = 2.0 * 2.25 * (2.25 - 0.390625);

impl Points<6, 4> for F4 {
    const WEIGHTS: [[f64; 3]; 6] = [
        [1.0 / (0.390625 * 2.25), 0.0, 0.0],
        [1.0 / NA, 0.625 / NA, 0.390625 / NA],
        [1.0 / NA, -0.625 / NA, 0.390625 / NA],
        [1.0 / NB, 1.5 / NB, 2.25 / NB],
        [1.0 / NB, -1.5 / NB, 2.25 / NB],
        [0.0, 0.0, 1.0],
    ];

    #[inline(always)]
    fn patch<S: Simd>(simd: S, [a, b, c, d, e, f]: [S::f32s; 6]) -> [S::f32s; 6] {
        let times = |factor: f32, x, y| simd.mul_add_e_f32s(simd.splat_f32s(factor), x, y);
        let (even_a, odd_a) = (times(-B * B, c, e), times(-B * B, b, d));
        let (even_b, odd_b) = (times(-A * A, c, e), times(-A * A, b, d));
        [
            times(A * A * B * B, a, times(-A * A - B * B, c, e)),
            times(A, odd_a, even_a),
            times(-A, odd_a, even_a),
            times(B, odd_b, even_b),
            times(-B, odd_b, even_b),
            times(A * A * B * B, b, times(-A * A - B * B, d, f)),
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, [a, b, c, d, e, f]: [S::f32s; 6]) -> [S::f32s; 4] {
        let times = |factor: f32, x, y| simd.mul_add_e_f32s(simd.splat_f32s(factor), x, y);
        let by = |factor: f32, x| simd.mul_f32s(simd.splat_f32s(factor), x);
        let (sum_a, odd_a) = (simd.add_f32s(b, c), simd.sub_f32s(b, c));
        let (sum_b, odd_b) = (simd.add_f32s(d, e), simd.sub_f32s(d, e));
        [
            simd.add_f32s(a, simd.add_f32s(sum_a, sum_b)),
            times(A, odd_a, by(B, odd_b)),
            times(A * A, sum_a, by(B * B, sum_b)),
            times(A * A * A, odd_a, times(B * B * B, odd_b, f)),
        ]
    }
}

/// `G g G^T` of every pair of channels, packed position after position. `backward` exchanges the channels and turns
/// the kernel round. w: `[3, 3, in, out]`; `channels`: those that are read and written.
pub(super) fn transform_weights<P: Points<IN, OUT>, const IN: usize, const OUT: usize>(
    lanes: usize,
    channels: [usize; 2],
    backward: bool,
    w: &[f32],
    out: &mut [f32],
) {
    Arch::new().dispatch(Weights::<P, IN, OUT> { lanes, channels, backward, w, out, points: PhantomData });
}

struct Weights<'a, P, const IN: usize, const OUT: usize> {
    lanes: usize,
    channels: [usize; 2],
    backward: bool,
    w: &'a [f32],
    out: &'a mut [f32],
    points: PhantomData<P>,
}

/// Columns transformed together.
const COLUMNS: usize = 8;

impl<P: Points<IN, OUT>, const IN: usize, const OUT: usize> WithSimd for Weights<'_, P, IN, OUT> {
    type Output = ();

    /// In f64, so that a weight is rounded once; nothing but its speed depends on the processor.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let [read, written] = self.channels;
        let position_len = packed_len(Form::Panels, self.lanes, read, written);
        let columns = if self.backward { read } else { written };
        let mut first = 0;
        while first < written {
            let width = self.lanes * panel_vectors(super::math::registers(), self.lanes, written - first);
            let valid = width.min(written - first);
            for term in 0..read {
                for column in (0..valid).step_by(COLUMNS) {
                    let count = COLUMNS.min(valid - column);
                    let mut g = [[[0.0_f64; COLUMNS]; 3]; 3];
                    for (ky, kx) in (0..3).flat_map(|y| (0..3).map(move |x| (y, x))) {
                        let tap = if self.backward { 8 - ky * 3 - kx } else { ky * 3 + kx } * read * written;
                        for (k, tapped) in g[ky][kx][..count].iter_mut().enumerate() {
                            let other = first + column + k;
                            let (row, column) = if self.backward { (other, term) } else { (term, other) };
                            *tapped = f64::from(self.w[tap + row * columns + column]);
                        }
                    }
                    let place = read * first + term * width + column;
                    for i in 0..IN {
                        let mut half = [[0.0; COLUMNS]; 3];
                        for kx in 0..3 {
                            half[kx] = weigh(P::WEIGHTS[i], [g[0][kx], g[1][kx], g[2][kx]]);
                        }
                        for j in 0..IN {
                            let u = weigh(P::WEIGHTS[j], half);
                            let out = &mut self.out[(i * IN + j) * position_len + place..];
                            for k in 0..count {
                                out[k] = u[k] as f32;
                            }
                        }
                    }
                }
            }
            first += width;
        }
    }
}

#[inline(always)]
fn weigh(factors: [f64; 3], g: [[f64; COLUMNS]; 3]) -> [f64; COLUMNS] {
    let mut sum = [0.0; COLUMNS];
    for (factor, g) in factors.iter().zip(&g) {
        for k in 0..COLUMNS {
            sum[k] += factor * g[k];
        }
    }
    sum
}
