//! What a model does to a sample's values before anything else: `(x - mean) / std`.

use super::{InputScaling, Model};
use crate::graph::Leading;

/// Mean and deviation in the data's own unit: a number for all values, one a channel, or one a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Standardisation {
    /// Subtracted.
    pub mean: Vec<f64>,
    /// Divided by, positive.
    pub std: Vec<f64>,
}

impl Standardisation {
    /// That of factors and offsets, in as few numbers as say it for so many channels; `None` where nothing is done, or a factor is not positive.
    pub(super) fn of(leading: &Leading, channels: usize) -> Option<Self> {
        let first = *leading.first()?;
        let alike = |len: usize| leading.iter().enumerate().all(|(at, pair)| *pair == leading[at % len]);
        let own = [1, channels].into_iter().find(|&len| len > 0 && len <= leading.len() && alike(len));
        let pairs = &leading[..own.unwrap_or(leading.len())];
        let positive =
            pairs.iter().all(|[factor, offset]| *factor > 0.0 && factor.is_finite() && offset.is_finite());
        if !positive || (pairs.len() == 1 && first == [1.0, 0.0]) {
            return None;
        }
        let (mean, std) = pairs.iter().map(|[factor, offset]| (-offset / factor, 1.0 / factor)).unzip();
        Some(Self { mean, std })
    }

    /// Both one after the other: `self` first, then `next`. Numbers of other counts than this one's, one or a channel are averaged.
    fn then(self, next: &Self) -> Self {
        let len = self.mean.len().max(next.mean.len());
        let at = |values: &[f64], place: usize| values[place % values.len()];
        let fits = [&self, next].iter().all(|one| len.is_multiple_of(one.mean.len()));
        let next = if fits { next.clone() } else { next.pooled() };
        let len = if fits { len } else { self.mean.len() };
        let each = (0..len).map(|place| {
            let std = at(&self.std, place);
            (at(&self.mean, place) + std * at(&next.mean, place), std * at(&next.std, place))
        });
        let (mean, std) = each.unzip();
        Self { mean, std }
    }

    /// What comes to this one if `inner` follows it.
    pub fn before(&self, inner: &Self) -> Self {
        let channels = self.mean.len().max(if inner.mean.len() <= 4 { inner.mean.len() } else { 1 });
        let inner = if inner.mean.len() <= channels { inner.clone() } else { inner.pooled() };
        let at = |values: &[f64], place: usize| values[place % values.len()];
        let each = (0..channels).map(|place| {
            let std = at(&self.std, place) / at(&inner.std, place);
            (at(&self.mean, place) - std * at(&inner.mean, place), std)
        });
        let (mean, std) = each.unzip();
        Self { mean, std }
    }

    /// One number for all values.
    fn pooled(&self) -> Self {
        let average = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        Self { mean: vec![average(&self.mean)], std: vec![average(&self.std)] }
    }
}

impl From<&InputScaling> for Standardisation {
    fn from(scaling: &InputScaling) -> Self {
        let wide =
            |values: &[f32], len: usize| (0..len).map(|at| f64::from(values[at % values.len()])).collect();
        let len = scaling.mean.len().max(scaling.std.len());
        Self { mean: wide(&scaling.mean, len), std: wide(&scaling.std, len) }
    }
}

impl Model {
    /// What is done inside the network that an ONNX file holds, without the scaling that is stated beside it.
    pub fn inner_standardisation(&self) -> Option<Standardisation> {
        self.network().and_then(super::onnx::Network::standardisation)
    }

    /// The scaling of the configuration and that of the network's first steps, as one; `None` where values enter the network as they are.
    pub fn standardisation(&self) -> Option<Standardisation> {
        let stated = self.config.input_scaling.as_ref().map(Standardisation::from);
        let both = match (stated, self.inner_standardisation()) {
            (Some(stated), Some(inner)) => Some(stated.then(&inner)),
            (stated, inner) => stated.or(inner),
        };
        let as_it_is = |one: &Standardisation| {
            one.mean.iter().all(|mean| mean.abs() < 1e-3)
                && one.std.iter().all(|std| (std - 1.0).abs() < 1e-3)
        };
        both.filter(|one| !as_it_is(one))
    }
}
