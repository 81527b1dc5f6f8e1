//! Whether a data set fits a model: its shape, inputs and labels, its bounds, and whether its values are scaled.

use super::misfit;
use crate::data::{Dataset, Labels};
use crate::models::{Head, Input, Model, Samples};
use crate::resampling::{Filter, Fit};
use crate::sweep::as_findings;
use crate::sweep::study::{ModelEntry, Study};
use crate::{Error, Result};

/// Whether samples and labels are those that the model takes and gives.
pub(super) fn check_fit(
    study: &Study,
    position: usize,
    entry: &ModelEntry,
    model: &Model,
    data: &Dataset,
) -> Result<()> {
    let place =
        |what: &str| format!("{what} (data {} of the study, model {})", study.data[position].id, entry.id);
    if !model.config.takes(&data.shape) {
        let features = data.listed_features().map(|list| format!(": {list}")).unwrap_or_default();
        let found = format!("samples of shape {:?}{features}", data.shape);
        let left_out = data.remarks.iter().filter(|remark| remark.text.contains("no feature"));
        let left_out: String = left_out.map(|remark| format!(" ({})", remark.text)).collect();
        let expected = format!("{}{left_out}", shape_mend(model, &data.shape));
        return Err(Error::input(&data.name, place("samples"), found, expected));
    }
    let inputs = model.config.inputs();
    if !data.inputs.is_empty() && inputs.iter().map(|input| input.range.len()).ne(data.inputs.iter().copied())
    {
        let own: Vec<String> =
            inputs.iter().map(|input| format!("{} of {}", input.name, input.range.len())).collect();
        return Err(Error::input(
            &data.name,
            place("inputs"),
            format!("arrays of {:?} values a sample", data.inputs),
            format!("the model's inputs in its order: {}", own.join(", ")),
        ));
    }
    let arrays: Vec<&str> =
        study.data[position].request.inputs.iter().map(|input| input.array.as_str()).collect();
    let misplaced = |(place, array): (usize, &&str)| {
        let like = |input: &Input| input.name.eq_ignore_ascii_case(array);
        inputs.iter().any(like) && !inputs.get(place).is_some_and(like)
    };
    if arrays.iter().enumerate().any(misplaced) {
        let own: Vec<String> = inputs.iter().map(|input| format!("{:?}", input.name)).collect();
        return Err(Error::input(
            &data.name,
            place("inputs"),
            format!(
                "arrays {}, which is not the order of the model's inputs of these names",
                arrays.join(", ")
            ),
            format!(
                "the model's order, inputs = [{}] if the arrays are what they are called",
                own.join(", ")
            ),
        ));
    }
    let whole = |group: &&std::ops::Range<usize>| {
        inputs.iter().any(|input| input.range.start <= group.start && group.end <= input.range.end)
    };
    if let Some(group) = data.domain.one_hot.iter().find(|group| !whole(group)) {
        let names = data.domain.features.get((*group).clone()).unwrap_or_default().join(", ");
        return Err(Error::input(
            &data.name,
            place("one-hot features"),
            format!("{names} in several of the model's inputs"),
            "every category within one input",
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
                    as_findings::mend(&study.data[position].request.source, model, data),
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
                Head::Softmax => "one class a sample, as the model's softmax head has; head = \"sigmoid\" in the [[model]] table (of a TRAIN.toml: in [model]) makes each of \
                                  its outputs a finding"
                    .to_string(),
            },
        )),
    }
}

/// What a user can do about samples of a shape that the model does not take.
fn shape_mend(model: &Model, own: &[usize]) -> String {
    let shape = model.config.input_shape();
    let to = model.config.model_shape();
    let sorted = |shape: &[usize]| {
        let mut long: Vec<usize> = shape.iter().copied().filter(|&extent| extent != 1).collect();
        long.sort_unstable();
        long
    };
    if let (&[1, length, leads], &[first, last]) = (own, shape.as_slice())
        && (length, leads) == (last, first)
    {
        return format!(
            "{shape:?}, the model's input; if these are its {leads} leads and then the time, {{ \"channels\": \"first\" }} in the JSON beside \
             the model's file (model.onnx: model.json) says so"
        );
    }
    if own.len() > 1 && sorted(own) == sorted(&shape) {
        return format!(
            "{shape:?}, the model's input: the same axes in another order (numpy.transpose, or layout of the [[data]])"
        );
    }
    let image = |shape: &[usize]| matches!(shape, [height, width, _] if *height > 1 && *width > 1);
    if let &[height, width, channels] = own
        && image(own)
        && image(&to)
        && (Samples { shape: [height, width, channels], filter: Filter::default(), fit: Fit::default() })
            .check(&to)
            .is_ok()
    {
        return format!(
            "{shape:?}, the model's input; input = {{ shape = {own:?} }} of the [[model]] resizes them"
        );
    }
    let grey = image(&to) && to.last() == Some(&1);
    let (axis, first) = match own {
        [_, _, 3] => (-1, "x[..., :1]"),
        [3, _, _] => (1, "x[:, :1]"),
        _ => return format!("{shape:?}, the model's input"),
    };
    if grey {
        return format!(
            "{shape:?}, the model's input, which is grey; of colours, grey as the model was trained on it: numpy, \
             x = x.mean(axis={axis}, keepdims=True).astype(x.dtype), or x = {first} where all three are the same"
        );
    }
    format!("{shape:?}, the model's input")
}

/// No sample may lie outside the bounds that the study states: an attack could not stay within them, and a wrong unit would pass unseen.
pub(super) fn check_bounds(
    study: &Study,
    entry: &ModelEntry,
    data: &Dataset,
    [low, high]: [f32; 2],
) -> Result<()> {
    let Some(at) = data.values.iter().position(|value| !(low..=high).contains(value)) else { return Ok(()) };
    let (sample, value) = (at / data.sample_len(), at % data.sample_len());
    let found =
        format!("{} in sample {}, value {value} of {}", data.values[at], data.index[sample], data.name);
    let expected = format!("values from {low} to {high} {}, or bounds that hold them", data.unit);
    Err(misfit(study, entry, "bounds", found, expected))
}

/// Refuses pixels for a network of another ecosystem that says nothing of their scaling: fed with pixels as they are, it answers all alike.
/// Images of which no value is below 0 are such pixels, whatever number type holds them; standardised ones have values below 0.
pub(super) fn check_scaled(study: &Study, entry: &ModelEntry, model: &Model, data: &Dataset) -> Result<()> {
    let images = matches!(data.shape.as_slice(), [height, width, _] if *height > 1 && *width > 1);
    let largest = data.values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let raw = images && largest > 0.0 && data.values.iter().all(|value| *value >= 0.0);
    if !raw || model.config.input_scaling.is_some() || !model.config.is_of_others() {
        return Ok(());
    }
    let (found, lines) = mends_of_scaling(largest, model.config.model_shape().last() == Some(&3));
    let expected = format!("the scaling that it was trained with. {lines}");
    Err(misfit(study, entry, "mean", found, expected))
}

/// What raw pixels up to `largest` are, and the lines that say how a network takes them.
fn mends_of_scaling(largest: f32, colour: bool) -> (String, String) {
    // ImageNet's, of values from 0 to 1, and times 255.
    let (range, mean, std) = match (largest <= 1.0, colour) {
        (true, true) => ("0 to 1", "[0.485, 0.456, 0.406]", "[0.229, 0.224, 0.225]"),
        (true, false) => ("0 to 1", "[0.449]", "[0.225]"),
        (false, true) => ("0 to 255", "[123.675, 116.28, 103.53]", "[58.395, 57.12, 57.375]"),
        (false, false) => ("0 to 255", "[114.5]", "[57.4]"),
    };
    let as_they_are = "of values as they are, mean = [0], std = [1]";
    if largest > 255.0 {
        let lines = format!(
            "input = {{ mean = [...], std = [...] }} under this [[model]] says it in these values' unit; {as_they_are}"
        );
        return (format!("no input_scaling, and images of values from 0 to {largest}"), lines);
    }
    let divided =
        if largest <= 1.0 { "" } else { "of pixels from 0 to 1 without more, mean = [0], std = [255]; " };
    let lines = format!(
        "Of ImageNet's weights it is input = {{ mean = {mean}, std = {std} }} under this [[model]], or \"input_scaling\": {{ \"mean\": {mean}, \
         \"std\": {std} }} in its config.json; {divided}{as_they_are}"
    );
    (format!("no input_scaling, and pixels from {range}"), lines)
}
