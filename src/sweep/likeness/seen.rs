//! What is seen of samples' values: ranges, means and deviations, channel by channel.

use crate::data::Dataset;
use crate::models::Standardisation;

/// Values that are looked at, whole samples of them.
const LOOKED_AT: usize = 1 << 22;
/// Values of one channel that are sorted.
const SORTED: usize = 1 << 12;

/// Values of one channel, in the data's unit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Channel {
    pub(super) mean: f64,
    pub(super) deviation: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    /// Tenth, fiftieth and ninetieth percentile.
    pub(super) percentiles: [f64; 3],
    pub(super) count: usize,
}

/// What is seen of a data set.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Height, width and few colours.
    pub(super) is_image: bool,
    /// Samples that were looked at.
    pub(super) samples: usize,
    /// All values together.
    pub(super) all: Channel,
    /// Channel by channel, as many as the scaling tells apart, if these are the data's.
    pub(super) channels: Vec<Channel>,
    /// The smallest and largest value of each sample.
    pub(super) ranges: Vec<[f64; 2]>,
    /// Mean and deviation of each sample.
    pub(super) moments: Vec<[f64; 2]>,
}

impl Channel {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let (mut count, mut sum, mut low, mut high) = (0usize, 0.0, f64::INFINITY, f64::NEG_INFINITY);
        for value in values.clone() {
            (count, sum, low, high) = (count + 1, sum + value, low.min(value), high.max(value));
        }
        let mean = sum / count.max(1) as f64;
        let square = values.clone().map(|value| (value - mean).powi(2)).sum::<f64>() / count.max(1) as f64;
        let mut some: Vec<f64> = values.step_by(count.div_ceil(SORTED).max(1)).collect();
        some.sort_unstable_by(f64::total_cmp);
        let percentile =
            |share: f64| some.get(((some.len() as f64 - 1.0) * share) as usize).copied().unwrap_or(mean);
        let percentiles = [0.1, 0.5, 0.9].map(percentile);
        Self { mean, deviation: square.sqrt(), low, high, percentiles, count }
    }

    /// The same once `mean` is subtracted and it is divided by `std`.
    pub(super) fn scaled(&self, mean: f64, std: f64) -> Self {
        let scaled = |value: f64| (value - mean) / std;
        Self {
            mean: scaled(self.mean),
            deviation: self.deviation / std,
            low: scaled(self.low),
            high: scaled(self.high),
            percentiles: self.percentiles.map(scaled),
            count: self.count,
        }
    }

    pub(super) fn is_constant(&self) -> bool {
        self.low >= self.high
    }
}

impl Seen {
    /// Of data for a scaling of so many numbers.
    pub(super) fn of(data: &Dataset, numbers: usize) -> Self {
        let len = data.sample_len().max(1);
        let every = data.values.len().div_ceil(LOOKED_AT).max(1);
        let samples: Vec<&[f32]> = data.values.chunks_exact(len).step_by(every).collect();
        let finite = |value: &&f32| value.is_finite();
        let of = |start: usize, period: usize| {
            let own = samples.iter().flat_map(move |sample| sample.iter().skip(start).step_by(period));
            Channel::of(own.filter(finite).map(|&value| f64::from(value)))
        };
        let colours = data.shape.last().copied().unwrap_or(1);
        let is_image = matches!(data.shape[..], [height, width, 1..=4] if height > 1 && width > 1);
        let told_apart = match numbers {
            1 => 1,
            _ if numbers == colours || is_image => colours,
            _ if numbers == len => len,
            _ => 1,
        };
        let all = of(0, 1);
        let channels = match told_apart {
            1 => vec![all.clone()],
            period => (0..period).map(|start| of(start, period)).collect(),
        };
        let each: Vec<Channel> = samples
            .iter()
            .map(|sample| Channel::of(sample.iter().filter(finite).map(|&value| f64::from(value))))
            .collect();
        Self {
            is_image,
            samples: samples.len(),
            all,
            channels,
            ranges: each.iter().map(|own| [own.low, own.high]).collect(),
            moments: each.iter().map(|own| [own.mean, own.deviation]).collect(),
        }
    }

    /// Every channel under its scaling; grey samples of a model of colours under each of the colours'.
    pub(super) fn scaled(&self, scaling: &Standardisation) -> Vec<Channel> {
        let pairs = pairs(scaling, self.channels.len());
        (0..pairs.len().max(self.channels.len()))
            .map(|at| {
                let (mean, std) = pairs[at % pairs.len()];
                self.channels[at % self.channels.len()].scaled(mean, std)
            })
            .collect()
    }

    /// The values as they are.
    pub(super) fn plain(&self) -> String {
        let all = &self.all;
        format!("values from {} to {} (mean {})", number(all.low), number(all.high), number(all.mean))
    }

    /// The values, and what they come to under a scaling, which the network holds itself where it is `inner`.
    pub(super) fn under(&self, scaling: &Standardisation, inner: bool) -> String {
        let scaled = self.scaled(scaling);
        let average =
            |pick: fn(&Channel) -> f64| scaled.iter().map(pick).sum::<f64>() / scaled.len().max(1) as f64;
        let first = |values: &[f64]| {
            if values.len() > 4 { values.iter().sum::<f64>() / values.len() as f64 } else { values[0] }
        };
        format!(
            "{}, which come to mean {} and deviation {} under the scaling {} (mean {}, deviation {})",
            self.plain(),
            number(average(|own| own.mean)),
            number(average(|own| own.deviation)),
            if inner { "that the network begins with" } else { "of the model's input" },
            number(first(&scaling.mean)),
            number(first(&scaling.std))
        )
    }
}

/// Mean and deviation of each number of a scaling; one for every value is averaged over places where only channels are told apart.
pub(super) fn pairs(scaling: &Standardisation, channels: usize) -> Vec<(f64, f64)> {
    let all: Vec<(f64, f64)> = scaling.mean.iter().copied().zip(scaling.std.iter().copied()).collect();
    if all.len() <= 4 || all.len() == channels {
        return all;
    }
    let of_channel = |channel: usize| {
        let own = || all.iter().skip(channel).step_by(channels);
        let n = own().count().max(1) as f64;
        (own().map(|pair| pair.0).sum::<f64>() / n, own().map(|pair| pair.1).sum::<f64>() / n)
    };
    (0..channels).map(of_channel).collect()
}

/// A number in five digits.
pub(super) fn number(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { (4 - value.abs().log10().floor() as i32).clamp(0, 12) };
    let text = format!("{value:.*}", digits as usize);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".into() } else { text.into() }
}

/// Numbers as a list has them.
pub(super) fn numbers(values: &[f64]) -> String {
    values.iter().map(|&value| number(value)).collect::<Vec<_>>().join(", ")
}
