//! What a study says of the arrays of an archive: their names, order and bounds.

use super::layout::{Layout, Wanted};

/// Where the bounds of values come from that nobody knows by their unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Bounds {
    /// The range of all values of the file, which is said.
    #[default]
    File,
    /// The study's `[smallest, largest]`, which no value may leave.
    Stated([f32; 2]),
    /// Whoever asks sets others: the file's range is not looked for.
    Elsewhere,
}

/// How arrays are read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArrayOptions {
    /// The array of samples; of splits what stands before or behind the split's name.
    pub x: Option<String>,
    /// The array of labels, likewise.
    pub y: Option<String>,
    /// The order of a sample's axes.
    pub layout: Option<Layout>,
    /// What an attack may do to values.
    pub bounds: Bounds,
    /// The model's inputs, where there is a model.
    pub wanted: Vec<Wanted>,
}
