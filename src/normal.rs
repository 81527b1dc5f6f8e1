//! The normal distribution's tail, also where it is too small for an f64.

use std::f64::consts::{PI, SQRT_2};

/// From here on the continued fraction is used: the complementary error function is still far from underflow.
const FAR: f64 = 5.0;

/// `log Pr[Z > x]` of a standard normal `Z`, for every finite `x`; at most 0. Relative error about 1e-14.
pub(crate) fn log_tail(x: f64) -> f64 {
    if x < -1.0 {
        (-0.5 * libm::erfc(-x / SQRT_2)).ln_1p()
    } else if x < FAR {
        (0.5 * libm::erfc(x / SQRT_2)).ln()
    } else {
        -0.5 * x * x - 0.5 * (2.0 * PI).ln() - inverse_mills(x).ln()
    }
}

/// Density over tail for `x >= FAR`, by Laplace's continued fraction `x + 1 / (x + 2 / (x + 3 / ...))`, from its end.
fn inverse_mills(x: f64) -> f64 {
    // At 5 the 80th convergent differs from the next by less than an ulp; further out far fewer are needed.
    let depth = if x < 10.0 { 80 } else { 30 };
    (1..=depth).rev().fold(x, |below, k| x + f64::from(k) / below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_equal_scipy() {
        // scipy.stats.norm.logsf of SciPy 1.17.1.
        let cases = [
            (38.0, -726.5572160188201),
            (10.0, -53.23128515051248),
            (3.0, -6.60772622151035),
            (0.5, -1.1759117615936188),
            (0.0, -std::f64::consts::LN_2),
            (-1.0, -0.1727537790234499),
            (-4.0, -3.1671743377489206e-05),
            (-9.0, -1.1285884059538324e-19),
        ];
        for (x, expected) in cases {
            let found = log_tail(x);
            assert!((found - expected).abs() <= 1e-13 * expected.abs(), "{x}: {found} is not {expected}");
        }
    }

    #[test]
    fn the_two_ways_meet() {
        let (near, far) = (log_tail(FAR.next_down()), log_tail(FAR));
        // The tail's own slope over one ulp is 5e-15.
        assert!((near - far).abs() < 1e-13, "{near} {far}");
    }
}
