//! Data sets: what one is, and one file a format that reads into it.

mod array_labels;
pub mod array_options;
pub mod arrays;
pub mod beats;
pub mod bins;
pub mod check;
mod describe;
pub mod draw;
pub mod ecg;
pub mod edf;
pub mod fed;
pub mod fetch;
pub mod icu_cohort;
pub(crate) mod image_folder;
pub mod image_keys;
pub mod image_options;
mod image_set;
pub mod inputs;
pub(crate) mod keys;
pub mod label_options;
pub mod labels;
pub mod layout;
pub mod manifest;
mod mask_files;
pub mod npz;
mod npz_rows;
pub mod outcome;
pub mod phantom;
pub mod picture;
pub mod preprocess;
pub mod registry;
pub mod remark;
pub mod request;
pub mod rounding;
pub mod signals;
pub mod spec;
pub mod split_names;
mod splits;
pub mod subset;
pub mod table;
pub mod tables;
pub mod voltage;
pub mod wfdb;

use std::collections::BTreeMap;

pub use array_options::{ArrayOptions, Bounds};
pub use bins::Bins;
pub use fed::Fed;
pub use image_options::{Colours, ImageOptions, LabelColumns};
pub use inputs::InputArray;
pub use label_options::{LabelOptions, Policy};
pub use labels::{Known, Outputs};
pub use layout::{Axes, Layout, Wanted};
pub use preprocess::Preprocess;
pub use remark::Remark;
pub use request::{Request, Source, open, open_fitted};
pub use split_names::SplitNames;

/// What a sample is labelled with.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// One class a sample, each below `classes.len()`.
    Class(Vec<u32>),
    /// `classes.len()` findings a sample, row-major, each 0, 1 or [`UNLABELLED`].
    Findings(Vec<u8>),
}

/// In the place of a finding that nobody has looked for in a sample: neither scored nor attacked.
pub const UNLABELLED: u8 = 2;

impl Labels {
    /// Whether any finding of any sample is not labelled.
    pub fn unlabelled(&self) -> bool {
        matches!(self, Self::Findings(labels) if labels.contains(&UNLABELLED))
    }
}

/// A labelled data set in memory, in its own (physical) units, samples in the file's order.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Registry name, or the path it was read from.
    pub name: String,
    /// Which split of it this is: `train`, `val`, `test` or `all`.
    pub split: String,
    /// Made by a generator; every table, row and plot then says so.
    pub synthetic: bool,
    /// SHA-256 of the bytes it was read from (of the generator's name, version and seed if synthetic).
    pub sha256: String,
    /// Shape of one sample, channels last: `[height, width, channels]` (a signal has height 1), or `[features]`.
    pub shape: Vec<usize>,
    /// Values of each array of a sample that consists of several, in their order; else empty.
    pub inputs: Vec<usize>,
    /// `n * shape` values, row-major, in `unit`.
    pub values: Vec<f32>,
    /// The labels, `n` of them.
    pub labels: Labels,
    /// Names of the classes or findings.
    pub classes: Vec<String>,
    /// What one unit of a value is: `pixel`, `mV`, `sd`, `quantile`, ...
    pub unit: String,
    /// Samples a second of a signal, where its reader knows.
    pub samples_per_second: Option<f64>,
    /// Who or what a sample came from (patient, record): samples of one group are not independent.
    pub group: Option<Vec<String>>,
    /// Columns that results may be broken down by (sex, site, ...), `n` values each.
    pub subgroups: BTreeMap<String, Vec<String>>,
    /// A stable index for every sample: its row in the source file, so that a subset keeps its samples' identity.
    pub index: Vec<u64>,
    /// What an attack may do to each feature.
    pub domain: Domain,
    /// What was assumed, left out or changed while reading.
    pub remarks: Vec<Remark>,
}

/// What an attack may do to the values of a sample.
///
/// A vector has one entry (for every feature) or as many as a sample has values.
#[derive(Clone, Debug, PartialEq)]
pub struct Domain {
    /// Smallest physical value, in the data's unit.
    pub low: Vec<f32>,
    /// Largest physical value.
    pub high: Vec<f32>,
    /// What a perturbation of 1 in the study's `eps` means for this feature, in the data's unit (1 for images and signals).
    pub scale: Vec<f32>,
    /// Features that cannot change (age, sex); empty means that all can.
    pub immutable: Vec<bool>,
    /// Ranges of features that are the one-hot coding of one category each, and must stay so; ascending, none in another.
    pub one_hot: Vec<std::ops::Range<usize>>,
    /// The features' names, empty for images and signals.
    pub features: Vec<String>,
}

impl Domain {
    /// The category whose coding a value of a sample is part of.
    pub fn category_of(&self, value: usize) -> Option<&std::ops::Range<usize>> {
        let after = self.one_hot.partition_point(|group| group.end <= value);
        self.one_hot.get(after).filter(|group| group.contains(&value))
    }

    /// What may be done to these values of a sample.
    pub fn part(&self, range: &std::ops::Range<usize>) -> Self {
        let own =
            |values: &[f32]| if values.len() == 1 { values.to_vec() } else { values[range.clone()].to_vec() };
        let inside = |group: &&std::ops::Range<usize>| range.contains(&group.start);
        let shifted = |group: &std::ops::Range<usize>| group.start - range.start..group.end - range.start;
        Self {
            low: own(&self.low),
            high: own(&self.high),
            scale: own(&self.scale),
            immutable: self.immutable.get(range.clone()).map(<[bool]>::to_vec).unwrap_or_default(),
            one_hot: self.one_hot.iter().filter(inside).map(shifted).collect(),
            features: self.features.get(range.clone()).map(<[String]>::to_vec).unwrap_or_default(),
        }
    }
}

impl Dataset {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Number of values in one sample.
    pub fn sample_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The values of sample `i` (a position, not its `index`).
    pub fn sample(&self, i: usize) -> &[f32] {
        &self.values[i * self.sample_len()..][..self.sample_len()]
    }
}
