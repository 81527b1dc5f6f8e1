//! Images: which range of values a scaling is for, and which range values lie in.

use super::Doubt;
use super::seen::{Channel, Seen, pairs};
use crate::models::Standardisation;
use crate::models::onnx::Prepared;

/// A range that values of images come in.
#[derive(Debug, PartialEq)]
struct Range {
    low: f64,
    high: f64,
}

impl Range {
    fn width(&self) -> f64 {
        self.high - self.low
    }

    fn name(&self) -> String {
        format!("values from {} to {}", self.low, self.high)
    }
}

const RANGES: [Range; 5] = [
    Range { low: 0.0, high: 1.0 },
    Range { low: -1.0, high: 1.0 },
    Range { low: 0.0, high: 255.0 },
    Range { low: 0.0, high: 4095.0 },
    Range { low: 0.0, high: 65535.0 },
];
const FRACTIONS: &Range = &RANGES[0];
const SIGNED: &Range = &RANGES[1];
const BYTES: &Range = &RANGES[2];

/// Mean and deviation of values from 0 to 1 that the trade uses: ImageNet's by colour and of all, CLIP's, MNIST's, CIFAR's.
const CUSTOMARY: [(f64, f64); 13] = [
    (0.485, 0.229),
    (0.456, 0.224),
    (0.406, 0.225),
    (0.449, 0.226),
    (0.481, 0.269),
    (0.458, 0.261),
    (0.408, 0.276),
    (0.131, 0.308),
    (0.491, 0.247),
    (0.482, 0.243),
    (0.447, 0.262),
    (0.5, 0.25),
    (0.4914, 0.2023),
];
/// Samples from which on a range of values says something of all.
const ENOUGH: usize = 10;
/// Below this lie no pixels, not even sharpened ones: Hounsfield units do.
const BELOW_PIXELS: f64 = -25.0;
/// Deviations below the mean where no value lies under a scaling for values from 0 up.
const FAR_BELOW: f64 = -4.0;
/// The share of -1 to 0 that images from -1 to 1 reach down.
pub(super) const SPANS: f64 = 0.75;
/// What torchxrayvision makes of the ends of a range.
const HOUNSFIELD: f64 = 1024.0;

/// The range that values lie in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lying {
    In(&'static Range),
    /// Both signs, beyond -1 to 1: standardised already.
    Scores,
    Elsewhere,
}

impl Lying {
    fn of(all: &Channel) -> Self {
        let (low, high) = (all.low, all.high);
        match () {
            _ if low >= -0.1 && high <= 1.1 => Self::In(FRACTIONS),
            _ if low >= -1.1 && high <= 1.1 => Self::In(SIGNED),
            _ if low < 0.0 && low.abs().max(high) <= 20.0 => Self::Scores,
            _ if low >= BELOW_PIXELS && high <= 2.0 * BYTES.high => Self::In(BYTES),
            _ if low >= 0.0 && high <= 1.1 * RANGES[3].high => Self::In(&RANGES[3]),
            _ if low >= 0.0 && high <= 1.1 * RANGES[4].high => Self::In(&RANGES[4]),
            _ => Self::Elsewhere,
        }
    }

    fn name(self) -> String {
        match self {
            Self::In(range) => range.name(),
            Self::Scores => "values that are standardised already".into(),
            Self::Elsewhere => "values of another unit".into(),
        }
    }
}

/// Whether two numbers are the same but for rounding.
fn about(a: f64, b: f64, size: f64) -> bool {
    (a - b).abs() <= 0.002 * size
}

/// The one range that a scaling is for by how it is written: it spans the range, or is one that the trade uses.
fn meant(scaling: &[(f64, f64)]) -> Option<&'static Range> {
    let fits = |range: &Range, (mean, std): (f64, f64)| {
        let (width, middle) = (range.width(), (range.low + range.high) / 2.0);
        let spans = about(mean, range.low, width) && about(std, width, width);
        let half = width / 2.0;
        let centres = about(mean, middle, width)
            && (about(std, half, half) || about(std, half / HOUNSFIELD, half / HOUNSFIELD));
        // A mean is subtracted and nothing more, as Caffe has it, from pixels or from what stands for them.
        let as_pixels = about(std, width / BYTES.high, width / BYTES.high);
        let subtracts = (as_pixels || width >= BYTES.high && about(std, 1.0, 1.0))
            && (mean - middle).abs() <= width / 4.0;
        let customary = range.low == 0.0
            && CUSTOMARY
                .iter()
                .any(|own| about(mean, own.0 * width, width) && about(std, own.1 * width, width));
        spans || centres || subtracts || customary
    };
    RANGES.iter().find(|range| scaling.iter().all(|&pair| fits(range, pair)))
}

/// The ranges whose values may have such means and deviations: no deviation is larger than the distances to the ends allow (Bhatia & Davis 2000),
/// and images do not keep to a fortieth of their range.
fn possible(scaling: &[(f64, f64)]) -> Vec<&'static Range> {
    let fits = |range: &Range, (mean, std): (f64, f64)| {
        let most = (range.high - mean) * (mean - range.low);
        mean > range.low && mean < range.high && std * std <= 1.1 * most && std >= range.width() / 40.0
    };
    RANGES.iter().filter(|range| scaling.iter().all(|&pair| fits(range, pair))).collect()
}

/// Whether values lie in a range and use more than a twelfth of it.
fn lies_in(all: &Channel, range: &Range) -> bool {
    let slack = 0.1 * range.width();
    let within = all.low >= range.low - slack && all.high <= range.high + slack;
    within && (all.high > range.low + range.width() / 12.0 || all.is_constant())
}

/// What is strange about images under a scaling.
pub(super) fn doubt(seen: &Seen, scaling: &Standardisation) -> Option<Doubt> {
    let own = pairs(scaling, seen.channels.len());
    let lying = Lying::of(&seen.all);
    // Fractions of which somebody makes bytes again.
    let to_bytes = |&(mean, std): &(f64, f64)| about(mean, 0.0, 1.0) && about(std * BYTES.width(), 1.0, 1.0);
    if lying == Lying::In(FRACTIONS) && own.iter().all(to_bytes) {
        return None;
    }
    let other = |meant: Option<&'static Range>| {
        let why = match meant {
            Some(range) => format!("the scaling is for {}, these look like {}", range.name(), lying.name()),
            None => format!("these look like {}, and the scaling is not for such", lying.name()),
        };
        Some(Doubt { why, fitting: fitting(&own, meant, lying, &seen.all) })
    };
    if let Some(range) = meant(&own) {
        return if lies_in(&seen.all, range) { None } else { other(Some(range)) };
    }
    let scaled = seen.scaled(scaling);
    let near =
        |most: f64| scaled.iter().all(|own| own.mean.abs() <= most && (0.5..=2.0).contains(&own.deviation));
    let ranges = possible(&own);
    let only = if ranges.len() == 1 { Some(ranges[0]) } else { None };
    let strange = match lying {
        // Values of both signs under a scaling for values from 0 up; one that is beyond pixels may be for Hounsfield units as well.
        Lying::Elsewhere => {
            let of_pixels = ranges.iter().all(|own| own.high <= BYTES.high);
            let most = if of_pixels { 0.0 } else { FAR_BELOW };
            seen.all.low < BELOW_PIXELS && !near(1.0) && scaled.iter().any(|own| own.low < most)
        }
        // A scaling for values from 0 to 1 may be one for values from -1 to 1 as well.
        Lying::In(range) if range == SIGNED && ranges.contains(&SIGNED) => {
            ranges.contains(&FRACTIONS) && !near(1.0)
        }
        Lying::In(range) if range.high > BYTES.high => {
            !ranges.iter().any(|own| own.high > BYTES.high) && !near(0.5)
        }
        Lying::In(range) => !ranges.contains(&range) && !near(0.5),
        Lying::Scores => !near(0.5),
    };
    if strange && !ranges.is_empty() {
        return other(only);
    }
    // And the other way round: a mean that only values of both signs have.
    let of_signs = own.iter().all(|(mean, _)| *mean < BELOW_PIXELS) && seen.all.low >= 0.0;
    if of_signs && scaled.iter().all(|own| own.mean > 1.0) {
        return other(None);
    }
    let beside = |own: &Channel| own.high < -1.0 || own.low > 3.0;
    if seen.samples >= ENOUGH && scaled.iter().any(|own| beside(own) && !own.is_constant()) {
        let why = "no value is near the model's mean: another unit, or an offset that is missing?".into();
        return Some(Doubt { why, fitting: None });
    }
    super::series::far(&scaled).then(|| Doubt { why: super::series::FAR.into(), fitting: None })
}

/// The scaling that does to these values what `scaling` does to those that it is meant for.
fn fitting(
    scaling: &[(f64, f64)],
    meant: Option<&Range>,
    lying: Lying,
    all: &Channel,
) -> Option<Standardisation> {
    let (mean, std) = match (lying, meant) {
        // Something else than half was subtracted, or nothing divided by: nobody can tell what.
        (Lying::In(own), _) if own == SIGNED && all.low > SPANS * own.low => return None,
        (Lying::Scores, _) => (vec![0.0], vec![1.0]),
        (Lying::In(own), Some(meant)) => {
            let factor = own.width() / meant.width();
            let pair = |&(mean, std): &(f64, f64)| (own.low + (mean - meant.low) * factor, std * factor);
            scaling.iter().map(pair).unzip()
        }
        _ => return None,
    };
    Some(Standardisation { mean, std })
}

/// What is strange about values for a network whose exporter's configuration standardises images from 0 to 1: once that is undone, they should
/// be such images.
pub(super) fn unprepared(
    seen: &Seen,
    scaling: Option<&Standardisation>,
    prepared: &Prepared,
) -> Option<Doubt> {
    let prepared: Vec<(f64, f64)> = prepared.mean.iter().copied().zip(prepared.std.iter().copied()).collect();
    if !seen.is_image || prepared.is_empty() {
        return None;
    }
    let own = scaling.map_or_else(|| vec![(0.0, 1.0)], |scaling| pairs(scaling, seen.channels.len()));
    let fits = |at: usize| {
        let (mean, std) = own[at % own.len()];
        let (before, spread) = prepared[at % prepared.len()];
        let entering = seen.all.scaled(mean, std);
        let values = entering.scaled(-before / spread, spread.recip());
        // What fills a range of its own from end to end is not what standardised images do.
        let whole = about(values.low, 0.0, 5.0) && about(values.high, 1.0, 5.0);
        let signed = about(entering.low, SIGNED.low, 5.0) && about(entering.high, SIGNED.high, 5.0);
        let fractions = entering.low >= 0.0 && entering.high <= 1.1;
        lies_in(&values, FRACTIONS) && (whole || !signed && !fractions)
    };
    if (0..prepared.len()).all(fits) {
        return None;
    }
    let lying = Lying::of(&seen.all);
    let list =
        |pick: fn(&(f64, f64)) -> f64| super::seen::numbers(&prepared.iter().map(pick).collect::<Vec<_>>());
    let why = format!(
        "the configuration beside the model standardises values from 0 to 1 by mean [{}] and deviation [{}], which nothing does here",
        list(|pair| pair.0),
        list(|pair| pair.1)
    );
    Some(Doubt { why, fitting: fitting(&prepared, Some(FRACTIONS), lying, &seen.all) })
}
