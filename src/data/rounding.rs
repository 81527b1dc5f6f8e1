//! What numbers of a file lose as they become f32, which everything is computed in: seen while they are read, since nothing shows it later.

use super::Remark;

/// The word for values that are other ones in f32.
pub const FLAG: &str = "rounded-to-f32";
/// f32 holds every whole number up to here.
const EXACT: f64 = 16_777_216.0;
/// f64 holds every whole number up to here: beyond, any number is whole.
const WHOLE: f64 = 9_007_199_254_740_992.0;
/// The distance of neighbouring f32 matters above this share of a feature's own deviation.
const SHARE: f64 = 1e-3;
/// A deviation below this share of the mean is itself rounding, that of f64.
const CONSTANT: f64 = 1e-12;
/// Features that a sentence names.
const NAMED: usize = 5;

/// The values of one feature, as they pass.
#[derive(Clone, Debug, Default)]
pub struct Feature {
    count: f64,
    first: f64,
    /// Of the distances from the first: sums of them and of their squares.
    sums: [f64; 2],
    /// Sum of the squared rounding errors.
    errors: f64,
    /// Whole numbers that f32 changes, and one of them.
    changed: (usize, f64),
    /// A large number that is not whole: the feature does not count or name anything.
    broken: bool,
}

impl Feature {
    /// Takes a value down.
    pub fn see(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.count == 0.0 {
            self.first = value;
        }
        let (away, error) = (value - self.first, f64::from(value as f32) - value);
        self.count += 1.0;
        self.sums = [self.sums[0] + away, self.sums[1] + away * away];
        // What no f32 holds at all is refused elsewhere.
        self.errors += if error.is_finite() { error * error } else { 0.0 };
        if value.abs() > EXACT {
            self.broken |= value.fract() != 0.0 || value.abs() > WHOLE;
            if error != 0.0 {
                self.changed = (self.changed.0 + 1, value);
            }
        }
    }

    /// What is lost that matters, as the end of a sentence about the feature.
    fn loss(&self) -> Option<String> {
        let mean = self.sums[0] / self.count.max(1.0);
        let deviation = (self.sums[1] / self.count.max(1.0) - mean * mean).max(0.0).sqrt();
        if deviation <= CONSTANT * (self.first + mean).abs() {
            return None;
        }
        let (changed, example) = self.changed;
        if changed > 0 && !self.broken {
            let one = example as f32;
            return Some(format!("{changed} of {} whole numbers change, {example} to {one}", self.count));
        }
        // The error of rounding is even over a step, whose deviation is the step over the root of 12.
        let step = (12.0 * self.errors / self.count).sqrt();
        let lost = step > SHARE * deviation;
        lost.then(|| format!("steps of {step:.3} beside a deviation of {deviation:.3}"))
    }
}

/// The warning about features that lose something that matters, each with its name.
pub fn remark(features: impl IntoIterator<Item = (String, Feature)>) -> Option<Remark> {
    let losses: Vec<String> = features
        .into_iter()
        .filter_map(|(name, feature)| feature.loss().map(|loss| format!("{name} ({loss})")))
        .collect();
    let more = match losses.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let text = format!(
        "percuss computes in f32, which rounds what the file tells apart: {}{more}; subtract a fixed offset in double precision before \
         you write the file, and take that offset out of the model",
        losses[..losses.len().min(NAMED)].join(", ")
    );
    (!losses.is_empty()).then(|| Remark::warning(FLAG, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_f32_loses_of_a_feature_is_told() {
        let noise = |i: usize| (i as f64 * 0.754_877_666).fract() - 0.5;
        let cases: [(&str, &dyn Fn(usize) -> f64, bool); 13] = [
            ("dates as whole numbers", &|i| 20_260_101.0 + (i % 28) as f64, true),
            ("dates with noise", &|i| 20_260_101.0 + noise(i), true),
            ("seconds since 1970 within a day", &|i| 1.6e9 + 40_000.5 * noise(i), true),
            ("an offset of 1e7", &|i| 1e7 + 3.0 * noise(i), true),
            ("identifiers", &|i| (30_000_001 + 2 * i) as f64, true),
            ("thirds", &noise, false),
            ("pressure in pascals", &|i| 101_325.0 + 700.0 * noise(i), false),
            ("large and wide", &|i| 1e20 * noise(i), false),
            ("even numbers that f32 holds", &|i| 20_000_000.0 + 2.0 * i as f64, false),
            ("a constant", &|_| 20_260_101.0, false),
            ("a constant with the noise of f64", &|i| 0.1 + 1e-16 * noise(i), false),
            ("one value apart", &|i| if i == 7 { 100.1 } else { 100.0 }, false),
            ("years", &|i| 1950.0 + (i % 70) as f64, false),
        ];
        for (name, value, told) in cases {
            let mut feature = Feature::default();
            (0..400).for_each(|i| feature.see(value(i)));
            let text = remark([("x".to_string(), feature)]);
            assert_eq!(text.is_some(), told, "{name}: {text:?}");
        }
    }
}
