//! The first batch norm of a network: what it yielded in training says what values the network was trained on, however they were scaled.

use crate::graph::Tensor;

/// What a batch norm yields, and what it yielded in training.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstNorm {
    /// What it yields.
    pub after: Tensor,
    /// The axis of the channels.
    pub axis: usize,
    /// Mean and deviation of each channel in training, by the running statistics and what was learnt; a deviation of 0 says nothing.
    pub trained: Vec<[f64; 2]>,
}

impl FirstNorm {
    /// Of a batch norm `scale * (x - mean) / sqrt(variance + epsilon) + shift`; `None` of running statistics that no training moved.
    pub(super) fn of(
        after: Tensor,
        axis: usize,
        [scale, shift, mean, variance]: [&[f32]; 4],
        epsilon: f64,
    ) -> Option<Self> {
        let moved = mean.iter().any(|mean| *mean != 0.0) || variance.iter().any(|variance| *variance != 1.0);
        let one = |((scale, shift), variance): ((&f32, &f32), &f32)| {
            let variance = f64::from(*variance);
            [f64::from(*shift), f64::from(scale.abs()) * (variance / (variance + epsilon)).sqrt()]
        };
        let trained = scale.iter().zip(shift).zip(variance).map(one).collect();
        moved.then_some(Self { after, axis, trained })
    }
}
