//! From a study to subjects: models loaded, data read, thresholds frozen on clean data, expectations met.

use std::collections::BTreeMap;
use std::path::Path;

use percuss_kernels::Device;
use rayon::prelude::*;

use super::leaks;
use super::load;
use super::rescaled;
use super::study::{ModelEntry, OperatingPoint, Rate, Study};
use super::subject::{Subject, clean_logits, prediction, threshold_logit};
use crate::data::{Dataset, Labels, UNLABELLED};
use crate::models::Model;
use crate::statistics;
use crate::{Error, Result};

/// A model of the study on one of its data sets.
#[derive(Debug)]
pub struct ResolvedSubject {
    /// The model's position in the study.
    pub model: usize,
    /// The data set's position in the study.
    pub data: usize,
    /// Model, samples, clean logits, thresholds.
    pub subject: Subject,
    /// Clean metrics by name.
    pub metrics: BTreeMap<String, f64>,
}

/// Every model of the study on each of its data sets, clean logits computed on `device`. A model is loaded once; its data sets are
/// resolved side by side, so that one's files are read and decoded while another computes.
///
/// # Errors
/// As [`load::model`] and [`load::data`]; of several the one that comes first in the study, models before data.
pub fn resolve(study: &Study, device: &Device, data_dir: Option<&Path>) -> Result<Vec<ResolvedSubject>> {
    let threads = match device {
        Device::Cpu { threads } => *threads,
        Device::Gpu(_) => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let models = study.models.iter().enumerate();
    let pairs: Vec<[usize; 2]> =
        models.flat_map(|(m, entry)| entry.data.iter().map(move |&d| [m, d])).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|e| Error::Failed(format!("threads to load models and data: {e}")))?;
    let loaded: Vec<Result<Model>> =
        pool.install(|| (0..study.models.len()).into_par_iter().map(|m| load::model(study, m)).collect());
    let models: Vec<Model> = loaded.into_iter().collect::<Result<_>>()?;
    let one = |&[m, d]: &[usize; 2]| resolve_one(study, [m, d], &models[m], device, data_dir);
    let resolved: Vec<Result<ResolvedSubject>> = pool.install(|| pairs.par_iter().map(one).collect());
    resolved.into_iter().collect()
}

fn resolve_one(
    study: &Study,
    [m, d]: [usize; 2],
    model: &Model,
    device: &Device,
    data_dir: Option<&Path>,
) -> Result<ResolvedSubject> {
    let mut data = load::data(study, d, m, model, data_dir)?;
    let model = load::fitted(study, m, model, &data)?;
    data.remarks.extend(leaks::with_train(study, d, m, &model, &data, data_dir));
    answered(study, [m, d], model, data, device, data_dir)
}

/// A fitted model with its clean logits, thresholds and metrics on a data set.
pub(super) fn answered(
    study: &Study,
    [m, d]: [usize; 2],
    model: Model,
    data: Dataset,
    device: &Device,
    data_dir: Option<&Path>,
) -> Result<ResolvedSubject> {
    let clean = clean_logits(&model, &data, device)?;
    let mut subject = Subject { model, data, clean, thresholds: Vec::new() };
    subject.thresholds = thresholds(study, [m, d], &subject, device, data_dir)?;
    subject.data.remarks.extend(rescaled::doubt(&subject, device)?);
    let metrics = clean_metrics(&subject);
    Ok(ResolvedSubject { model: m, data: d, subject, metrics })
}

/// Whether all clean metrics are what the study expects.
///
/// # Errors
/// The first that is not, with its value and range: nothing is attacked then.
pub fn check_expectations(study: &Study, subjects: &[ResolvedSubject]) -> Result<()> {
    subjects.iter().try_for_each(|resolved| check_expectation(study, resolved))
}

/// The same of one model on one data set.
pub(super) fn check_expectation(study: &Study, resolved: &ResolvedSubject) -> Result<()> {
    let entry = &study.models[resolved.model];
    for (name, [low, high]) in &entry.expect {
        let place = || format!("model {} on data {}: expect.{name}", entry.id, study.data[resolved.data].id);
        let Some(&found) = resolved.metrics.get(name) else {
            let there: Vec<&str> = resolved.metrics.keys().map(String::as_str).collect();
            let found = "a metric that this head on these data does not have";
            return Err(study.error(place(), found, format!("one of {}", there.join(", "))));
        };
        if !(found >= *low && found <= *high) {
            return Err(study.error(
                place(),
                format!("{found:.4} on clean data"),
                format!("{low} to {high}"),
            ));
        }
    }
    Ok(())
}

/// A threshold for the binary head or each finding; empty for other heads.
pub(super) fn thresholds(
    study: &Study,
    [m, d]: [usize; 2],
    subject: &Subject,
    device: &Device,
    data_dir: Option<&Path>,
) -> Result<Vec<f64>> {
    let entry = &study.models[m];
    let binary = subject.classes() == 2;
    let decisions = if subject.sigmoid() { subject.outputs() } else { 1 };
    match (&entry.operating_point, entry.threshold) {
        (None, None) if binary => Ok(vec![0.5; decisions]),
        (None, None) => Ok(Vec::new()),
        _ if !binary => Err(study.error(
            format!("model {}: threshold or operating_point", entry.id),
            format!("a head of {} classes", subject.classes()),
            "a binary or multi-label head",
        )),
        (None, Some(threshold)) => Ok(vec![threshold; decisions]),
        (Some(point), _) => {
            let fit = load::data_split(study, d, m, &subject.model, data_dir, Some(&point.fit_on))?;
            let logits = clean_logits(&subject.model, &fit, device)?;
            fit_thresholds(study, entry, point, subject, &fit, &logits, decisions)
        }
    }
}

fn fit_thresholds(
    study: &Study,
    entry: &ModelEntry,
    point: &OperatingPoint,
    subject: &Subject,
    fit: &Dataset,
    logits: &[f32],
    decisions: usize,
) -> Result<Vec<f64>> {
    let outputs = subject.outputs();
    let attacked = subject.decisions();
    (0..decisions)
        .map(|finding| {
            // What is not labelled is not decided.
            if !attacked.contains(&finding) {
                return Ok(0.5);
            }
            let label = |i: usize| match &fit.labels {
                Labels::Class(labels) => Some(labels[i] == 1),
                Labels::Findings(findings) => match findings[i * fit.classes.len() + finding] {
                    UNLABELLED => None,
                    label => Some(label == 1),
                },
            };
            let (mut positive, mut own) = (Vec::new(), Vec::new());
            for (i, logits) in logits.chunks_exact(outputs).enumerate() {
                if let Some(label) = label(i) {
                    positive.push(label);
                    own.extend_from_slice(logits);
                }
            }
            fit_threshold(subject, &own, finding, &positive, point.rate).ok_or_else(|| {
                let place = format!("model {}: operating_point on split {}", entry.id, point.fit_on);
                study.error(
                    place,
                    "no probability strictly between 0 and 1 that reaches it",
                    "a reachable rate",
                )
            })
        })
        .collect()
}

/// The threshold for a finding (0 for a binary head) that reaches `rate` on samples with these raw `logits` (`n * outputs`), of which
/// `positive` says the truth: the highest for a sensitivity, the lowest for a specificity. It lies between two scores, and is taken only if
/// the decision itself, in f32, reaches the rate. `None` where no probability strictly between 0 and 1 does.
pub fn fit_threshold(
    subject: &Subject,
    logits: &[f32],
    finding: usize,
    positive: &[bool],
    rate: Rate,
) -> Option<f64> {
    let samples = || logits.chunks_exact(subject.outputs());
    let scores: Vec<f64> = samples().map(|z| positive_score(subject, z, finding)).collect();
    let reached = |threshold: f64| {
        let shift = threshold_logit(threshold);
        let said: Vec<bool> =
            samples().map(|z| prediction(&subject.deciding_at(z, finding, shift)) == 1).collect();
        match rate {
            Rate::Sensitivity(wanted) => statistics::sensitivity(&said, positive)? >= wanted,
            Rate::Specificity(wanted) => statistics::specificity(&said, positive)? >= wanted,
        }
        .then_some(threshold)
    };
    let candidates = match rate {
        Rate::Sensitivity(wanted) => statistics::thresholds_for_sensitivity(&scores, positive, wanted),
        // The negatives' share below the threshold: the same question with the classes exchanged.
        Rate::Specificity(wanted) => {
            let mirrored: Vec<f64> = scores.iter().map(|score| 1.0 - score).collect();
            let negative: Vec<bool> = positive.iter().map(|p| !p).collect();
            let mut mirrored = statistics::thresholds_for_sensitivity(&mirrored, &negative, wanted);
            mirrored.iter_mut().for_each(|threshold| *threshold = 1.0 - *threshold);
            mirrored
        }
    };
    candidates.into_iter().filter(|t| *t > 0.0 && *t < 1.0).find_map(reached)
}

/// The probability of the positive class, or of a finding.
pub(super) fn positive_score(subject: &Subject, logits: &[f32], finding: usize) -> f64 {
    let z = if subject.sigmoid() {
        f64::from(logits[finding])
    } else {
        f64::from(logits[1]) - f64::from(logits[0])
    };
    1.0 / (1.0 + (-z).exp())
}

/// The clean metrics that a study can expect, by name; a metric that the head does not have is absent.
pub fn clean_metrics(subject: &Subject) -> BTreeMap<String, f64> {
    let mut out = BTreeMap::new();
    let mut put = |name: &str, value: Option<f64>| {
        out.extend(value.map(|value| (name.to_string(), value)));
    };
    let mut means: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for finding in subject.decisions() {
        let samples = subject.samples_of(finding);
        let n = samples.len();
        let labels: Vec<u32> = samples.iter().map(|&i| subject.label(i, finding)).collect();
        let predicted = |&i: &usize| prediction(&subject.deciding(subject.clean_logits(i), finding));
        let predicted: Vec<u32> = samples.iter().map(predicted).collect();
        let right = (0..n).filter(|&i| predicted[i] == labels[i]).count();
        let mut add = |name: &'static str, value: Option<f64>| means.entry(name).or_default().extend(value);
        add("accuracy", (n > 0).then(|| right as f64 / n as f64));
        add("balanced_accuracy", statistics::balanced_accuracy(&predicted, &labels));
        add("macro_f1", statistics::macro_f1(&predicted, &labels));
        if subject.classes() == 2 {
            let score = |&i: &usize| positive_score(subject, subject.clean_logits(i), finding);
            let scores: Vec<f64> = samples.iter().map(score).collect();
            let positive: Vec<bool> = labels.iter().map(|&label| label == 1).collect();
            let said: Vec<bool> = predicted.iter().map(|&p| p == 1).collect();
            add("auroc", statistics::auroc(&scores, &positive));
            add("brier", statistics::brier(&scores, &positive));
            add("ece", statistics::expected_calibration_error(&scores, &positive));
            add("sensitivity", statistics::sensitivity(&said, &positive));
            add("specificity", statistics::specificity(&said, &positive));
        } else {
            let scores: Vec<Vec<f64>> = samples
                .iter()
                .map(|&i| subject.scores(subject.clean_logits(i)).into_iter().map(f64::from).collect())
                .collect();
            add("auroc", statistics::auroc_macro(&scores, &labels, subject.classes()));
            add("brier", statistics::brier_multiclass(&scores, &labels));
        }
    }
    for (name, values) in means {
        // Findings count alike.
        put(name, statistics::mean(values.into_iter()));
    }
    out
}
