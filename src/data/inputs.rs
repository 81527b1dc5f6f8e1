//! Samples of several inputs: arrays of one npz archive, the values of each sample one after the other.

use super::Dataset;
use super::layout::Layout;

/// An array that is one of a model's inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct InputArray {
    /// Its name: `NAME` of `{split}_NAME`, `NAME_{split}` or, in an archive without splits, `NAME`.
    pub array: String,
    /// The smallest and largest value that an attack may give it; `None` is the array's own range (of images in bytes 0 to 255).
    pub bounds: Option<[f32; 2]>,
    /// What a budget of 1 means, in the array's own unit.
    pub scale: f32,
    /// The order of its axes, where the model's own is not meant.
    pub layout: Option<Layout>,
}

impl Dataset {
    /// Puts the same values behind every sample's own, such as a prompt's tokens: those that are `open` may become anything from 0 to `most`,
    /// the others stay. A sample's shape becomes flat.
    pub fn append(&mut self, values: &[f32], open: &[bool], most: f32) {
        let len = self.sample_len();
        let longer = |own: &mut Vec<f32>, value: f32| {
            if own.len() == 1 {
                own.resize(len, own[0]);
            }
            own.resize(len + values.len(), value);
        };
        longer(&mut self.domain.low, 0.0);
        longer(&mut self.domain.high, values.iter().copied().fold(most, f32::max));
        longer(&mut self.domain.scale, 1.0);
        self.domain.immutable.resize(len, false);
        self.domain.immutable.extend(open.iter().map(|open| !open));
        self.values =
            self.values.chunks(len).flat_map(|sample| sample.iter().chain(values)).copied().collect();
        self.shape = vec![len + values.len()];
    }
}
