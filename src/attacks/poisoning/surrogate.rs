//! What crafted poisons ask of a surrogate model, as functions that a caller makes from its graphs.
//!
//! Samples come as `[n, sample_len]` in the data's units, row-major; nothing asks for a derivative beyond the first.

use crate::Result;
use crate::attacks::{Kind, Parameter, Value};

/// What an attack asks of a surrogate model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// [`Features`].
    Features,
    /// [`Gradients`].
    Gradients,
}

/// The key that says whose the surrogate is.
pub const SURROGATE: &str = "surrogate";

/// What every crafted poison has to choose.
pub(super) const fn parameter(default: &'static str) -> Parameter {
    Parameter {
        name: SURROGATE,
        doc: "Which model poisons are crafted against. twin: the unpoisoned model of the very seed (white box). own: one that the \
              adversary trains on the same data with another seed (grey box).",
        kind: Kind::Choice(&["twin", "own"]),
        default: Value::Word(default),
    }
}

/// From samples to features.
pub type FeaturesOf<'a> = dyn FnMut(&[f32]) -> Result<Vec<f32>> + 'a;

/// From samples and a goal to how far they are from it.
pub type ApproachOf<'a> = dyn FnMut(&[f32], &[f32]) -> Result<Approach> + 'a;

/// From samples and labels to a gradient.
pub type ToParameters<'a> = dyn FnMut(&[f32], &[u32]) -> Result<Vec<f32>> + 'a;

/// From samples, labels and a shift to gradients.
pub type ToInputs<'a> = dyn FnMut(&[f32], &[u32], &[f32]) -> Result<Vec<f32>> + 'a;

/// A surrogate's feature space (its last hidden layer).
pub struct Features<'a> {
    /// Number of features, d.
    pub dimensions: usize,
    /// From samples `[n, sample_len]` to features `[n, d]`.
    pub of: &'a mut FeaturesOf<'a>,
    /// From samples `[n, sample_len]` and a goal `[d]` to how far each sample's features are from the goal.
    pub approach: &'a mut ApproachOf<'a>,
}

/// How far samples are from a goal in feature space.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Approach {
    /// |f(x) - goal|^2 of each sample, `[n]`.
    pub distance: Vec<f32>,
    /// Its gradient to the sample's values, `[n, sample_len]`.
    pub gradient: Vec<f32>,
}

/// A surrogate's gradients.
pub struct Gradients<'a> {
    /// Euclidean length of all trainable parameters together: what a small shift of them is measured by.
    pub parameter_length: f64,
    /// From samples `[n, sample_len]` and labels `[n]` to the gradient of their *mean* loss to the parameters, `[parameters]`.
    pub to_parameters: &'a mut ToParameters<'a>,
    /// From samples `[n, sample_len]`, labels `[n]` and a shift `[parameters]` to the gradient of each sample's own loss to its values at
    /// parameters + shift, `[n, sample_len]`.
    pub to_inputs: &'a mut ToInputs<'a>,
}
