//! Defences: what a defender runs against an attack, or trains with.
//!
//! Detectors look for poisoned samples or backdoored classes. Each is a function over plain arrays in its own file, and an entry in
//! [`DETECTORS`] that takes what it needs of [`Evidence`]; none of them trains or runs a model itself.

pub mod activation_clustering;
pub mod components;
pub mod linear;
pub mod neural_cleanse;
pub mod spectral;
pub mod strip;

use crate::attacks::{Chosen, Kind, Parameter, Value};
use crate::data::Domain;
use crate::{Error, Result};

/// Every detector, in the order in which it is listed.
pub static DETECTORS: &[&Detector] = &[
    &spectral::SPECTRAL_SIGNATURES,
    &activation_clustering::ACTIVATION_CLUSTERING,
    &strip::STRIP,
    &neural_cleanse::NEURAL_CLEANSE,
];

/// A detector's declaration.
#[derive(Debug)]
pub struct Detector {
    /// Its name in studies and results.
    pub name: &'static str,
    /// Other names that studies may use.
    pub aliases: &'static [&'static str],
    /// One line.
    pub summary: &'static str,
    /// Where it is from.
    pub paper: &'static str,
    /// What the defender needs.
    pub needs: &'static str,
    /// Raised when the same configuration starts to give other results.
    pub revision: u32,
    /// Its hyper-parameters.
    pub parameters: &'static [Parameter],
    /// What its suspicions are about.
    pub about: About,
    /// From the evidence to what it finds.
    pub suspect: fn(&mut Evidence, Chosen) -> Result<Findings>,
}

/// What a detector found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// One a sample or class, see [`Detector::about`]; larger for what it suspects more.
    pub suspicions: Vec<f64>,
    /// Numbers of each class, by the name that results give them; `None` for a class of which there is nothing to say.
    pub classes: Vec<(&'static str, Vec<Option<f64>>)>,
}

/// What a suspicion is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum About {
    /// A sample that the model learnt from.
    Training,
    /// A sample that the model is asked about.
    Input,
    /// A class.
    Class {
        /// A class is called backdoored where its suspicion is larger.
        above: f64,
    },
}

/// What detectors have that look at inputs or look for triggers: samples that are known to be clean.
const CLEAN: Parameter = Parameter {
    name: "clean",
    doc: "Clean samples that the defender has, drawn from the test split.",
    kind: Kind::Whole(1, 1_000_000),
    default: Value::Whole(100),
};

/// What a defender has of a model and the samples under suspicion. What a detector does not need may be empty.
pub struct Evidence<'a> {
    /// Number of classes.
    pub classes: usize,
    /// The samples' labels, as trained on.
    pub labels: &'a [u32],
    /// The model's features (its last hidden layer) of the samples, `[n, d]`.
    pub features: &'a [f64],
    /// The samples' values in the data's units, `[n][sample_len]`.
    pub samples: &'a [&'a [f32]],
    /// Samples that the defender knows to be clean, of the same length.
    pub clean: &'a [&'a [f32]],
    /// Extents of a sample, channels last, as in a data set.
    pub shape: &'a [usize],
    /// What a sample's values may be; whoever made a trigger was bound to it.
    pub domain: &'a Domain,
    /// From samples to the model's logits `[n, classes]`.
    pub scores: Option<&'a mut Scores<'a>>,
    /// From samples and a class to how near they are to it.
    pub attraction: Option<&'a mut AttractionOf<'a>>,
    /// Seed of whatever is drawn.
    pub seed: u64,
}

/// From samples to logits, `[n, classes]`, row-major.
pub type Scores<'a> = dyn FnMut(&[Vec<f32>]) -> Result<Vec<f32>> + 'a;

/// From samples and a target class to [`Attraction`].
pub type AttractionOf<'a> = dyn FnMut(&[Vec<f32>], u32) -> Result<Attraction> + 'a;

/// How near samples are to a target class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attraction {
    /// Cross-entropy of each sample to the target, `[n]`.
    pub loss: Vec<f32>,
    /// Whether the model gives the target, `[n]`.
    pub hit: Vec<bool>,
    /// Gradient of each sample's own loss to its values, `[n, sample_len]`.
    pub gradient: Vec<f32>,
}

impl Detector {
    /// The parameter called `name`.
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }
}

/// The detector called `name`, by its name or an alias.
pub fn find(name: &str) -> Option<&'static Detector> {
    DETECTORS
        .iter()
        .copied()
        .find(|detector| crate::attacks::is_called(name, detector.name, detector.aliases))
}

/// The positions of each class's samples.
///
/// # Errors
/// A label that is no class.
fn members(labels: &[u32], classes: usize) -> Result<Vec<Vec<usize>>> {
    let mut members = vec![Vec::new(); classes];
    for (position, &label) in labels.iter().enumerate() {
        match members.get_mut(label as usize) {
            Some(own) => own.push(position),
            None => {
                let place = format!("label of sample {position}");
                return Err(Error::input("detector", place, label, format!("a class below {classes}")));
            }
        }
    }
    Ok(members)
}

/// The number of features of each sample.
///
/// # Errors
/// Features that are not as many for each sample, or not finite.
fn width(features: &[f64], samples: usize) -> Result<usize> {
    let place = "features";
    if samples == 0 || !features.len().is_multiple_of(samples) || features.is_empty() {
        let expected = format!("as many for each of {samples} samples");
        return Err(Error::input("detector", place, format!("{} numbers", features.len()), expected));
    }
    match features.iter().find(|value| !value.is_finite()) {
        Some(bad) => Err(Error::input("detector", place, bad, "finite numbers")),
        None => Ok(features.len() / samples),
    }
}
