//! The steps between neighbouring values of data that were quantised: grey levels, counts, a laboratory's digits. A budget below them asks for
//! samples that the data cannot hold.

use std::ops::Range;

use crate::data::Dataset;
use crate::models::Input;

/// Values that are looked at.
const LOOKED_AT: usize = 1 << 18;
/// Levels that quantised values have at most, and at least for the gaps between them to be a common step.
const LEVELS: std::ops::RangeInclusive<usize> = 8..=1 << 16;
/// Values from which on fewer levels are no chance.
const ENOUGH: usize = 50;

/// Of each of a model's inputs the smallest step, in units of a perturbation; `None` where one of its values moves without steps.
pub fn steps(data: &Dataset, inputs: &[Input]) -> Vec<(Range<usize>, Option<f64>)> {
    let all = 0..data.sample_len();
    let larger = |range: Range<usize>| {
        let steps = step_within(data, range.clone()).into_iter().chain(spacing_within(data, range));
        steps.max_by(f64::total_cmp)
    };
    if inputs.len() < 2 {
        return vec![(all.clone(), larger(all))];
    }
    inputs.iter().map(|input| (input.range.clone(), larger(input.range.clone()))).collect()
}

/// That of the input that a budget is for, `None` standing for a single one.
pub fn step_of(steps: &[(Range<usize>, Option<f64>)], input: Option<&Range<usize>>) -> Option<f64> {
    match input {
        Some(range) => steps.iter().find(|(own, _)| own == range).and_then(|(_, step)| *step),
        None => steps.first().and_then(|(_, step)| *step),
    }
}

/// Whether a budget is smaller than such a step, by more than digits that were left out of it may have made it.
pub fn is_below(eps: f64, step: f64) -> bool {
    eps < step * 0.99
}

/// Pixels and signals are of one kind; other features are each of their own, and those that cannot change do not count.
fn step_within(data: &Dataset, range: Range<usize>) -> Option<f64> {
    let (len, domain) = (data.sample_len().max(1), &data.domain);
    let scale =
        |at: usize| f64::from(if domain.scale.len() == 1 { domain.scale[0] } else { domain.scale[at] });
    let alike = range.clone().all(|at| scale(at) == scale(range.start));
    let field = data.shape.len() == 3 || !data.inputs.is_empty();
    if field && domain.features.is_empty() && alike && range.end <= len {
        let values = data.values.chunks_exact(len).flat_map(|sample| &sample[range.clone()]);
        return step(values.copied(), data.len() * range.len())
            .flatten()
            .map(|step| step / scale(range.start));
    }
    let mut smallest: Option<f64> = None;
    for at in range.filter(|&at| at < len && !domain.immutable.get(at).copied().unwrap_or(false)) {
        let values = data.values.iter().skip(at).step_by(len).copied();
        // A constant says nothing of steps.
        let Some(own) = step(values, data.len()) else { continue };
        smallest = Some(smallest.unwrap_or(f64::INFINITY).min(own? / scale(at)));
    }
    smallest
}

/// The distance between neighbouring f32 at values of the feature that it is largest of: at the median of their sizes, so that half of the
/// feature's values cannot move by less. A constant is no feature.
fn spacing_within(data: &Dataset, range: Range<usize>) -> Option<f64> {
    let (len, domain) = (data.sample_len().max(1), &data.domain);
    let scale = |at: usize| f64::from(domain.scale[if domain.scale.len() == 1 { 0 } else { at }]);
    let every = data.values.len().div_ceil(LOOKED_AT).max(1);
    let of = |at: usize| {
        let mut values: Vec<f32> = data.values.iter().skip(at).step_by(len * every).copied().collect();
        values.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
        let middle = values.get(values.len() / 2)?.abs();
        let varies = values.first() != values.last() && middle.is_finite();
        varies.then(|| f64::from(middle.next_up() - middle) / scale(at))
    };
    let movable = |at: &usize| !domain.immutable.get(*at).copied().unwrap_or(false);
    range.filter(|at| *at < len).filter(movable).filter_map(of).max_by(f64::total_cmp)
}

/// The common step of `count` values; `None` of a constant, `Some(None)` of values without one.
fn step(values: impl Iterator<Item = f32>, count: usize) -> Option<Option<f64>> {
    let every = count.div_ceil(LOOKED_AT).max(1);
    let mut levels: Vec<f32> = values.step_by(every).filter(|x| x.is_finite()).collect();
    let seen = levels.len();
    levels.sort_unstable_by(f32::total_cmp);
    // -0 is 0.
    levels.dedup_by(|a, b| a == b);
    let (Some(&first), Some(&last)) = (levels.first(), levels.last()) else { return None };
    if levels.len() < 2 {
        return None;
    }
    let (first, last) = (f64::from(first), f64::from(last));
    let gaps = levels.windows(2).map(|pair| f64::from(pair[1]) - f64::from(pair[0]));
    let step = gaps.fold(f64::INFINITY, f64::min);
    let multiple = |x: &f32| {
        let steps = (f64::from(*x) - first) / step;
        // f32 holds a value to 6e-8 of itself.
        (steps - steps.round()).abs() <= 0.01 + 1.2e-7 * f64::from(x.abs()).max(first.abs()) / step
    };
    let dense = levels.len() as f64 * step >= 0.02 * (last - first);
    let even = LEVELS.contains(&levels.len()) && dense && levels.iter().all(multiple);
    let few = levels.len() < *LEVELS.start() && seen >= ENOUGH;
    let whole = || levels.iter().all(|x| x.fract() == 0.0 && x.abs() < 16_777_216.0);
    Some(if even || few { Some(step) } else { whole().then_some(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_found_where_there_are_some_and_nowhere_else() {
        let n = 400;
        let noise = |i: usize| ((i as f64 * 0.754_877_666).fract() * 3.7 - 1.0) as f32;
        let cases: [(&str, Box<dyn Fn(usize) -> f32>, Option<Option<f64>>); 9] = [
            ("grey levels", Box::new(|i| (i * 37 % 256) as f32), Some(Some(1.0))),
            ("grey levels from 0 to 1", Box::new(|i| (i * 37 % 256) as f32 / 255.0), Some(Some(1.0 / 255.0))),
            (
                "counts with one far out",
                Box::new(|i| if i == 7 { 90_001.0 } else { (i * i % 41) as f32 }),
                Some(Some(1.0)),
            ),
            ("tenths", Box::new(|i| (i * 13 % 97) as f32 / 10.0), Some(Some(0.1))),
            ("yes and no", Box::new(|i| (i % 2) as f32), Some(Some(1.0))),
            (
                "yes and no, standardised",
                Box::new(|i| if i % 2 == 0 { -0.25 } else { 1.5 }),
                Some(Some(1.75)),
            ),
            ("continuous", Box::new(noise), Some(None)),
            (
                "mostly zero, else continuous",
                Box::new(move |i| if i % 3 > 0 { 0.0 } else { noise(i) }),
                Some(None),
            ),
            ("constant", Box::new(|_| 3.0), None),
        ];
        for (name, value, right) in cases {
            let found = step((0..n).map(value), n);
            let close = match (found, right) {
                (Some(Some(found)), Some(Some(right))) => (found - right).abs() <= 1e-5 * right,
                (found, right) => found == right,
            };
            assert!(close, "{name}: {found:?}, not {right:?}");
        }
    }
}
