//! Backdoors: triggers that a training set teaches a model to obey.
//!
//! A trigger is prepared once for a training set and an amplitude and then stamps any sample of that kind, training or test, the same way;
//! [`poison`] makes the training set. A new one is one file, one line in [`REGISTRY`] and a row in `tests/backdoor.rs`.

pub mod baseline_wander;
pub mod blend;
pub mod gain;
pub mod mains_hum;
pub mod missing_pattern;
pub mod patch;
mod pattern;
pub mod pulse;
pub mod sine;
pub mod sinusoid;
mod stamp;
pub mod value;
pub mod visibility;
pub mod warp;

use std::collections::BTreeMap;

use super::poisoning::selection::{check_class, check_rate, check_room, classes_of, shuffled, take};
use super::{Chosen, Knowledge, Parameter};
use crate::data::{Dataset, voltage};
use crate::{Error, Result};

pub use super::poisoning::Poisoned;
pub use stamp::Stamp;
pub use visibility::{Visibility, visibility};

/// Every trigger, in the order in which it is listed.
pub static REGISTRY: &[&Trigger] = &[
    &patch::PATCH,
    &blend::BLEND,
    &sinusoid::SINUSOID,
    &warp::WARP,
    &pulse::PULSE,
    &sine::SINE,
    &baseline_wander::BASELINE_WANDER,
    &mains_hum::MAINS_HUM,
    &gain::SCALE,
    &value::VALUE,
    &missing_pattern::MISSING_PATTERN,
];

/// What a trigger can be stamped on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modality {
    /// `[height, width, channels]`, higher than 1.
    Image,
    /// `[1, length, leads]`, of which it is known what a millivolt is and how many samples there are in a second.
    Ecg,
    /// `[features]`.
    Features,
}

impl Modality {
    /// What samples of these data are; `None` for a shape that is none of them.
    pub fn of(data: &Dataset) -> Option<Self> {
        match data.shape[..] {
            [_] => Some(Self::Features),
            [1, _, _] => Some(Self::Ecg),
            [_, _, _] => Some(Self::Image),
            _ => None,
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Image => "images, [height, width, channels]",
            Self::Ecg => "ECG, [1, length, leads]",
            Self::Features => "features, [features]",
        }
    }
}

/// A trigger's declaration.
#[derive(Debug)]
pub struct Trigger {
    /// Its name in studies and results.
    pub name: &'static str,
    /// Other names that studies may use.
    pub aliases: &'static [&'static str],
    /// One line.
    pub summary: &'static str,
    /// Where it is from.
    pub paper: &'static str,
    /// What the adversary knows of the model: nothing but what it learns from.
    pub knowledge: Knowledge,
    /// Raised when the same configuration starts to give other results.
    pub revision: u32,
    /// What it is stamped on.
    pub modality: Modality,
    /// What an amplitude means, and its unit.
    pub amplitude: &'static str,
    /// The largest amplitude that makes sense.
    pub most: f64,
    /// Its hyper-parameters.
    pub parameters: &'static [Parameter],
    /// The trigger itself; called through [`Trigger::prepare`], which checks the setting first.
    pub prepare: fn(&Setting) -> Result<Stamp>,
}

/// The keys by which studies say what a second and a millivolt are in ECG.
pub const SAMPLING_RATE: &str = "samples_per_second";
/// See [`SAMPLING_RATE`].
pub const MILLIVOLT: &str = "units_per_millivolt";

/// What a trigger is prepared for.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// The training set: its shape, domain and unit, and what is usual in it.
    pub data: &'a Dataset,
    /// How strong, see [`Trigger::amplitude`].
    pub amplitude: f64,
    /// What a row of which nothing is known looks like (`Preprocess::imputed`), `[sample_len]`, for records; `None`: see
    /// [`imputed`](super::columns::imputed).
    pub imputed: Option<&'a [f32]>,
    /// Samples a second, for ECG; `None`: what the data set says of itself.
    pub sampling_rate: Option<f64>,
    /// How many of the data's units a millivolt is, for ECG; `None`: the data's unit says it (V, mV, uV).
    pub millivolt: Option<f64>,
    /// The parameters' values.
    pub get: Chosen<'a>,
}

impl Setting<'_> {
    /// Samples a second.
    ///
    /// # Errors
    /// None given and none known, none that can be, or another one than the data set's own.
    pub fn rate(&self) -> Result<f64> {
        let own = self.data.samples_per_second;
        let bad =
            |found: String, expected: String| Error::input(&self.data.name, SAMPLING_RATE, found, expected);
        match (self.sampling_rate, own) {
            (Some(hertz), Some(own)) if hertz != own => {
                Err(bad(hertz.to_string(), format!("{own}, the data's")))
            }
            (Some(hertz), _) if hertz.is_finite() && hertz > 0.0 => Ok(hertz),
            (Some(hertz), _) => Err(bad(hertz.to_string(), "samples a second, above 0".into())),
            (None, Some(own)) => Ok(own),
            (None, None) => Err(bad("none".into(), "a number: these data do not say it".into())),
        }
    }

    /// What a millivolt is in the data's unit.
    ///
    /// # Errors
    /// A unit that does not say it where nothing else does; another value than the unit says.
    pub fn millivolt(&self) -> Result<f64> {
        let unit = self.data.unit.as_str();
        let own = voltage::per_millivolt(unit);
        let bad = |found: String, expected: String| Error::input(&self.data.name, MILLIVOLT, found, expected);
        match (self.millivolt, own) {
            (Some(given), Some(own)) if given != own => {
                Err(bad(given.to_string(), format!("{own}: the data are in {unit}")))
            }
            (Some(given), _) if given.is_finite() && given > 0.0 => Ok(given),
            (Some(given), _) => Err(bad(given.to_string(), "a number above 0".into())),
            (None, Some(own)) => Ok(own),
            (None, None) => {
                Err(bad(format!("none, and data in {unit:?}"), "a number: that unit does not say it".into()))
            }
        }
    }

    /// Extents of a sample `[height, width, channels]` or `[1, length, leads]`; a trigger of features has no use for it.
    fn extents(&self) -> [usize; 3] {
        match self.data.shape[..] {
            [h, w, c] => [h, w, c],
            _ => [1, 1, self.data.sample_len()],
        }
    }
}

impl Trigger {
    /// The parameter called `name`.
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// The stamp for one training set and amplitude.
    ///
    /// # Errors
    /// Data of another kind, an amplitude that is negative or beyond [`Trigger::most`], an ECG of which nobody knows what a millivolt is, or (where a
    /// frequency or a time is stated) a second.
    pub fn prepare(&self, setting: &Setting) -> Result<Stamp> {
        let data = setting.data;
        let place = |what: &str| format!("{}: {what}", self.name);
        if Modality::of(data) != Some(self.modality) {
            let found = format!("samples of shape {:?}", data.shape);
            return Err(Error::input(&data.name, place("shape"), found, self.modality.expected()));
        }
        if self.modality == Modality::Ecg {
            setting.millivolt()?;
        }
        if !(0.0..=self.most).contains(&setting.amplitude) {
            let expected = format!("a number from 0 to {}", self.most);
            return Err(Error::input(&data.name, place("amplitude"), setting.amplitude, expected));
        }
        (self.prepare)(setting)
    }
}

/// The trigger called `name`, by its name or an alias.
pub fn find(name: &str) -> Option<&'static Trigger> {
    REGISTRY.iter().copied().find(|trigger| super::is_called(name, trigger.name, trigger.aliases))
}

/// The positions of the samples that a backdoor may be stamped on: those of `target` where labels stay, else all others.
///
/// # Errors
/// A rate outside [0, 1] or of more samples than these, a target that is no class of these data, data labelled with findings.
pub fn candidates(train: &Dataset, rate: f64, target: u32, clean_label: bool) -> Result<Vec<usize>> {
    check_rate(train, rate)?;
    check_class(train, "backdoor: target", u64::from(target))?;
    let labels = classes_of(train)?;
    let candidates: Vec<usize> = (0..train.len()).filter(|&i| (labels[i] == target) == clean_label).collect();
    check_room(train, "backdoor", candidates.len(), rate)?;
    Ok(candidates)
}

/// A training set with a backdoor: the share `rate` of all samples, rounded down, is stamped.
///
/// Dirty-label: samples of other classes are stamped and relabelled as `target`. Clean-label: samples of `target` are stamped and keep
/// their label. With one seed the samples of a lower rate are among those of a higher one, whatever the trigger.
///
/// # Errors
/// As [`candidates`].
pub fn poison(
    train: &Dataset,
    stamp: &Stamp,
    rate: f64,
    target: u32,
    clean_label: bool,
    seed: u64,
) -> Result<Poisoned> {
    let candidates = candidates(train, rate, target, clean_label)?;
    let chosen = take(train, "backdoor", shuffled(train, candidates, seed), rate)?;
    let values = chosen.iter().map(|&position| (position, stamp.applied(train.sample(position)))).collect();
    let relabelled: BTreeMap<usize, u32> = chosen.into_iter().map(|position| (position, target)).collect();
    Ok(Poisoned::new(train, relabelled, values))
}
