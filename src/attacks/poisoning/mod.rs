//! Poisoning: training sets that make a model worse, for everybody or for chosen patients.
//!
//! An attack is a function from a training set to a [`Lesson`], labels and values that differ from the base's at some positions; nothing
//! is trained here. A new one is one file, one line in [`REGISTRY`] and a row in `tests/poisoning.rs`.

pub mod feature_collision;
pub mod gradient_matching;
pub mod label_flip;
pub mod missing;
pub mod noise;
mod reach;
pub mod selection;
pub mod surrogate;

use std::collections::BTreeMap;

use super::{Chosen, Knowledge, Parameter};
use crate::data::Dataset;
use crate::training::Lesson;
use crate::{Error, Result};
pub use surrogate::{Approach, Features, Gradients, Needs, SURROGATE};

/// Every poisoning attack, in the order in which it is listed.
pub static REGISTRY: &[&Poisoning] = &[
    &label_flip::LABEL_FLIP,
    &noise::GAUSSIAN,
    &noise::UNIFORM,
    &missing::MISSING,
    &feature_collision::FEATURE_COLLISION,
    &gradient_matching::GRADIENT_MATCHING,
];

/// A poisoning attack's declaration.
#[derive(Debug)]
pub struct Poisoning {
    /// Its name in studies and results.
    pub name: &'static str,
    /// Other names that studies may use.
    pub aliases: &'static [&'static str],
    /// One line.
    pub summary: &'static str,
    /// Where it is from.
    pub paper: &'static str,
    /// What the adversary knows of the model that will be trained (a twin that he trains himself is his own).
    pub knowledge: Knowledge,
    /// What it asks of a surrogate model.
    pub needs: Needs,
    /// Raised when the same configuration starts to give other results.
    pub revision: u32,
    /// Its hyper-parameters.
    pub parameters: &'static [Parameter],
    /// What the magnitude means here; `None` where there is none.
    pub magnitude: Option<&'static str>,
    /// The largest magnitude that makes sense.
    pub most: f64,
    /// The positions of the samples that it may poison: a rate of more is refused before anything is trained.
    pub candidates: fn(&Dataset, &Order) -> Result<Vec<usize>>,
    /// The attack itself; called through [`Poisoning::poison`], which checks the order first.
    pub craft: Craft,
}

/// From a training set and an order to what a model will learn from.
pub type Craft = fn(&mut Victim, &Order) -> Result<Poisoned>;

/// What an attack has before it.
pub struct Victim<'a> {
    /// The training set.
    pub train: &'a Dataset,
    /// Logits `[n, classes]` that a twin trained on the clean `train` gives to its samples, for attacks that look at the boundary.
    pub scores: Option<&'a [f32]>,
    /// What a row of which nothing is known looks like (`Preprocess::imputed`), `[sample_len]`; `None`: see
    /// [`imputed`](super::columns::imputed).
    pub imputed: Option<&'a [f32]>,
    /// A surrogate's features, for attacks that collide there.
    pub features: Option<Features<'a>>,
    /// A surrogate's gradients, for attacks that match them.
    pub gradients: Option<Gradients<'a>>,
}

impl<'a> Victim<'a> {
    /// A training set of which nothing else is known.
    pub fn new(train: &'a Dataset) -> Self {
        Self { train, scores: None, imputed: None, features: None, gradients: None }
    }
}

/// Whom the attack is to harm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim<'a> {
    /// Everybody: samples of all classes are poisoned (availability).
    Everybody,
    /// Patients of one class: only its samples are poisoned.
    Class(u32),
    /// One patient: the samples most like this one are poisoned, or crafted to be so.
    Patient(Patient<'a>),
}

/// A patient who is not in the training set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patient<'a> {
    /// The sample, in the data's units.
    pub values: &'a [f32],
    /// The true class.
    pub label: u32,
    /// The class that the model shall give instead.
    pub wanted: u32,
}

/// What is to be done.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    /// Share of the training samples to poison, 0 to 1; rounded down to whole samples.
    pub rate: f64,
    /// How strongly, see [`Poisoning::magnitude`].
    pub magnitude: f64,
    /// Whom it is to harm.
    pub aim: Aim<'a>,
    /// Which samples are drawn and what is drawn for them. With one seed the samples of a lower rate are among those of a higher one.
    pub seed: u64,
    /// The parameters' values.
    pub get: Chosen<'a>,
}

/// A poisoned training set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Poisoned {
    /// What the model learns from.
    pub lesson: Lesson,
    /// Base positions whose label or values are not the base's, ascending.
    pub changed: Vec<usize>,
}

impl Poisoned {
    /// All of `train`, with these labels and values in the place of its own; what equals its own is left out.
    pub fn new(
        train: &Dataset,
        mut labels: BTreeMap<usize, u32>,
        mut values: BTreeMap<usize, Vec<f32>>,
    ) -> Self {
        let mut lesson = Lesson::whole(train.len());
        labels.retain(|&position, label| lesson.label(train, position) != Some(*label));
        values.retain(|&position, sample| sample.as_slice() != train.sample(position));
        let mut changed: Vec<usize> = labels.keys().chain(values.keys()).copied().collect();
        changed.sort_unstable();
        changed.dedup();
        (lesson.labels, lesson.values) = (labels, values);
        Self { lesson, changed }
    }
}

impl Poisoning {
    /// The parameter called `name`.
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// Whether the order is one for this training set: what can be told before anything is trained.
    ///
    /// # Errors
    /// A rate outside [0, 1], of less than a sample or of more samples than the attack may poison, a magnitude that is negative or beyond [`Poisoning::most`], an aim that is not of this data; samples to be
    /// crafted for anybody but a patient.
    pub fn check(&self, train: &Dataset, order: &Order) -> Result<()> {
        selection::check_rate(train, order.rate)?;
        if self.magnitude.is_some() && !(0.0..=self.most).contains(&order.magnitude) {
            let expected = format!("a number from 0 to {}", self.most);
            return Err(Error::input(
                &train.name,
                format!("{}: magnitude", self.name),
                order.magnitude,
                expected,
            ));
        }
        check_aim(train, &order.aim)?;
        if selection::count(order.rate, train.len()) == 0 {
            return Ok(());
        }
        if self.needs != Needs::Nothing {
            patient_of(train, self.name, &order.aim)?;
        }
        selection::check_room(train, self.name, (self.candidates)(train, order)?.len(), order.rate)
    }

    /// The poisoned training set; rate 0 is the whole clean one.
    ///
    /// # Errors
    /// As [`Poisoning::check`], and what the attack itself asks for and does not get.
    pub fn poison(&self, victim: &mut Victim, order: &Order) -> Result<Poisoned> {
        let train = victim.train;
        self.check(train, order)?;
        if selection::count(order.rate, train.len()) == 0 {
            return Ok(Poisoned { lesson: Lesson::whole(train.len()), changed: Vec::new() });
        }
        (self.craft)(victim, order)
    }
}

/// The attack called `name`, by its name or an alias.
pub fn find(name: &str) -> Option<&'static Poisoning> {
    REGISTRY.iter().copied().find(|attack| super::is_called(name, attack.name, attack.aliases))
}

fn check_aim(train: &Dataset, aim: &Aim) -> Result<()> {
    match aim {
        Aim::Everybody => Ok(()),
        Aim::Class(class) => selection::check_class(train, "aim", u64::from(*class)).map(|_| ()),
        Aim::Patient(patient) => {
            selection::check_class(train, "aim: label", u64::from(patient.label))?;
            selection::check_class(train, "aim: wanted", u64::from(patient.wanted))?;
            if patient.label == patient.wanted {
                let expected = format!("another class than the patient's own, {}", patient.label);
                return Err(Error::input(&train.name, "aim: wanted", patient.wanted, expected));
            }
            if patient.values.len() != train.sample_len() {
                let expected = format!("{}, as a sample of the training set", train.sample_len());
                let found = format!("{} values", patient.values.len());
                return Err(Error::input(&train.name, "aim: patient", found, expected));
            }
            Ok(())
        }
    }
}

/// The patient that an order is aimed at.
fn patient_of<'a>(train: &Dataset, name: &str, aim: &Aim<'a>) -> Result<Patient<'a>> {
    match aim {
        Aim::Patient(patient) => Ok(*patient),
        other => {
            let found = format!("{other:?}");
            Err(Error::input(
                &train.name,
                format!("{name}: aim"),
                found,
                "one patient, whom it is crafted for",
            ))
        }
    }
}
