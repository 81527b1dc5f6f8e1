//! The privacy of DP-SGD: Renyi differential privacy (RDP) of the Gaussian mechanism on Poisson samples, and the (epsilon, delta) it promises.
//!
//! Each step takes every record with probability `sample_rate` and adds noise of standard deviation `noise_multiplier` times the clipping
//! norm to the sum of clipped gradients. Bounds are of Mironov, Talwar & Zhang 2019 (arXiv 1908.10530, section 3.3), for neighbours
//! that differ by one record added or removed; the conversion is theorem 21 of Balle et al. 2020 (arXiv 1905.09982), which Canonne, Kamath
//! & Steinke 2020 (arXiv 2004.00010, proposition 12) have, too. Orders and conversion are those of Opacus' RDP accountant.

use crate::normal::log_tail;
use crate::{Error, Result};

/// The largest noise multiplier that is looked for.
const MOST_NOISE: f64 = 1e6;
/// The smallest: below it no order gives a bound worth having.
const LEAST_NOISE: f64 = 1e-2;
/// How near to the smallest noise multiplier the search ends, relative to it.
const NOISE_TOLERANCE: f64 = 1e-9;
/// Terms of the series below `exp` of this end it; its sum is 1 or more.
const LAST_TERM: f64 = -30.0;

/// What training has spent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spent {
    /// Epsilon of (epsilon, delta)-differential privacy, 0 or more.
    pub epsilon: f64,
    /// The RDP order it comes from. At either end of [`orders`] other orders might give a smaller epsilon.
    pub order: f64,
}

/// A mechanism that was run some number of times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steps {
    /// Probability with which each record is taken into a batch, in `(0, 1]`.
    pub sample_rate: f64,
    /// Standard deviation of the noise over the clipping norm, positive and finite.
    pub noise_multiplier: f64,
    /// Number of steps.
    pub steps: u64,
}

/// The RDP orders that are tried: 1.1, 1.2, ... 10.9 and 12, 13, ... 63.
pub fn orders() -> Vec<f64> {
    (1..100).map(|tenth| 1.0 + f64::from(tenth) / 10.0).chain((12..64).map(f64::from)).collect()
}

/// The RDP of one step at `order` (above 1): the bound on the Renyi divergence, in nats, 0 or more.
pub fn renyi_divergence(sample_rate: f64, noise_multiplier: f64, order: f64) -> f64 {
    if sample_rate == 1.0 {
        return order / (2.0 * noise_multiplier * noise_multiplier);
    }
    let log_moment = if order.fract() == 0.0 {
        log_moment_whole(sample_rate, noise_multiplier, order)
    } else {
        log_moment_fractional(sample_rate, noise_multiplier, order)
    };
    log_moment.max(0.0) / (order - 1.0)
}

/// What steps of possibly different rates and noises have spent together, at `delta` in `(0, 1)`. No step at all spends 0, at order 0.
pub fn spent(history: &[Steps], delta: f64) -> Result<Spent> {
    check_delta(delta)?;
    for steps in history {
        check_rate(steps.sample_rate)?;
        if !(steps.noise_multiplier > 0.0 && steps.noise_multiplier.is_finite()) {
            let found = steps.noise_multiplier;
            return Err(Error::input("privacy accountant", "noise_multiplier", found, "a positive number"));
        }
    }
    if history.iter().all(|steps| steps.steps == 0) {
        return Ok(Spent { epsilon: 0.0, order: 0.0 });
    }
    let one = |order: f64| {
        let sum: f64 = history
            .iter()
            .map(|s| renyi_divergence(s.sample_rate, s.noise_multiplier, order) * s.steps as f64)
            .sum();
        let converted = sum - (delta.ln() + order.ln()) / (order - 1.0) + ((order - 1.0) / order).ln();
        Spent { epsilon: converted.max(0.0), order }
    };
    let all = orders().into_iter().map(one);
    let least = |best: Spent, next: Spent| if next.epsilon < best.epsilon { next } else { best };
    Ok(all.fold(Spent { epsilon: f64::INFINITY, order: f64::NAN }, least))
}

/// The smallest noise multiplier (to 1e-9 of it, and never below it) with which `steps` steps spend `epsilon` at most. An error where
/// no noise up to 1e6 will do: the orders alone cost more than such an epsilon.
pub fn noise_multiplier(epsilon: f64, delta: f64, sample_rate: f64, steps: u64) -> Result<f64> {
    check_delta(delta)?;
    check_rate(sample_rate)?;
    if !(epsilon > 0.0 && epsilon.is_finite()) {
        return Err(Error::input("privacy accountant", "epsilon", epsilon, "a positive number"));
    }
    if steps == 0 {
        return Err(Error::input("privacy accountant", "steps", 0, "1 or more"));
    }
    let enough = |noise_multiplier: f64| -> Result<bool> {
        Ok(spent(&[Steps { sample_rate, noise_multiplier, steps }], delta)?.epsilon <= epsilon)
    };
    let (mut low, mut high) = (LEAST_NOISE, LEAST_NOISE);
    while !enough(high)? {
        if high >= MOST_NOISE {
            let expected = format!("an epsilon that noise can buy at delta {delta}");
            return Err(Error::input("privacy accountant", "epsilon", epsilon, expected));
        }
        (low, high) = (high, 2.0 * high);
    }
    while high - low > NOISE_TOLERANCE * high {
        let middle = 0.5 * (low + high);
        if enough(middle)? { high = middle } else { low = middle }
    }
    Ok(high)
}

fn check_delta(delta: f64) -> Result<()> {
    if delta > 0.0 && delta < 1.0 {
        return Ok(());
    }
    Err(Error::input("privacy accountant", "delta", delta, "a number between 0 and 1"))
}

fn check_rate(rate: f64) -> Result<()> {
    if rate > 0.0 && rate <= 1.0 {
        return Ok(());
    }
    Err(Error::input("privacy accountant", "sample_rate", rate, "a probability above 0"))
}

/// `log A` of a whole order: `A - 1` as a sum of positive terms, `C(order, k) q^k (1 - q)^(order - k) (exp((k^2 - k) / (2 sigma^2)) - 1)`, since
/// the binomial probabilities add up to 1. Nothing cancels where `A` is near 1.
fn log_moment_whole(q: f64, sigma: f64, order: f64) -> f64 {
    let mut log_binomial = 0.0;
    let mut logs = Vec::with_capacity(order as usize);
    for k in 1..=order as u32 {
        let k = f64::from(k);
        log_binomial += ((order - k + 1.0) / k).ln();
        if k > 1.0 {
            let exponent = (k * k - k) / (2.0 * sigma * sigma);
            logs.push(log_binomial + k * q.ln() + (order - k) * (-q).ln_1p() + log_expm1(exponent));
        }
    }
    let log_excess = log_sum(logs.iter().map(|&log| (log, 1.0)));
    // log(1 + exp(x)) without overflow.
    log_excess.max(0.0) + (-log_excess.abs()).exp().ln_1p()
}

/// `log(exp(x) - 1)` for positive `x`.
fn log_expm1(x: f64) -> f64 {
    x + (-(-x).exp_m1()).ln()
}

/// `log A` of a fractional order: the integral cut at `z0`, where both densities of the mixture weigh the same, and each part expanded in a
/// binomial series whose terms are normal tails.
fn log_moment_fractional(q: f64, sigma: f64, order: f64) -> f64 {
    let z0 = sigma * sigma * (1.0 / q - 1.0).ln() + 0.5;
    let (log_q, log_rest) = (q.ln(), (-q).ln_1p());
    let gauss = |k: f64| (k * k - k) / (2.0 * sigma * sigma);
    let mut terms = Vec::new();
    let (mut k, mut coefficient) = (0.0, 1.0_f64);
    loop {
        let j = order - k;
        let log_coefficient = coefficient.abs().ln();
        let below = log_coefficient + k * log_q + j * log_rest + gauss(k) + log_tail((k - z0) / sigma);
        let above = log_coefficient + j * log_q + k * log_rest + gauss(j) + log_tail((z0 - j) / sigma);
        // Past the order the signs alternate while terms shrink, so that half of the last one is what is missing.
        let last = below.max(above) < LAST_TERM && k > order;
        let weight = if last { 0.5 } else { 1.0 };
        terms.push((below, coefficient.signum() * weight));
        terms.push((above, coefficient.signum() * weight));
        if last {
            break;
        }
        coefficient *= j / (k + 1.0);
        k += 1.0;
    }
    log_sum(terms.iter().copied())
}

/// `log of the sum of weight * exp(log)` over terms; the sum must be positive.
fn log_sum(terms: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let largest = terms.clone().map(|(log, _)| log).fold(f64::NEG_INFINITY, f64::max);
    largest + terms.map(|(log, weight)| weight * (log - largest).exp()).sum::<f64>().ln()
}
