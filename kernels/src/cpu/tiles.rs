//! Maxima over windows that tile an image, and their gradients: all channels of a window in one pass, in vectors.

use pulp::{Arch, Simd, WithSimd};

/// Positions of windows that tile an image of channels-last pixels: `rows * columns` to a window.
#[derive(Clone, Copy)]
pub(crate) struct Tiling {
    /// Pixels of an image's row.
    pub(crate) width: usize,
    /// Values of a pixel.
    pub(crate) channels: usize,
    /// Height and width of a window.
    pub(crate) window: [usize; 2],
}

impl Tiling {
    /// The ranges of all channels at the positions of window `o`, row by row.
    #[inline(always)]
    fn places<const N: usize>(&self, o: usize) -> [std::ops::Range<usize>; N] {
        let (across, row) = (self.width / self.window[1], self.width * self.channels);
        let corner = o / across * self.window[0] * row + o % across * self.window[1] * self.channels;
        std::array::from_fn(
            #[inline(always)]
            |k| {
                let place = corner + k / self.window[1] * row + k % self.window[1] * self.channels;
                place..place + self.channels
            },
        )
    }
}

/// Positions of a window for which there is code.
pub(crate) const WINDOWS: [usize; 4] = [2, 3, 4, 9];

/// The largest value of every window of an image; windows have one of the sizes [`WINDOWS`].
pub(crate) fn largest(tiling: Tiling, x: &[f32], y: &mut [f32]) {
    let arch = Arch::new();
    match tiling.window[0] * tiling.window[1] {
        2 => arch.dispatch(Largest::<2> { tiling, x, y }),
        3 => arch.dispatch(Largest::<3> { tiling, x, y }),
        4 => arch.dispatch(Largest::<4> { tiling, x, y }),
        9 => arch.dispatch(Largest::<9> { tiling, x, y }),
        _ => unreachable!("a window of another size"),
    }
}

/// The gradient of [`largest`]: dy goes to the first position that holds the largest value, all others get 0; with `gated` so
/// does that one unless its value is positive.
pub(crate) fn share(tiling: Tiling, x: &[f32], dy: &[f32], dx: &mut [f32], gated: bool) {
    let arch = Arch::new();
    match tiling.window[0] * tiling.window[1] {
        2 => arch.dispatch(Share::<2> { tiling, x, dy, dx, gated }),
        3 => arch.dispatch(Share::<3> { tiling, x, dy, dx, gated }),
        4 => arch.dispatch(Share::<4> { tiling, x, dy, dx, gated }),
        9 => arch.dispatch(Share::<9> { tiling, x, dy, dx, gated }),
        _ => unreachable!("a window of another size"),
    }
}

struct Largest<'a, const N: usize> {
    tiling: Tiling,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl<const N: usize> WithSimd for Largest<'_, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (o, y) in self.y.chunks_exact_mut(self.tiling.channels).enumerate() {
            let places = self.tiling.places::<N>(o);
            for first in (0..y.len()).step_by(S::F32_LANES) {
                let strip = first..y.len().min(first + S::F32_LANES);
                let (best, _) = winners::<S, N>(simd, self.x, &places, &strip);
                store(simd, &mut y[strip], best);
            }
        }
    }
}

struct Share<'a, const N: usize> {
    tiling: Tiling,
    x: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    gated: bool,
}

impl<const N: usize> WithSimd for Share<'_, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let zero = simd.splat_f32s(0.0);
        for (o, dy) in self.dy.chunks_exact(self.tiling.channels).enumerate() {
            let places = self.tiling.places::<N>(o);
            for first in (0..dy.len()).step_by(S::F32_LANES) {
                let strip = first..dy.len().min(first + S::F32_LANES);
                let (best, taken) = winners::<S, N>(simd, self.x, &places, &strip);
                let mut dy = load(simd, &dy[strip.clone()]);
                if self.gated {
                    dy = simd.select_f32s(simd.greater_than_f32s(best, zero), dy, zero);
                }
                for (k, place) in places.iter().enumerate() {
                    let own = simd.equal_f32s(taken, simd.splat_f32s(k as f32));
                    let dx = &mut self.dx[place.start + strip.start..place.start + strip.end];
                    store(simd, dx, simd.select_f32s(own, dy, zero));
                }
            }
        }
    }
}

/// The largest of a window's values for a strip of channels, and which position holds it first; a NaN is larger than anything.
#[inline(always)]
fn winners<S: Simd, const N: usize>(
    simd: S,
    x: &[f32],
    places: &[std::ops::Range<usize>; N],
    strip: &std::ops::Range<usize>,
) -> (S::f32s, S::f32s) {
    let mut best = simd.splat_f32s(f32::NEG_INFINITY);
    let mut taken = simd.splat_f32s(0.0);
    for (k, place) in places.iter().enumerate() {
        let x = load(simd, &x[place.start + strip.start..place.start + strip.end]);
        let broken = simd.not_m32s(simd.equal_f32s(x, x));
        let wins = simd.or_m32s(simd.greater_than_f32s(x, best), broken);
        best = simd.select_f32s(wins, x, best);
        taken = simd.select_f32s(wins, simd.splat_f32s(k as f32), taken);
    }
    (best, taken)
}

#[inline(always)]
fn load<S: Simd>(simd: S, x: &[f32]) -> S::f32s {
    match S::as_simd_f32s(x) {
        ([whole], []) => *whole,
        _ => simd.partial_load_f32s(x),
    }
}

#[inline(always)]
fn store<S: Simd>(simd: S, y: &mut [f32], values: S::f32s) {
    match S::as_mut_simd_f32s(y) {
        ([whole], []) => *whole = values,
        (_, _) => simd.partial_store_f32s(y, values),
    }
}
