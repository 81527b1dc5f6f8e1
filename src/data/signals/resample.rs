//! Signals at another sampling rate: a windowed sinc that passes what both rates can hold and stops what would fold back.

use std::collections::HashMap;

/// Zero crossings of the sinc on either side.
const CROSSINGS: f64 = 16.0;
/// Shape of the Kaiser window: what folds back is at least 80 dB weaker.
const BETA: f64 = 8.0;
/// Share of the lower rate's half that passes: the band between this and the half itself is the filter's slope.
const PASS: f64 = 0.94;
/// Places between two samples that are told apart: 2^-16 of a sample.
const PLACES: f64 = 65536.0;

/// Values between the samples of a signal, at steps of so many of them.
#[derive(Debug)]
pub struct Resampler {
    /// Samples of the signal between two values.
    step: f64,
    /// Filters by the place between two samples.
    filters: HashMap<u32, Vec<f64>>,
}

impl Resampler {
    /// From `from` samples a second to `to`.
    pub fn new(from: f64, to: f64) -> Self {
        Self { step: from / to, filters: HashMap::new() }
    }

    /// Samples that a value depends on, on either side.
    pub fn reach(&self) -> usize {
        if self.step == 1.0 { 0 } else { (CROSSINGS * self.step.max(1.0) / PASS).ceil() as usize }
    }

    /// Samples of the signal between two values.
    pub fn step(&self) -> f64 {
        self.step
    }

    /// The value at `place` of `samples`; NaN where one that it depends on is missing. The ends are held.
    pub fn value(&mut self, samples: &[f64], place: f64) -> f64 {
        let (mut before, mut between) = (place.floor(), ((place - place.floor()) * PLACES).round());
        if between == PLACES {
            (before, between) = (before + 1.0, 0.0);
        }
        let last = samples.len() as i64 - 1;
        let at = |k: i64| samples.get(k.clamp(0, last.max(0)) as usize).copied().unwrap_or(f64::NAN);
        let before = before as i64;
        if self.step == 1.0 && between == 0.0 {
            return at(before);
        }
        let reach = (CROSSINGS * self.step.max(1.0) / PASS).ceil() as i64;
        let step = self.step;
        let filter =
            self.filters.entry(between as u32).or_insert_with(|| filter(between / PLACES, step, reach));
        filter.iter().zip(before - reach + 1..).map(|(weight, k)| weight * at(k)).sum()
    }
}

/// Weights of the samples from `reach - 1` before to `reach` after a value that stands `between` two of them. They add up to 1.
fn filter(between: f64, step: f64, reach: i64) -> Vec<f64> {
    let slope = step.max(1.0);
    // The cut lies in the middle of the slope that ends at half the lower rate.
    let cut = PASS / slope;
    let width = CROSSINGS * slope / PASS;
    let weight = |k: i64| {
        let distance = k as f64 - between;
        let inside = 1.0 - (distance / width).powi(2);
        if inside <= 0.0 { 0.0 } else { sinc(distance * cut) * bessel(BETA * inside.sqrt()) }
    };
    let weights: Vec<f64> = (1 - reach..=reach).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

fn sinc(x: f64) -> f64 {
    let x = x * std::f64::consts::PI;
    if x.abs() < 1e-9 { 1.0 } else { x.sin() / x }
}

/// The modified Bessel function of the first kind and order 0, by its series.
fn bessel(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-17 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    /// The largest deviation of a resampled sine from the sine itself, away from the ends.
    fn deviation(from: f64, to: f64, hertz: f64) -> f64 {
        let samples: Vec<f64> = (0..4000).map(|k| 3.0 + (TAU * hertz * f64::from(k) / from).sin()).collect();
        let mut resampler = Resampler::new(from, to);
        let count = (3000.0 / resampler.step()) as usize;
        (0..count)
            .map(|j| {
                let place = 500.0 + j as f64 * resampler.step();
                (resampler.value(&samples, place) - 3.0 - (TAU * hertz * place / from).sin()).abs()
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn what_both_rates_hold_passes_and_what_folds_back_does_not() {
        for (from, to) in [(500.0, 100.0), (1000.0, 360.0), (250.0, 360.0), (128.0, 257.3), (360.0, 250.0)] {
            let low = f64::min(from, to);
            for share in [0.01, 0.1, 0.3, 0.4] {
                assert!(deviation(from, to, share * low) < 1e-3, "{from} to {to}, {share}");
            }
            if to < from {
                // Nothing is left of it: the deviation is the sine's own height.
                let left = deviation(from, to, 0.53 * to) - 1.0;
                assert!(left.abs() < 2e-2, "{from} to {to}: {left}");
            }
        }
    }

    #[test]
    fn the_same_rate_changes_no_bit_and_missing_samples_stay_missing() {
        let samples = [0.1, -0.7, f64::NAN, 2.5];
        let mut same = Resampler::new(360.0, 360.0);
        let read: Vec<u64> = (0..4).map(|k| same.value(&samples, f64::from(k)).to_bits()).collect();
        assert_eq!(read, samples.map(f64::to_bits));
        assert!(Resampler::new(500.0, 250.0).value(&samples, 0.0).is_nan());
        assert!(Resampler::new(500.0, 250.0).value(&[], 0.0).is_nan());
    }
}
