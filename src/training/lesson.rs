//! What one member of an ensemble learns from.

use std::collections::BTreeMap;

use crate::data::{Dataset, Labels};

/// Samples of a base data set that all members share, with labels and values of its own where a member's differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lesson {
    /// Positions of the base samples that it learns from; a position may come more than once.
    pub samples: Vec<usize>,
    /// Labels that are not the base's, by position: a class, below the number of classes.
    pub labels: BTreeMap<usize, u32>,
    /// Values that are not the base's, by position: a whole sample in the data's units.
    pub values: BTreeMap<usize, Vec<f32>>,
}

impl Lesson {
    /// All `n` base samples as they are.
    pub fn whole(n: usize) -> Self {
        Self { samples: (0..n).collect(), ..Self::default() }
    }

    /// The values of the sample at a base position.
    pub fn sample<'a>(&'a self, base: &'a Dataset, position: usize) -> &'a [f32] {
        self.values.get(&position).map_or_else(|| base.sample(position), Vec::as_slice)
    }

    /// The class of the sample at a base position; `None` where the base is labelled with findings.
    pub fn label(&self, base: &Dataset, position: usize) -> Option<u32> {
        match &base.labels {
            Labels::Class(labels) => Some(self.labels.get(&position).copied().unwrap_or(labels[position])),
            Labels::Findings(_) => None,
        }
    }
}
