//! Elementary functions without branches, which the compiler turns into vector code inside [`vectorised`].
//!
//! Every function is a range reduction and a truncated series; the bounds of truncation are in the comments, the
//! error against f64 over the whole range is tested.

use pulp::{Arch, Simd, WithSimd};

/// Runs `work` with the widest vector instructions of this processor. What it calls must be `#[inline(always)]`.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

/// f32 lanes of a vector of this processor.
pub(crate) fn lanes() -> usize {
    Arch::new().dispatch(Vectors).0
}

/// Vector registers of this processor.
pub(crate) fn registers() -> usize {
    Arch::new().dispatch(Vectors).1
}

struct Vectors;

impl WithSimd for Vectors {
    type Output = (usize, usize);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> (usize, usize) {
        (S::F32_LANES, S::REGISTER_COUNT)
    }
}

/// Adding and subtracting it rounds to a whole number; the sum's low bits are that number.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts, the first in f32, the second what is missing.
const LN2: [f32; 2] = [std::f32::consts::LN_2, -1.904_654_3e-9];

#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// e^x: with `x = n ln 2 + r`, `|r| <= ln 2 / 2`, the series to r^7 (remainder 5e-9), times 2^n in two steps so that
/// subnormal results and overflow come out right.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -104.0 { -104.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2[1], n.mul_add(-LN2[0], x));
    let mut p = 1.0 / 5040.0;
    p = r.mul_add(p, 1.0 / 720.0);
    p = r.mul_add(p, 1.0 / 120.0);
    p = r.mul_add(p, 1.0 / 24.0);
    p = r.mul_add(p, 1.0 / 6.0);
    p = r.mul_add(p, 0.5);
    p = r.mul_add(p, 1.0);
    p = r.mul_add(p, 1.0);
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = n >> 1;
    p * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// ln x: with `x = 2^n (1 + f)`, `sqrt(1/2) <= 1 + f < sqrt 2` and `s = f / (2 + f)`, `ln(1 + f) = 2 artanh s = f - h + s
/// (h + r)` where `h = f^2 / 2` and r is the series of `2 artanh(s) / s - 2` to s^8 (remainder 4e-9).
#[inline(always)]
pub(crate) fn log(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 33_554_432.0 } else { x };
    let bits = scaled.to_bits() as i32;
    // Subtracting the bits of sqrt(1/2) makes the exponent field count from the reduced range's lower end.
    let n = bits.wrapping_sub(0x3F35_04F3) >> 23;
    let f = f32::from_bits(bits.wrapping_sub(n << 23) as u32) - 1.0;
    let n = n as f32 - if tiny { 25.0 } else { 0.0 };
    let s = f / (2.0 + f);
    let z = s * s;
    let mut r = 2.0 / 9.0;
    r = z.mul_add(r, 2.0 / 7.0);
    r = z.mul_add(r, 2.0 / 5.0);
    r = z.mul_add(r, 2.0 / 3.0);
    r *= z;
    let h = 0.5 * f * f;
    let low = s.mul_add(h + r, n * LN2[1]);
    let y = n.mul_add(LN2[0], f - (h - low));
    let y = if x < f32::INFINITY { y } else { x };
    let y = if x > 0.0 { y } else { f32::NAN };
    if x == 0.0 { f32::NEG_INFINITY } else { y }
}

/// tanh x: near 0 the fifth convergent of Lambert's fraction `x / (1 + x^2 / (3 + x^2 / (5 + ...)))`, written as x less a
/// correction; elsewhere `1 - 2 / (e^2|x| + 1)`.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let z = x * x;
    let near = a - a * z * z.mul_add(14.0, 315.0) / z.mul_add(z.mul_add(15.0, 420.0), 945.0);
    let far = 1.0 - 2.0 / (exp(2.0 * a) + 1.0);
    let y = if a < 0.625 { near } else { far };
    y.copysign(x)
}

/// `1 / (1 + e^-x)`, in the form that loses nothing for negative x.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    let top = if x < 0.0 { e } else { 1.0 };
    top / (1.0 + e)
}

/// The error function: below 0.93 x times a polynomial in x^2 (off by 5e-10), above it `1 - e^-t p(t)` with a polynomial p of degree 7 that
/// leaves 2e-10; from 3.92 on the result is 1.
#[inline(always)]
pub(crate) fn erf(x: f32) -> f32 {
    let a = x.abs();
    let z = x * x;
    let mut p = 8.345_229e-5;
    p = z.mul_add(p, -8.137_439e-4);
    p = z.mul_add(p, 5.200_634_7e-3);
    p = z.mul_add(p, -2.685_927e-2);
    p = z.mul_add(p, 0.112_836_94);
    p = z.mul_add(p, -0.376_126_35);
    p = z.mul_add(p, 0.128_379_17);
    let near = a.mul_add(p, a);
    let t = if a > 4.0 { 4.0 } else { a };
    let mut q = 4.639_353e-6;
    q = t.mul_add(q, -4.194_774_7e-5);
    q = t.mul_add(q, -6.805_97e-5);
    q = t.mul_add(q, 2.981_081_6e-3);
    q = t.mul_add(q, -2.275_637_4e-2);
    q = t.mul_add(q, 0.105_340_53);
    q = t.mul_add(q, 0.635_585_25);
    q = t.mul_add(q, 1.128_560_4);
    let far = 1.0 - exp(-t * q);
    let y = if a < 0.93 { near } else { far };
    y.copysign(x)
}

/// The normal distribution function, good to a few units of 6e-8.
#[inline(always)]
fn normal(x: f32) -> f32 {
    0.5f32.mul_add(erf(x * std::f32::consts::FRAC_1_SQRT_2), 0.5)
}

/// x times the normal distribution function of x.
#[inline(always)]
pub(crate) fn gelu(x: f32) -> f32 {
    x * normal(x)
}

/// The slope of [`gelu`]: the normal distribution function of x, and x times its density.
#[inline(always)]
pub(crate) fn gelu_slope(x: f32) -> f32 {
    /// 1 / sqrt(2 pi)
    const DENSITY: f32 = 0.398_942_3;
    // x^2 overflows where the density has long been 0.
    let a = if x.abs() > 20.0 { 20.0f32.copysign(x) } else { x };
    (a * DENSITY).mul_add(exp(-0.5 * a * a), normal(x))
}

/// sin r and cos r for `|r| <= pi / 4`: series to r^9 and r^10 (remainders 2e-9 and 1e-10).
#[inline(always)]
fn sin_cos_reduced(r: f32) -> (f32, f32) {
    let z = r * r;
    let mut s = 1.0 / 362_880.0;
    s = z.mul_add(s, -1.0 / 5040.0);
    s = z.mul_add(s, 1.0 / 120.0);
    s = z.mul_add(s, -1.0 / 6.0);
    let sin = (r * z).mul_add(s, r);
    let mut c = -1.0 / 3_628_800.0;
    c = z.mul_add(c, 1.0 / 40_320.0);
    c = z.mul_add(c, -1.0 / 720.0);
    c = z.mul_add(c, 1.0 / 24.0);
    c = z.mul_add(c, -0.5);
    (sin, z.mul_add(c, 1.0))
}

/// sin and cos of `r + quadrant pi / 2`.
#[inline(always)]
fn in_quadrant(r: f32, quadrant: i32) -> (f32, f32) {
    let (s, c) = sin_cos_reduced(r);
    let (sin, cos) = if quadrant & 1 == 0 { (s, c) } else { (c, s) };
    let sin = if quadrant & 2 == 0 { sin } else { -sin };
    let cos = if quadrant.wrapping_add(1) & 2 == 0 { cos } else { -cos };
    (sin, cos)
}

/// sin and cos of `2 pi u` for u in [0, 1): the reduction to a quarter turn is exact.
#[inline(always)]
pub(crate) fn sin_cos_turns(u: f32) -> (f32, f32) {
    let quarters = 4.0 * u;
    let shifted = quarters + ROUND;
    let q = shifted - ROUND;
    in_quadrant((quarters - q) * std::f32::consts::FRAC_PI_2, shifted.to_bits() as i32)
}

/// Largest |x| that [`sin_cos`] reduces accurately.
pub(crate) const SIN_COS_LIMIT: f32 = 1e6;

/// sin and cos of x up to [`SIN_COS_LIMIT`], with the multiple of pi / 2 taken away in f64.
#[inline(always)]
pub(crate) fn sin_cos(x: f32) -> (f32, f32) {
    /// As `ROUND`, for f64.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let x = f64::from(x);
    let shifted = x.mul_add(std::f64::consts::FRAC_2_PI, ROUND);
    let q = shifted - ROUND;
    let r = q.mul_add(-6.123_233_995_736_766e-17, q.mul_add(-std::f64::consts::FRAC_PI_2, x));
    in_quadrant(r as f32, shifted.to_bits() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error in units of the last place of the exact result, over f32s of the whole range and both signs.
    fn worst(f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, range: impl Fn(f32) -> bool) -> (f64, f32) {
        let mut worst = (0.0, 0.0);
        for bits in (0..=u32::MAX).step_by(1009) {
            let x = f32::from_bits(bits);
            if x.is_nan() || !range(x) {
                continue;
            }
            let (found, exact) = (f64::from(f(x)), exact(f64::from(x)));
            let rounded = exact as f32;
            if f64::from(rounded) == found || (rounded.is_nan() && found.is_nan()) {
                continue;
            }
            let last_place = f64::from((rounded.abs().to_bits().max(0x80_0000) & 0x7F80_0000) >> 23) - 150.0;
            let error = (found - exact).abs() / last_place.exp2();
            if error.is_nan() || error > worst.0 {
                worst = (error, x);
            }
        }
        worst
    }

    /// `2 / sqrt(pi) e^-x^2 sum_n 2^n x^(2n + 1) / (2n + 1)!!`, whose terms have one sign (Abramowitz & Stegun 1964, 7.1.6).
    fn exact_erf(x: f64) -> f64 {
        if x.abs() > 6.0 {
            return 1.0_f64.copysign(x);
        }
        let terms = (1..200).scan(x, |term, n| {
            *term *= 2.0 * x * x / f64::from(2 * n + 1);
            Some(*term)
        });
        std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * (x + terms.sum::<f64>())
    }

    fn exact_normal(x: f64) -> f64 {
        0.5 + 0.5 * exact_erf(x * std::f64::consts::FRAC_1_SQRT_2)
    }

    fn exact_slope(x: f64) -> f64 {
        exact_normal(x) + x * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
    }

    #[test]
    fn elementary_functions_are_close_over_the_whole_range() {
        let all = |_: f32| true;
        let checks = [
            ("exp", worst(exp, f64::exp, all), 2.0),
            ("log", worst(log, f64::ln, all), 1.0),
            ("tanh", worst(tanh, f64::tanh, all), 2.0),
            ("sigmoid", worst(sigmoid, |x| 1.0 / (1.0 + (-x).exp()), all), 2.5),
            ("erf", worst(erf, exact_erf, all), 1.5),
            // Left of that a difference of nearly equal numbers is all that is left.
            ("gelu", worst(gelu, |x| x * exact_normal(x), |x| x > -0.25), 3.0),
            ("gelu_slope", worst(gelu_slope, exact_slope, |x| x > -0.25), 4.0),
            ("sin", worst(|x| sin_cos(x).0, f64::sin, |x| x.abs() <= SIN_COS_LIMIT), 2.0),
            ("cos", worst(|x| sin_cos(x).1, f64::cos, |x| x.abs() <= SIN_COS_LIMIT), 2.0),
        ];
        for (name, (error, x), limit) in checks {
            assert!(error <= limit, "{name}({x:e}) is off by {error} units in the last place");
        }
    }

    #[test]
    fn elementary_functions_meet_the_ends() {
        let huge = f32::INFINITY;
        assert_eq!([exp(huge), exp(-huge), exp(0.0)], [huge, 0.0, 1.0]);
        assert_eq!([log(huge), log(0.0), log(1.0)], [huge, -huge, 0.0]);
        assert_eq!([tanh(huge), tanh(-huge), tanh(0.0)], [1.0, -1.0, 0.0]);
        assert_eq!([sigmoid(huge), sigmoid(-huge), sigmoid(0.0)], [1.0, 0.0, 0.5]);
        assert_eq!([erf(huge), erf(-huge), erf(0.0), erf(4.0)], [1.0, -1.0, 0.0, 1.0]);
        let nans =
            [exp(f32::NAN), log(f32::NAN), log(-1.0), tanh(f32::NAN), sigmoid(f32::NAN), erf(f32::NAN)];
        assert!(nans.iter().all(|nan| nan.is_nan()));
        assert_eq!([sin_cos_turns(0.0), sin_cos_turns(0.5)], [(0.0, 1.0), (-0.0, -1.0)]);
    }

    #[test]
    fn vectors_and_scalars_agree_to_the_bit() {
        let x: Vec<f32> = (0..1037).map(|i| (i as f32 - 500.0) * 0.171).collect();
        for f in [exp, tanh, sigmoid, erf, gelu, gelu_slope, log] {
            let mut y = vec![0.0; x.len()];
            vectorised(
                #[inline(always)]
                || y.iter_mut().zip(&x).for_each(|(y, &x)| *y = f(x)),
            );
            let same = y.iter().zip(&x).all(|(y, &x)| y.to_bits() == f(x).to_bits() || y.is_nan());
            assert!(same);
        }
    }
}
