//! A study's models and data sets, read and checked against each other.

mod fit;

use std::path::Path;

use percuss_kernels::Precision;

use self::fit::{check_bounds, check_fit, check_scaled};
use super::study::{DataEntry, InputOverride, ModelEntry, Output, Study};
use super::{asked, likeness, moving};
use crate::data::{self, Bounds, Dataset, Outputs, Preprocess, Remark, labels};
use crate::models::onnx::Ending;
use crate::models::{Architecture, Config, Head, InputScaling, Model, counted, onnx_file};
use crate::{Error, Result};

/// Loads the study's model at `position`, with the study's `input` in the place of its own scaling. An image-text model becomes the
/// classifier that `zero_shot` makes of it; [`fitted`] brings its classes into the order of some data.
///
/// # Errors
/// A model that does not load; `mean` or `std` that do not fit its input; samples that cannot become its input; an `output`
/// that is not what an ONNX file ends in; an image-text model without prompts, or prompts that it cannot read.
pub fn model(study: &Study, position: usize) -> Result<Model> {
    let entry = &study.models[position];
    let mut model = Model::load_within(&entry.path, &entry.supplied, study.memory)?;
    settle_ending(study, entry, &mut model)?;
    let towers = matches!(&model.config.architecture, Architecture::Clip(clip) if clip.zero_shot.is_none());
    match &entry.zero_shot {
        Some(prompts) => model = model.zero_shot(prompts)?,
        None if towers => {
            let place = format!("line {}, model.zero_shot", entry.line);
            let expected = format!("the classes in words: {} is an image-text model", entry.id);
            return Err(study.error(place, "no such key", expected));
        }
        None => {}
    }
    if let Some(words) = &entry.words {
        model = model.open_words(words)?;
    }
    if let Some(head) = entry.head {
        check_head(study, entry, &model, head)?;
        model = model.with_head(head);
    }
    let prompts = entry.zero_shot.as_ref().and_then(|prompts| prompts.words.as_ref());
    for (key, words) in [("words", entry.words.as_ref()), ("zero_shot.words", prompts)] {
        if study.precision != Precision::F32 && words.is_some_and(|words| words.distance.is_some()) {
            let place = format!("line {}, model.{key}.distance", entry.line);
            return Err(study.error(place, study.precision.name(), "f32, which distances are measured in"));
        }
    }
    if let Some(InputOverride { mean: Some(mean), std: Some(std), .. }) = &entry.input {
        model.config.input_scaling = Some(InputScaling { mean: mean.clone(), std: std.clone(), unit: None });
        model.config.check_scaling().map_err(|(key, found, expected)| {
            misfit(study, entry, &key, found, format!("{expected} (model {})", entry.id))
        })?;
    }
    if let Some(InputOverride { samples: Some(samples), .. }) = &entry.input {
        samples
            .check(&model.config.model_shape())
            .map_err(|(_, found, expected)| misfit(study, entry, "shape", found, expected))?;
        model.config.samples = Some(samples.clone());
    }
    Ok(model)
}

/// Whether the end of an ONNX file's network stays where it is: a softmax does where the study itself calls its outputs logits, so that it is
/// attacked as it is and every row says so. Where the study says nothing it is asked: scores of scores are no probabilities.
fn settle_ending(study: &Study, entry: &ModelEntry, model: &mut Model) -> Result<()> {
    let Architecture::Onnx(onnx) = &mut model.config.architecture else { return Ok(()) };
    let misfit = |found: &str, expected: String| {
        Err(study.error(
            format!("line {}, model.output", entry.line),
            found,
            format!("{expected} (model {})", entry.id),
        ))
    };
    let stated = if entry.output.is_some() { "\"logits\"" } else { "no such key" };
    match (entry.output, onnx.network.ending) {
        (Some(Output::Probabilities), None) => misfit(
            "\"probabilities\"",
            "\"logits\", since its graph ends in neither softmax nor sigmoid".into(),
        ),
        (None | Some(Output::Logits), Some(Ending::Sigmoid)) => misfit(
            stated,
            "output = \"probabilities\" in the [[model]] table, since its graph ends in a sigmoid, which is then taken off".into(),
        ),
        (None, Some(Ending::Softmax)) => misfit(
            stated,
            "output = \"probabilities\" in the [[model]] table, since its graph ends in a softmax, which is then taken off; or \"logits\" to attack \
             it with its softmax"
                .into(),
        ),
        (output, ending) => {
            onnx.keeps_ending = output == Some(Output::Logits) && ending == Some(Ending::Softmax);
            Ok(())
        }
    }
}

/// What the study calls the outputs must be what the model can have.
fn check_head(study: &Study, entry: &ModelEntry, model: &Model, head: Head) -> Result<()> {
    let ending = model.network().and_then(|network| network.ending);
    let (found, expected) = match (head, ending) {
        (Head::Sigmoid, Some(Ending::Softmax)) => ("\"sigmoid\"", "\"softmax\", which its graph ends in"),
        (Head::Softmax, Some(Ending::Sigmoid)) => ("\"softmax\"", "\"sigmoid\", which its graph ends in"),
        (Head::Softmax, _) if model.config.classes() == 1 => {
            ("\"softmax\"", "\"sigmoid\", of a single output")
        }
        (Head::Sigmoid, _) if entry.zero_shot.is_some() => {
            ("\"sigmoid\"", "\"softmax\", of classes in words that are compared with each other")
        }
        _ => return Ok(()),
    };
    let place = format!("line {}, model.head", entry.line);
    Err(study.error(place, found, format!("{expected} (model {})", entry.id)))
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
    request.fed = Some(asked::fed(model));
    request.outputs = Some(outputs(&model.config));
    request.configuration = model.network().map(|network| network.configuration.clone());
    request.classes = class_names(study, position, of, model)?;
    request.arrays.wanted = asked::wanted(model);
    if entry.input.as_ref().is_some_and(|input| input.bounds.is_some()) && request.inputs.is_empty() {
        request.arrays.bounds = Bounds::Elsewhere;
    }
    request.images.shape = Some(model.config.values_shape());
    if let Some(split) = split {
        request.split = split.to_string();
        request.limit = None;
    }
    let mut dataset =
        data::open(&request, preprocess(&entry.path)?.as_ref()).map_err(|error| match split {
            None => unsaid_split(&study.data[position], error),
            Some(_) => error,
        })?;
    moving::fix_whole_numbers(&model.config, &mut dataset);
    if entry.zero_shot.is_none() {
        dataset.remarks.extend(labels::agree(&named(study, of, model), &dataset.classes, &dataset.name)?);
    }
    if let Some(input) = &entry.input {
        if let Some(unit) = input.unit.as_ref().filter(|unit| **unit != dataset.unit) {
            let expected = format!("{:?}, the unit of data {}", dataset.unit, study.data[position].id);
            return Err(misfit(study, entry, "unit", format!("{unit:?}"), expected));
        }
        if input.bounds.is_some() && !request.inputs.is_empty() {
            let expected = "bounds of each array, in `inputs` of the data";
            return Err(misfit(
                study,
                entry,
                "bounds",
                "bounds of several inputs at once".into(),
                expected.into(),
            ));
        }
        if let Some([low, high]) = input.bounds {
            check_bounds(study, entry, &dataset, [low, high])?;
            (dataset.domain.low, dataset.domain.high) = (vec![low], vec![high]);
        }
    }
    let unit = model.config.input_scaling.as_ref().and_then(|scaling| scaling.unit.as_ref());
    if let Some(unit) = unit.filter(|unit| **unit != dataset.unit) {
        let place = format!("unit (data {} of the study, model {})", study.data[position].id, entry.id);
        let expected =
            format!("{unit:?}, the unit of the model's input scaling, or `input` of the model in the study");
        return Err(Error::input(&dataset.name, place, format!("{:?}", dataset.unit), expected));
    }
    if !matches!(model.config.architecture, Architecture::Bert(_)) {
        dataset.remarks.extend(likeness::check(model, &dataset, entry, &study.data[position])?);
    }
    dataset.remarks.extend(unseen(&dataset));
    dataset.remarks.extend(super::leaks::names(&dataset));
    if let Architecture::Bert(bert) = &model.config.architecture {
        texts(&mut dataset, bert.bert.vocabulary)?;
    }
    if let Some(prompts) = model.config.prompts() {
        let most = prompts.substitutes.iter().max().map_or(0.0, |&number| number as f32);
        dataset.append(&prompts.ids, &prompts.open, most);
    }
    check_fit(study, position, entry, model, &dataset)?;
    check_scaled(study, entry, model, &dataset)?;
    dataset
        .remarks
        .extend(model.remarks.iter().map(|text| Remark::note(format!("model {}: {text}", entry.id))));
    Ok(dataset)
}

/// `model`, the study's model at `of`, for these data: classes in words are put into the order of the data's, where they have the same names;
/// otherwise they stand in the order of the study. The weights are shared.
///
/// # Errors
/// Another number of classes in words; a class in words whose name is that of another class of the data.
pub fn fitted(study: &Study, of: usize, model: &Model, data: &Dataset) -> Result<Model> {
    let entry = &study.models[of];
    if entry.zero_shot.is_none() {
        return Ok(model.clone());
    }
    let fitted = model.in_order_of(&data.classes);
    let names = &fitted.config.class_names;
    let error = |found: String, expected: String| {
        Err(study.error(format!("line {}, model.zero_shot.classes", entry.line), found, expected))
    };
    let theirs = data.classes.join(", ");
    if names.len() != data.classes.len() {
        let expected = format!("{}, as many as {} has: {theirs}", data.classes.len(), data.name);
        return error(format!("{} classes", names.len()), expected);
    }
    let elsewhere = |(at, name): &(usize, &String)| {
        data.classes.iter().position(|own| own == *name).is_some_and(|own| own != *at)
    };
    match names.iter().enumerate().find(elsewhere) {
        Some((at, name)) => error(
            format!("{name} as class {at}"),
            format!("all names of {}: {theirs}, or none out of order", data.name),
        ),
        None => Ok(fitted),
    }
}

/// Classes and findings that no sample has.
fn unseen(data: &Dataset) -> Option<Remark> {
    let counts = data.counts().into_iter().zip(data.labelled());
    let names = counts.zip(&data.classes).filter(|((count, labelled), _)| *count == 0 && *labelled > 0);
    let names: Vec<&str> = names.map(|(_, name)| name.as_str()).take(20).collect();
    let what = if data.is_findings() { "no sample has" } else { "no sample is of class" };
    (!names.is_empty()).then(|| Remark::note(format!("{what} {}", names.join(", "))))
}

/// What a model says of its outputs.
pub(super) fn outputs(config: &Config) -> Outputs {
    let count = config.classes();
    Outputs { count, findings: config.head == Head::Sigmoid && count > 1 }
}

/// Names of a model's outputs: its own, else those that the study gives it.
fn named(study: &Study, of: usize, model: &Model) -> Vec<String> {
    let own = &model.config.class_names;
    if own.is_empty() { study.models[of].classes.clone() } else { own.clone() }
}

/// Names of the classes as these data have them: the study's for the data, else the model's.
fn class_names(study: &Study, position: usize, of: usize, model: &Model) -> Result<Vec<String>> {
    let (entry, data) = (&study.models[of], &study.data[position]);
    let given = [
        (&data.request.classes, format!("line {}, data.classes", data.line)),
        (&entry.classes, format!("line {}, model.classes", entry.line)),
    ];
    let (outputs, wanted) = (model.config.classes(), outputs(&model.config).classes());
    for (names, place) in given.iter().filter(|(names, _)| !names.is_empty()) {
        if names.len() != wanted && (outputs, names.len()) != (1, 1) {
            let expected = match outputs {
                1 => format!("the finding of model {}, or two names: absent, present", entry.id),
                _ => format!("{wanted}, one for every class of model {}", entry.id),
            };
            return Err(study.error(place, counted(names.len()), expected));
        }
        if entry.zero_shot.is_none() {
            labels::agree(&model.config.class_names, names, &study.file.display().to_string())
                .map_err(|error| moved(error, place))?;
        }
    }
    let of_data = &data.request.classes;
    Ok(if of_data.is_empty() { named(study, of, model) } else { of_data.clone() })
}

/// The same error, with the study's line in its place.
fn moved(error: Error, place: &str) -> Error {
    match error {
        Error::Input { file, found, expected, .. } => {
            Error::Input { file, place: place.into(), found, expected }
        }
        other => other,
    }
}

/// Samples as texts of a vocabulary: every value is a token's number, and any number may take its place.
fn texts(data: &mut Dataset, vocabulary: usize) -> Result<()> {
    let known = |value: &f32| value.fract() == 0.0 && (0.0..vocabulary as f32).contains(value);
    if let Some(at) = data.values.iter().position(|value| !known(value)) {
        let (sample, value) = (at / data.sample_len(), at % data.sample_len());
        let place = format!("sample {}, value {value}", data.index[sample]);
        let expected = format!("a token's number, whole and below {vocabulary}");
        return Err(Error::input(&data.name, place, data.values[at], expected));
    }
    (data.domain.low, data.domain.high) = (vec![0.0], vec![(vocabulary - 1) as f32]);
    data.domain.scale = vec![1.0];
    data.unit = "token".into();
    Ok(())
}

/// The error about a split that is not there, where the study does not say which one it wants: the key that says so.
fn unsaid_split(entry: &DataEntry, error: Error) -> Error {
    match error {
        Error::Input { file, place, found, expected }
            if place.starts_with("split") && !entry.request.split_given =>
        {
            Error::Input {
                file,
                place,
                found: format!("{found}, which is read where a study does not say"),
                expected: format!(
                    "{expected}; split = \"...\" in [[data]] {} (line {}) says which",
                    entry.id, entry.line
                ),
            }
        }
        error => error,
    }
}

/// What was fitted with the model, if it is a model of tables.
fn preprocess(model: &Path) -> Result<Option<Preprocess>> {
    let network = onnx_file(model);
    let folder = network.as_deref().and_then(Path::parent).unwrap_or(model);
    let file = folder.join("preprocess.json");
    if file.is_file() { Preprocess::load(&file).map(Some) } else { Ok(None) }
}

fn misfit(study: &Study, entry: &ModelEntry, key: &str, found: String, expected: String) -> Error {
    study.error(format!("line {}, model.input.{key}", entry.line), found, expected)
}
