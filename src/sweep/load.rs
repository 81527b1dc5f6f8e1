//! A study's models and data sets, read and checked against each other.

use std::path::Path;

use super::study::{InputOverride, ModelEntry, Output, Study};
use crate::data::{self, Dataset, Labels, Preprocess};
use crate::models::onnx::Ending;
use crate::models::{Architecture, Head, InputScaling, Model, onnx_file};
use crate::{Error, Result};

/// Loads the study's model at `position`, with the study's `input` in the place of its own scaling.
///
/// # Errors
/// A model that does not load; `mean` or `std` of a length that does not fit its input; an `output` that is not what an ONNX file ends in.
pub fn model(study: &Study, position: usize) -> Result<Model> {
    let entry = &study.models[position];
    let mut model = Model::load(&entry.path)?;
    settle_ending(study, entry, &mut model)?;
    if let Some(InputOverride { mean: Some(mean), std: Some(std), .. }) = &entry.input {
        let shape = model.config.input_shape();
        let lengths = [1, shape.last().copied().unwrap_or(1), shape.iter().product()];
        for (key, values) in [("mean", mean), ("std", std)] {
            if !lengths.contains(&values.len()) {
                let expected = format!("1, {} or {} of them (model {})", lengths[1], lengths[2], entry.id);
                return Err(misfit(study, entry, key, format!("{} numbers", values.len()), expected));
            }
        }
        model.config.input_scaling = Some(InputScaling { mean: mean.clone(), std: std.clone() });
    }
    Ok(model)
}

/// Whether the end of an ONNX file's network stays where it is: a softmax does where the study calls its outputs logits, so that it is
/// attacked as it is and every row says so.
fn settle_ending(study: &Study, entry: &ModelEntry, model: &mut Model) -> Result<()> {
    let Architecture::Onnx(onnx) = &mut model.config.architecture else { return Ok(()) };
    let misfit = |found: &str, expected: String| {
        Err(study.error(
            format!("line {}, model.output", entry.line),
            found,
            format!("{expected} (model {})", entry.id),
        ))
    };
    match (entry.output, onnx.network.ending) {
        (Output::Probabilities, None) => misfit(
            "\"probabilities\"",
            "\"logits\", since its graph ends in neither softmax nor sigmoid".into(),
        ),
        (Output::Logits, Some(Ending::Sigmoid)) => misfit(
            "\"logits\"",
            "\"probabilities\", since its graph ends in a sigmoid, which is then taken off".into(),
        ),
        (output, ending) => {
            onnx.keeps_ending = output == Output::Logits && ending == Some(Ending::Softmax);
            Ok(())
        }
    }
}

/// Opens the data set at `position` for `model`, the study's model at `of`: preprocessed as `preprocess.json` beside the model says, within
/// the study's `bounds`.
///
/// # Errors
/// Data that do not load, or that do not fit the model: another unit than `input.unit`, a value outside `input.bounds`, another shape,
/// labels it has no output for.
pub fn data(
    study: &Study,
    position: usize,
    of: usize,
    model: &Model,
    data_dir: Option<&Path>,
) -> Result<Dataset> {
    data_split(study, position, of, model, data_dir, None)
}

/// As [`data`], of another split and without a limit: what an operating point is fitted on.
///
/// # Errors
/// As [`data`].
pub fn data_split(
    study: &Study,
    position: usize,
    of: usize,
    model: &Model,
    data_dir: Option<&Path>,
    split: Option<&str>,
) -> Result<Dataset> {
    let entry = &study.models[of];
    let mut request = study.data[position].request.clone();
    request.data_dir = data_dir.map(Path::to_path_buf);
    if let Some(split) = split {
        request.split = split.to_string();
        request.limit = None;
    }
    let mut dataset = data::open(&request, preprocess(&entry.path)?.as_ref())?;
    if let Some(input) = &entry.input {
        if let Some(unit) = input.unit.as_ref().filter(|unit| **unit != dataset.unit) {
            let expected = format!("{:?}, the unit of data {}", dataset.unit, study.data[position].id);
            return Err(misfit(study, entry, "unit", format!("{unit:?}"), expected));
        }
        if let Some([low, high]) = input.bounds {
            check_bounds(study, entry, &dataset, [low, high])?;
            (dataset.domain.low, dataset.domain.high) = (vec![low], vec![high]);
        }
    }
    check_fit(study, position, entry, model, &dataset)?;
    Ok(dataset)
}

/// What was fitted with the model, if it is a model of tables.
fn preprocess(model: &Path) -> Result<Option<Preprocess>> {
    let network = onnx_file(model);
    let folder = network.as_deref().and_then(Path::parent).unwrap_or(model);
    let file = folder.join("preprocess.json");
    if file.is_file() { Preprocess::load(&file).map(Some) } else { Ok(None) }
}

/// No sample may lie outside the bounds that the study states: an attack could not stay within them, and a wrong unit would pass unseen.
fn check_bounds(study: &Study, entry: &ModelEntry, data: &Dataset, [low, high]: [f32; 2]) -> Result<()> {
    let Some(at) = data.values.iter().position(|value| !(low..=high).contains(value)) else { return Ok(()) };
    let (sample, value) = (at / data.sample_len(), at % data.sample_len());
    let found =
        format!("{} in sample {}, value {value} of {}", data.values[at], data.index[sample], data.name);
    let expected = format!("values from {low} to {high} {}, or bounds that hold them", data.unit);
    Err(misfit(study, entry, "bounds", found, expected))
}

fn misfit(study: &Study, entry: &ModelEntry, key: &str, found: String, expected: String) -> Error {
    study.error(format!("line {}, model.input.{key}", entry.line), found, expected)
}

fn check_fit(
    study: &Study,
    position: usize,
    entry: &ModelEntry,
    model: &Model,
    data: &Dataset,
) -> Result<()> {
    let place =
        |what: &str| format!("{what} (data {} of the study, model {})", study.data[position].id, entry.id);
    if !model.config.takes(&data.shape) {
        let shape = model.config.input_shape();
        let found = format!("samples of shape {:?}", data.shape);
        return Err(Error::input(
            &data.name,
            place("samples"),
            found,
            format!("{shape:?}, the model's input"),
        ));
    }
    let outputs = model.config.classes();
    match &data.labels {
        Labels::Class(labels) => {
            // A single sigmoid output decides between two classes.
            let classes = if model.config.head == Head::Sigmoid && outputs == 1 { 2 } else { outputs };
            match labels.iter().position(|&label| label as usize >= classes) {
                Some(i) => Err(Error::input(
                    &data.name,
                    place(&format!("label of sample {}", data.index[i])),
                    format!("class {}", labels[i]),
                    format!("a class below {classes}, as many as the model has"),
                )),
                None if model.config.head == Head::Sigmoid && outputs > 1 => Err(Error::input(
                    &data.name,
                    place("labels"),
                    "one class a sample",
                    format!("{outputs} findings a sample, as the model's sigmoid head has"),
                )),
                None => Ok(()),
            }
        }
        Labels::Findings(_) if model.config.head == Head::Sigmoid && data.classes.len() == outputs => Ok(()),
        Labels::Findings(_) => Err(Error::input(
            &data.name,
            place("labels"),
            format!("{} findings a sample", data.classes.len()),
            match model.config.head {
                Head::Sigmoid => format!("{outputs} findings, as many as the model has outputs"),
                Head::Softmax => "one class a sample, as the model's softmax head has".to_string(),
            },
        )),
    }
}
