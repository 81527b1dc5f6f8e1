//! `[[model]]` and `[[defense]]`: what is attacked.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included};
use std::path::{Path, PathBuf};

use super::attack_table::ladder;
use super::data_table::DataEntry;
use super::zero_shot::{open_words, zero_shot};
use crate::Result;
use crate::attacks::{Parameter, Value};
use crate::data::keys::{SPLITS, bounds, classes};
use crate::defenses::{self, DETECTORS, Detector};
use crate::document::{Item, Table, pair};
use crate::models::Samples;
use crate::models::clip::ZeroShot;
use crate::models::onnx::Supplied;
use crate::models::{Head, OpenWords};
use crate::resampling::{Filter, Fit};
use crate::spelling::hint;

/// Metrics that `expect` may name.
pub const METRICS: [&str; 8] =
    ["accuracy", "balanced_accuracy", "macro_f1", "auroc", "sensitivity", "specificity", "brier", "ece"];

/// Defences that this version has besides detectors.
const DEFENSES: [&str; 2] = ["none", "dp-sgd"];

/// What a model's outputs are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Logits.
    #[default]
    Logits,
    /// As deployed the model ends in a softmax or sigmoid. An ONNX file's is taken off before it is attacked; the families of percuss are
    /// built up to their logits, so that nothing is left to take off. The word is part of the cell's identity.
    Probabilities,
}

impl Output {
    /// Its name in studies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Probabilities => "probabilities",
        }
    }
}

/// `input = { unit, bounds, mean, std, shape, resize, fit }`: takes the place of what model and data say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InputOverride {
    /// The unit that the model's input is in; the data must be in the same.
    pub unit: Option<String>,
    /// Smallest and largest value of the data, in its unit.
    pub bounds: Option<[f32; 2]>,
    /// Subtracted from the input, in the data's unit: one value, one a channel or one a feature.
    pub mean: Option<Vec<f32>>,
    /// Then divided by, positive.
    pub std: Option<Vec<f32>>,
    /// Samples that are not of the model's own shape: they are resized, and grey ones copied to colour, inside the attacked graph.
    pub samples: Option<Samples>,
}

/// Which rate an operating point fixes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// Share of positives that are found.
    Sensitivity(f64),
    /// Share of negatives that are left alone.
    Specificity(f64),
}

/// `operating_point = { sensitivity = S, fit_on = SPLIT }`: the threshold is chosen on clean data, then frozen.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatingPoint {
    /// What it reaches, at least.
    pub rate: Rate,
    /// The split that it is fitted on.
    pub fit_on: String,
}

/// A `[[model]]` table.
#[derive(Clone, Debug)]
pub struct ModelEntry {
    /// Its id in the study.
    pub id: String,
    /// Its folder or file, relative to the working folder.
    pub path: PathBuf,
    /// The data it is attacked on, as positions in [`Study::data`](super::Study::data).
    pub data: Vec<usize>,
    /// What its outputs are, where the study says it.
    pub output: Option<Output>,
    /// What its outputs mean, in the place of what its own configuration says.
    pub head: Option<Head>,
    /// What takes the place of the model's own input scaling and the data's own bounds.
    pub input: Option<InputOverride>,
    /// How the threshold is fitted, if it is.
    pub operating_point: Option<OperatingPoint>,
    /// The decision threshold as a probability in (0, 1), if it is given.
    pub threshold: Option<f64>,
    /// Classes in words, of an image-text model.
    pub zero_shot: Option<ZeroShot>,
    /// Which words of its texts are open to an adversary, of a classifier of texts.
    pub words: Option<OpenWords>,
    /// What an ONNX file leaves open: lengths of axes, values of inputs that are the same for all samples.
    pub supplied: Supplied,
    /// Names of its outputs in their order, where its own configuration does not say them.
    pub classes: Vec<String>,
    /// Clean metrics, by their name in [`METRICS`]: lowest and highest that is accepted, inclusive.
    pub expect: BTreeMap<String, [f64; 2]>,
    /// The line of its table.
    pub line: usize,
}

/// What DP-SGD promises (Abadi et al. 2016).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Privacy {
    /// Epsilon of (epsilon, delta)-differential privacy.
    pub epsilon: f64,
    /// Delta of it.
    pub delta: f64,
    /// Largest norm of one sample's gradient.
    pub clip_norm: f64,
}

/// A `[[defense]]` table.
#[derive(Clone, Debug, PartialEq)]
pub struct DefenseEntry {
    /// Its id in the study.
    pub id: String,
    /// What it does: `none`, `dp-sgd`, or a detector's name.
    pub kind: String,
    /// What models are trained with, if it is DP-SGD: a defence for the threats that train some.
    pub privacy: Option<Privacy>,
    /// What looks for backdoors, if it is a detector; models are then trained as without a defence.
    pub detector: Option<DetectorEntry>,
}

/// A detector with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectorEntry {
    /// Its name in [`DETECTORS`](crate::defenses::DETECTORS).
    pub name: &'static str,
    /// Its revision.
    pub revision: u32,
    /// Every parameter, in the order of declaration.
    pub parameters: Vec<(&'static str, Value)>,
}

/// The tables of `[[model]]`.
pub(super) fn models(root: &Table, folder: &Path, data: &[DataEntry]) -> Result<Vec<ModelEntry>> {
    let ids: Vec<&str> = data.iter().map(|entry| entry.id.as_str()).collect();
    let tables = needed(root, "model")?;
    let mut entries: Vec<ModelEntry> = Vec::new();
    for table in &tables {
        table.allow(&[
            "id",
            "path",
            "data",
            "output",
            "head",
            "input",
            "operating_point",
            "threshold",
            "expect",
            "zero_shot",
            "words",
            "classes",
            "dimensions",
            "inputs",
        ])?;
        let threshold = table.read("threshold", |item| {
            item.number_in((Excluded(0.0), Excluded(1.0)), "a probability between 0 and 1, neither of them")
        })?;
        let operating_point = table.read("operating_point", operating_point)?;
        if threshold.is_some() && operating_point.is_some() {
            return Err(table.error("threshold", "a threshold beside an operating_point", "one of them"));
        }
        let output = table.read("output", |item| {
            Ok(match item.choice(&["logits", "probabilities"])? {
                "logits" => Output::Logits,
                _ => Output::Probabilities,
            })
        })?;
        entries.push(ModelEntry {
            id: fresh_id(table, entries.iter().map(|entry| entry.id.as_str()))?,
            path: folder.join(table.require("path", "the model's folder or file")?.text()?),
            data: positions(&table.require("data", "the ids of [[data]] tables")?, "[[data]] table", &ids)?,
            output,
            head: table.read("head", |item| item.choice(&Head::NAMES))?.and_then(Head::named),
            input: table.read("input", input)?,
            operating_point,
            threshold,
            zero_shot: table.read("zero_shot", zero_shot)?,
            words: table.read("words", open_words)?,
            classes: table.read("classes", classes)?.unwrap_or_default(),
            supplied: Supplied {
                dimensions: table
                    .read("dimensions", |item| given(item, "{ AXIS = LENGTH }"))?
                    .unwrap_or_default(),
                inputs: table
                    .read("inputs", |item| given(item, "{ INPUT = VALUE }, each a number or a list"))?
                    .unwrap_or_default(),
            },
            expect: table.read("expect", expect)?.unwrap_or_default(),
            line: table.line(),
        });
    }
    Ok(entries)
}

/// A table of what is given by name, as the JSON beside an ONNX file has it.
fn given<T: serde::de::DeserializeOwned>(item: &Item, expected: &str) -> Result<BTreeMap<String, T>> {
    item.plain().try_into().map_err(|_| item.error(expected))
}

fn input(item: &Item) -> Result<InputOverride> {
    let table = item.table("a table with unit, bounds, mean, std, shape, resize, fit")?;
    table.allow(&["unit", "bounds", "mean", "std", "shape", "resize", "fit"])?;
    let input = InputOverride {
        unit: table.read("unit", Item::text)?,
        bounds: table.read("bounds", bounds)?,
        mean: table.read("mean", |item| numbers(item, f64::from(f32::MIN), "a number"))?,
        std: table.read("std", |item| numbers(item, f64::from(f32::MIN_POSITIVE), "a positive number"))?,
        samples: samples(&table)?,
    };
    match (&input.mean, &input.std) {
        (Some(_), None) => Err(table.error("std", "no such key", "a standard deviation beside the mean")),
        (None, Some(_)) => Err(table.error("mean", "no such key", "a mean beside the standard deviation")),
        _ => Ok(input),
    }
}

/// `shape` of the samples, and how they are resized.
fn samples(table: &Table) -> Result<Option<Samples>> {
    let filter = table.read("resize", |item| item.choice(&Filter::NAMES))?.and_then(Filter::named);
    let fit = table.read("fit", |item| item.choice(&Fit::NAMES))?.and_then(Fit::named);
    let Some(item) = table.get("shape") else {
        return match filter.is_some() || fit.is_some() {
            true => Err(table.error(
                "shape",
                "no such key",
                "[height, width, channels] of the samples beside resize or fit",
            )),
            false => Ok(None),
        };
    };
    let expected = "[height, width, channels] of the samples";
    let sizes = item.values()?.iter().map(|size| size.whole(1, 8192)).collect::<Result<Vec<_>>>()?;
    let [height, width, channels] = sizes[..] else { return Err(item.error(expected)) };
    let shape = [height, width, channels].map(|size| size as usize);
    Ok(Some(Samples { shape, filter: filter.unwrap_or_default(), fit: fit.unwrap_or_default() }))
}

fn numbers(item: &Item, low: f64, expected: &str) -> Result<Vec<f32>> {
    let number =
        |value: &Item| value.number_in(low..=f64::from(f32::MAX), expected).map(|value| value as f32);
    item.values()?.iter().map(number).collect()
}

fn operating_point(item: &Item) -> Result<OperatingPoint> {
    let table = item.table("{ sensitivity = S, fit_on = SPLIT }")?;
    table.allow(&["sensitivity", "specificity", "fit_on"])?;
    let share = |item: &Item| item.number_in((Excluded(0.0), Included(1.0)), "a share above 0, at most 1");
    let rate = match (table.read("sensitivity", share)?, table.read("specificity", share)?) {
        (Some(value), None) => Rate::Sensitivity(value),
        (None, Some(value)) => Rate::Specificity(value),
        (None, None) => {
            return Err(table.error("sensitivity", "neither sensitivity nor specificity", "one of them"));
        }
        _ => return Err(table.error("sensitivity", "both sensitivity and specificity", "one of them")),
    };
    let fit_on = table.require("fit_on", "the split that it is fitted on")?.choice(&SPLITS)?;
    Ok(OperatingPoint { rate, fit_on: fit_on.to_string() })
}

fn expect(item: &Item) -> Result<BTreeMap<String, [f64; 2]>> {
    let table = item.table("a table of metrics, each [lowest, highest]")?;
    table.allow(&METRICS)?;
    table
        .entries()
        .map(|(name, item)| Ok((name.to_string(), pair(&item, "[lowest, highest]", 0.0, 1.0)?)))
        .collect()
}

/// The tables of `[[defense]]`; without any, no defence.
pub(super) fn defenses(root: &Table) -> Result<Vec<DefenseEntry>> {
    let Some(item) = root.get("defense") else {
        let kind = "none".to_string();
        return Ok(vec![DefenseEntry { id: kind.clone(), kind, privacy: None, detector: None }]);
    };
    let mut entries: Vec<DefenseEntry> = Vec::new();
    for table in &item.tables()? {
        let id = fresh_id(table, entries.iter().map(|entry| entry.id.as_str()))?;
        let kind = match table.get("kind") {
            Some(kind) => kind,
            None => table.require("id", "the id of this table")?,
        };
        let found = kind.word()?;
        let entry = match (found, defenses::find(found)) {
            (_, Some(detector)) => {
                let (name, detector) = (detector.name, detector_entry(table, detector)?);
                DefenseEntry { id, kind: name.into(), privacy: None, detector: Some(detector) }
            }
            ("dp-sgd", _) => {
                table.allow(&["id", "kind", "epsilon", "delta", "clip_norm"])?;
                DefenseEntry { id, kind: found.into(), privacy: Some(privacy(table)?), detector: None }
            }
            ("none", _) => {
                table.allow(&["id", "kind"])?;
                DefenseEntry { id, kind: found.into(), privacy: None, detector: None }
            }
            _ => {
                let names = DEFENSES.into_iter().chain(DETECTORS.iter().map(|detector| detector.name));
                let names: Vec<&str> = names.collect();
                let list = names.join(", ");
                let expected = format!("a defence that this version has: {list}{}", hint(found, &names));
                return Err(kind.error(expected));
            }
        };
        entries.push(entry);
    }
    Ok(entries)
}

/// A detector with the parameters that its table sets, one value each.
fn detector_entry(table: &Table, detector: &'static Detector) -> Result<DetectorEntry> {
    let own = detector.parameters.iter().map(|parameter| parameter.name);
    table.allow(&["id", "kind"].into_iter().chain(own).collect::<Vec<_>>())?;
    let value = |parameter: &Parameter| -> Result<(&'static str, Value)> {
        let Some(item) = table.get(parameter.name) else { return Ok((parameter.name, parameter.default)) };
        match ladder(&item, parameter)?.as_slice() {
            [value] => Ok((parameter.name, *value)),
            values => Err(item.error_found(
                format!("{} values", values.len()),
                "one; another value is another [[defense]] table",
            )),
        }
    };
    let parameters = detector.parameters.iter().map(value).collect::<Result<_>>()?;
    Ok(DetectorEntry { name: detector.name, revision: detector.revision, parameters })
}

/// The defences of a table of attacks, as positions: those that it names, or all that are against such attacks.
pub(super) fn chosen_defenses(
    table: &Table,
    all: &[DefenseEntry],
    fits: impl Fn(&DefenseEntry) -> bool,
    expected: &str,
) -> Result<Vec<usize>> {
    let ids: Vec<&str> = all.iter().map(|entry| entry.id.as_str()).collect();
    let named = table.read("defenses", |item| positions(item, "[[defense]] table", &ids))?;
    let Some(named) = named else {
        let all: Vec<usize> = (0..all.len()).filter(|&at| fits(&all[at])).collect();
        return if all.is_empty() { Err(table.error("defenses", ids.join(", "), expected)) } else { Ok(all) };
    };
    match named.iter().find(|&&at| !fits(&all[at])) {
        Some(&at) => Err(table.error("defenses", &all[at].id, expected)),
        None => Ok(named),
    }
}

fn privacy(table: &Table) -> Result<Privacy> {
    let positive =
        |item: &Item| item.number_in((Excluded(0.0), Excluded(f64::INFINITY)), "a positive number");
    let share = |item: &Item| {
        item.number_in((Excluded(0.0), Excluded(1.0)), "a probability, far below one over the samples")
    };
    Ok(Privacy {
        epsilon: positive(&table.require("epsilon", "the epsilon that training may spend")?)?,
        delta: table.read("delta", share)?.unwrap_or(1e-5),
        clip_norm: table.read("clip_norm", positive)?.unwrap_or(1.0),
    })
}

/// The tables of `[[key]]`, of which there is one at least, unless the study trains its models itself.
pub(super) fn needed<'t>(root: &Table<'t>, key: &str) -> Result<Vec<Table<'t>>> {
    match root.get(key) {
        Some(item) => item.tables(),
        None if trains(root) && root.get("attack").is_none() => Ok(Vec::new()),
        None => Err(root.error(key, "no such key", format!("at least one [[{key}]] table"))),
    }
}

fn trains(root: &Table) -> bool {
    ["recipe", "poisoning", "backdoor", "membership"].iter().any(|key| root.get(key).is_some())
}

/// A table's id, which no table before it has.
pub(super) fn fresh_id<'a>(table: &Table, mut taken: impl Iterator<Item = &'a str>) -> Result<String> {
    let item = table.require("id", "an id for this table")?;
    let id = item.text()?;
    if taken.any(|other| other == id) {
        return Err(item.error("an id that no other table has"));
    }
    Ok(id)
}

/// Ids as positions among `ids`, each once.
pub(super) fn positions(item: &Item, what: &str, ids: &[&str]) -> Result<Vec<usize>> {
    let mut positions = Vec::new();
    for value in item.values()? {
        let position = value.position(what, ids)?;
        if positions.contains(&position) {
            return Err(value.error("each id once"));
        }
        positions.push(position);
    }
    Ok(positions)
}
