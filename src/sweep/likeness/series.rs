//! Signals and plain features: whether a scaling brings them near mean 0 and deviation 1, and whether somebody standardised them before.

use super::Doubt;
use super::seen::{Channel, Seen};
use crate::models::Standardisation;

/// Deviations that a mean may lie from the model's.
const MEAN: f64 = 3.0;
/// Factor between a deviation and the model's.
const SPREAD: f64 = 10.0;
/// The same of a single feature or lead by its percentiles, which a few values far out do not move.
const MEDIAN: f64 = 5.0;
const WIDTH: f64 = 20.0;
/// Values from which on they say something.
const ENOUGH: usize = 50;
/// Samples from which on equal means, deviations and ranges are no chance.
const SAMPLES: usize = 5;
/// Distance between the tenth and the ninetieth percentile of a normal distribution of deviation 1.
const NORMAL: f64 = 2.563;

pub(super) const FAR: &str = "another unit, or an offset that is missing?";

/// Whether scaled values as a whole are far from mean 0 and deviation 1.
pub(super) fn far(scaled: &[Channel]) -> bool {
    let n = scaled.len().max(1) as f64;
    let mean = scaled.iter().map(|own| own.mean).sum::<f64>() / n;
    let square = scaled.iter().map(|own| own.deviation.powi(2) + (own.mean - mean).powi(2)).sum::<f64>() / n;
    let constant = scaled.iter().all(Channel::is_constant);
    mean.abs() > MEAN || !constant && !(SPREAD.recip()..=SPREAD).contains(&square.sqrt())
}

/// What is strange about values under a scaling; `names` are those of a table's columns.
pub(super) fn doubt(seen: &Seen, scaling: &Standardisation, names: &[String]) -> Option<Doubt> {
    let scaled = seen.scaled(scaling);
    let near = scaled.iter().all(|own| own.mean.abs() <= 0.5 && (0.5..=2.0).contains(&own.deviation));
    if near {
        return None;
    }
    if let Some(how) = standardised(seen) {
        let fitting = Standardisation { mean: vec![0.0], std: vec![1.0] };
        return Some(Doubt {
            why: format!("{how} already, and the model does it again?"),
            fitting: Some(fitting),
        });
    }
    if far(&scaled) {
        return Some(Doubt { why: FAR.into(), fitting: None });
    }
    let strange = scaled.iter().position(one_far)?;
    let own = &scaled[strange];
    let which = match names.get(strange).filter(|_| names.len() == scaled.len()) {
        Some(name) => format!("`{name}`"),
        None => format!("number {strange} of {}", scaled.len()),
    };
    let why = format!(
        "of these values {which} comes to {} to {} (tenth to ninetieth percentile): {FAR}",
        super::seen::number(own.percentiles[0]),
        super::seen::number(own.percentiles[2])
    );
    Some(Doubt { why, fitting: None })
}

/// Whether one channel's percentiles are far from those of mean 0 and deviation 1.
fn one_far(own: &Channel) -> bool {
    let [low, middle, high] = own.percentiles;
    let width = (high - low) / NORMAL;
    own.count >= ENOUGH
        && !own.is_constant()
        && (middle.abs() > MEDIAN.max(WIDTH.min(width)) || width > WIDTH)
}

/// How values were standardised by somebody, if they show it.
fn standardised(seen: &Seen) -> Option<&'static str> {
    let varied = seen.ranges.iter().filter(|[low, high]| low < high).count();
    if varied >= SAMPLES {
        let of_each = |[mean, deviation]: &[f64; 2]| mean.abs() < 1e-3 && (deviation - 1.0).abs() < 0.02;
        if seen.moments.iter().filter(|own| of_each(own)).count() >= varied.max(seen.samples * 9 / 10) {
            return Some("every sample is standardised by its own mean and deviation");
        }
        let first = seen.ranges.iter().find(|[low, high]| low < high)?;
        let alike = |[low, high]: &[f64; 2]| (low - first[0]).abs() < 1e-5 && (high - first[1]).abs() < 1e-5;
        let usual = [[0.0, 1.0], [-1.0, 1.0]].iter().any(alike);
        if usual && seen.ranges.iter().filter(|own| alike(own)).count() >= varied.max(seen.samples * 9 / 10) {
            return Some("every sample is brought to a range of its own");
        }
    }
    let channels = seen.channels.iter().filter(|own| !own.is_constant());
    let scores = |own: &Channel| own.mean.abs() < 0.1 && (own.deviation - 1.0).abs() < 0.1 && own.low < 0.0;
    let (all, alike) = channels.fold((0, 0), |(all, alike), own| (all + 1, alike + usize::from(scores(own))));
    (all > 0 && alike == all && seen.samples >= SAMPLES && seen.all.count >= 5 * ENOUGH)
        .then_some("the values are standardised")
}
