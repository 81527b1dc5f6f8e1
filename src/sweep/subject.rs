//! A model on a data set: what it says of the clean samples, and how its outputs become a decision.

use std::ops::Deref;

use percuss_kernels::Device;

use super::judge::Judge;
use super::moving;
use crate::data::{Dataset, Labels, UNLABELLED};
use crate::graph::Uploads;
use crate::models::{Head, Input, Model};
use crate::{Error, Result};

/// A model with the data it is attacked on.
#[derive(Debug)]
pub struct Subject {
    /// The model.
    pub model: Model,
    /// The samples.
    pub data: Dataset,
    /// Raw logits of the clean samples, `n * classes`.
    pub clean: Vec<f32>,
    /// Probability at which a binary head, or each finding, says yes; empty where the largest logit decides.
    pub thresholds: Vec<f64>,
}

/// The logits that decide; every sample of every cell is asked for them, so that they take no memory of their own.
#[derive(Clone, Copy, Debug)]
pub enum Deciding<'a> {
    /// Between two.
    Two([f32; 2]),
    /// The model's own.
    Logits(&'a [f32]),
}

impl Deref for Deciding<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::Two(pair) => pair,
            Self::Logits(logits) => logits,
        }
    }
}

/// The prediction where a logit is NaN: no class, so it equals no label and no target.
pub const NO_CLASS: u32 = u32::MAX;

/// Logit of a probability.
pub fn logit(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln()
}

impl Subject {
    /// Number of raw outputs.
    pub fn outputs(&self) -> usize {
        self.model.config.classes()
    }

    /// What budgets may be for.
    pub(super) fn inputs(&self) -> Vec<Input> {
        moving::inputs(&self.model.config, Some(&self.data))
    }

    /// Number of deciding classes: 2 for a sigmoid head (finding absent, present).
    pub fn classes(&self) -> usize {
        if self.sigmoid() { 2 } else { self.outputs() }
    }

    /// Whether each output is a finding of its own.
    pub fn sigmoid(&self) -> bool {
        self.model.config.head == Head::Sigmoid
    }

    /// The threshold's logit for a finding (0 for other heads), 0 where none is set.
    pub fn threshold_logit(&self, finding: usize) -> f32 {
        let threshold = self.thresholds.get(finding).or(self.thresholds.first());
        threshold.map_or(0.0, |&p| threshold_logit(p))
    }

    /// The true class of sample `i`; of a finding, 1 where it is present, 0 where it is not or nobody says.
    pub fn label(&self, i: usize, finding: usize) -> u32 {
        match &self.data.labels {
            Labels::Class(labels) => labels[i],
            Labels::Findings(findings) => u32::from(findings[i * self.data.classes.len() + finding] == 1),
        }
    }

    /// Whether anybody says what sample `i` is, of a finding whether it is there.
    pub fn labelled(&self, i: usize, finding: usize) -> bool {
        match &self.data.labels {
            Labels::Class(_) => true,
            Labels::Findings(findings) => findings[i * self.data.classes.len() + finding] != UNLABELLED,
        }
    }

    /// The samples that are labelled with a finding, of one decision all.
    pub fn samples_of(&self, finding: usize) -> Vec<usize> {
        (0..self.data.len()).filter(|&i| self.labelled(i, finding)).collect()
    }

    /// The decisions that any sample is labelled with: outputs of a sigmoid head, else the only one.
    pub fn decisions(&self) -> Vec<usize> {
        let all = if self.sigmoid() { self.outputs() } else { 1 };
        (0..all).filter(|&finding| (0..self.data.len()).any(|i| self.labelled(i, finding))).collect()
    }

    /// The name of a class, or of an output's finding; its number where neither model nor data name it.
    pub fn class_name(&self, class: u32) -> String {
        let config = &self.model.config;
        let names = if config.names_all_classes() { &config.class_names } else { &self.data.classes };
        names.get(class as usize).cloned().unwrap_or_else(|| class.to_string())
    }

    /// The names of the classes that a decision is between; of a finding, that it is absent and present.
    pub fn decision_names(&self) -> Vec<String> {
        match self.sigmoid() && self.outputs() > 1 {
            true => vec!["absent".into(), "present".into()],
            false => (0..self.classes() as u32).map(|class| self.class_name(class)).collect(),
        }
    }

    /// The clean logits of sample `i`.
    pub fn clean_logits(&self, i: usize) -> &[f32] {
        &self.clean[i * self.outputs()..][..self.outputs()]
    }

    /// What decides: the logits themselves; with two classes the second shifted by the threshold; of a sigmoid head `[0, z - threshold]`
    /// for the finding. The same arithmetic as `attacks::evasion::loss::decision_logits`.
    pub fn deciding<'a>(&self, logits: &'a [f32], finding: usize) -> Deciding<'a> {
        self.deciding_at(logits, finding, self.threshold_logit(finding))
    }

    /// As [`Self::deciding`], with a threshold's logit that is not the subject's own.
    pub(super) fn deciding_at<'a>(&self, logits: &'a [f32], finding: usize, shift: f32) -> Deciding<'a> {
        if self.sigmoid() {
            Deciding::Two([0.0, logits[finding] - shift])
        } else if logits.len() == 2 {
            Deciding::Two([logits[0], logits[1] - shift])
        } else {
            Deciding::Logits(logits)
        }
    }

    /// Probabilities: softmax over classes, or the sigmoid of each finding.
    pub fn scores(&self, logits: &[f32]) -> Vec<f32> {
        if self.sigmoid() {
            return logits.iter().map(|&z| (1.0 / (1.0 + (-f64::from(z)).exp())) as f32).collect();
        }
        let largest = logits.iter().copied().fold(f32::MIN, f32::max);
        let terms = || logits.iter().map(|&z| f64::from(z - largest).exp());
        let sum: f64 = terms().sum();
        terms().map(|term| (term / sum) as f32).collect()
    }
}

/// The logit by which a threshold shifts the decision.
pub(super) fn threshold_logit(threshold: f64) -> f32 {
    if threshold == 0.5 { 0.0 } else { logit(threshold) as f32 }
}

/// The winning class; of equal ones the first; [`NO_CLASS`] where a logit is NaN. An answer is right where it equals the label: nothing
/// else decides that anywhere.
pub fn prediction(deciding: &[f32]) -> u32 {
    if deciding.iter().any(|value| value.is_nan()) {
        return NO_CLASS;
    }
    let mut best = 0;
    for (class, &value) in deciding.iter().enumerate() {
        if value > deciding[best] {
            best = class;
        }
    }
    best as u32
}

/// `z_class - max of the others`: positive where the class wins, 0 at a tie, which [`prediction`] decides; NaN where a logit is.
pub fn margin(deciding: &[f32], class: u32) -> f32 {
    if deciding.iter().any(|value| value.is_nan()) {
        return f32::NAN;
    }
    let others = deciding.iter().enumerate().filter(|(other, _)| *other != class as usize);
    deciding[class as usize] - others.fold(f32::MIN, |best, (_, &value)| best.max(value))
}

/// The raw logits of every sample of `data`, by the same program that judges adversarials.
///
/// # Errors
/// A device failure; a logit that is NaN or infinite: such a model answers nothing, and would pass for one that no attack changes.
pub fn clean_logits(model: &Model, data: &Dataset, device: &Device) -> Result<Vec<f32>> {
    let lanes = data.len().clamp(2, 32);
    let mut judge = Judge::open(model, lanes, device, &mut Uploads::default())?;
    let inputs: Vec<&[f32]> = (0..data.len()).map(|i| data.sample(i)).collect();
    let logits = judge.logits(&inputs)?;
    match logits.iter().position(|value| !value.is_finite()) {
        None => Ok(logits),
        Some(at) => {
            let (sample, output) = (at / model.config.classes(), at % model.config.classes());
            let place = format!("sample {} of data {}, logit {output}", data.index[sample], data.name);
            Err(Error::input(model.path.display(), place, logits[at], "finite logits of clean samples"))
        }
    }
}
