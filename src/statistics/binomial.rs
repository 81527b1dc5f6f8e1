//! Exact intervals of a share (Clopper & Pearson 1934), by inverting the binomial distribution's incomplete beta function.

use super::Interval;

/// The 95% Clopper-Pearson interval of `successes` of `n` independent trials; `None` for no trials.
///
/// Its ends are the 2.5% quantile of Beta(k, n - k + 1) and the 97.5% quantile of Beta(k + 1, n - k).
pub fn clopper_pearson(successes: u64, n: u64) -> Option<Interval> {
    if n == 0 || successes > n {
        return None;
    }
    let (k, rest) = (successes as f64, (n - successes) as f64);
    let low = if successes == 0 { 0.0 } else { beta_quantile(0.025, k, rest + 1.0) };
    let high = if successes == n { 1.0 } else { beta_quantile(0.975, k + 1.0, rest) };
    Some(Interval { low, high, method: "clopper-pearson", few_groups: false })
}

/// The chance that of `more + fewer` fair coins `more` at least show heads: how readily chance alone would part what differs so unevenly
/// (McNemar 1947, exact and one-sided). 1 where nothing differs.
pub fn sign_test(more: u64, fewer: u64) -> f64 {
    if more == 0 { 1.0 } else { incomplete_beta(0.5, more as f64, fewer as f64 + 1.0) }
}

/// The point below which Beta(a, b) has the share `p`, by bisection to the last bit.
fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        if incomplete_beta(middle, a, b) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// The regularised incomplete beta function `I_x(a, b)` for `0 < x < 1` and positive `a`, `b` (DLMF 8.17.22).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    // The fraction converges fast below the distribution's mean; above it, the complement's does.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let log_beta = libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
    let front = (a * x.ln() + b * (-x).ln_1p() - log_beta).exp() / a;
    front / fraction(x, a, b)
}

/// The denominator of the continued fraction of DLMF 8.17.22, `1 + d1 / (1 + d2 / (1 + ...))`, by Lentz's method as Thompson and Barnett
/// 1986 amend it.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let (mut value, mut c, mut d) = (1.0, 1.0, 0.0);
    // The number of terms grows with the root of a + b; this is past a billion trials.
    for m in 1..100_000_u32 {
        let half = f64::from(m / 2);
        let term = if m % 2 == 0 {
            half * (b - half) * x / ((a + 2.0 * half - 1.0) * (a + 2.0 * half))
        } else {
            -(a + half) * (a + b + half) * x / ((a + 2.0 * half) * (a + 2.0 * half + 1.0))
        };
        d = 1.0 + term * d;
        d = 1.0 / if d.abs() < TINY { TINY } else { d };
        c = 1.0 + term / c;
        c = if c.abs() < TINY { TINY } else { c };
        value *= c * d;
        if (c * d - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clopper_pearson_equals_scipys_beta_quantiles() {
        // scipy.stats.beta.ppf of SciPy 1.17.1.
        let cases = [
            (0, 10, 0.0, 0.3084971078187607),
            (1, 10, 0.0025285785444617848, 0.4450161170281954),
            (5, 10, 0.18708602844739855, 0.8129139715526015),
            (10, 10, 0.6915028921812392, 1.0),
            (3, 1000, 0.0006190999316495713, 0.008742023238478303),
            (997, 1000, 0.9912579767615217, 0.9993809000683505),
        ];
        for (k, n, low, high) in cases {
            let found =
                clopper_pearson(k, n).map_or((f64::NAN, f64::NAN), |interval| (interval.low, interval.high));
            assert!((found.0 - low).abs() < 1e-12 && (found.1 - high).abs() < 1e-12, "{k} of {n}: {found:?}");
        }
        assert!(clopper_pearson(0, 0).is_none());
    }

    #[test]
    fn the_sign_test_counts_coins() {
        // Sums of binomial coefficients; the last is scipy.stats.binom.sf(59, 100, 0.5).
        let cases = [
            (0, 0, 1.0),
            (0, 5, 1.0),
            (1, 0, 0.5),
            (7, 0, 1.0 / 128.0),
            (9, 1, 11.0 / 1024.0),
            (10, 1, 12.0 / 2048.0),
            (60, 40, 0.028_443_966_820_490_392),
        ];
        for (more, fewer, expected) in cases {
            let found = sign_test(more, fewer);
            assert!((found - expected).abs() < 1e-12, "{more} to {fewer}: {found}");
        }
    }
}
