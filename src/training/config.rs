//! TRAIN.toml: what is trained, on what, how, and how good it has to be.
//!
//! ```toml
//! out = "support2-mlp"              # the folder to write, relative to this file; by default called as the file without .toml
//! seed = 0
//! epochs = 60
//! batch = 128
//! class_weights = "balanced"        # "none" (default), "sqrt_balanced", or a list of numbers
//! label_smoothing = 0.0
//!
//! [data]                            # what is read and how, by the keys of a study's [[data]]: name, path, manifest or records, arrays, layout,
//!                                   # bounds, columns, resize, leads, rate, cut, ...
//! name = "support2"
//! train = "train"                   # names of the splits; these are the defaults. "train+val": refit on both, val = "none"
//! val = "val"
//! test = "test"                     # measured once, at the end; "none" where there is no such split
//! limit = 2000                      # at most so many samples of the train split, stratified; what "train+val" adds is taken whole
//! test_limit = 1000                 # at most so many test samples, stratified
//! classes = ["normal", "pneumonia"] # names of the outputs in their order, where the data are labelled by name; they become class_names
//! site = "hospitalid"               # the column that says where a sample is from, for adversaries who know other places' samples alone;
//!                                   # absent: the data's groups (patients, records)
//!
//! [preprocess]                      # tables only: a spec that replaces the table's own
//!
//! [model]                           # a config.json in TOML; sizes that the data tell may be left out, and unless
//! architecture = "mlp"              # input_scaling is given, the train split's mean and deviation become it
//! hidden = [64, 64]
//!
//! [optimizer]
//! kind = "adamw"                    # betas, epsilon; or "sgd": momentum, nesterov
//! learning_rate = 1e-3
//! weight_decay = 1e-2
//! clip_norm = 1.0                   # absent: gradients are not clipped
//! schedule = { kind = "cosine", warmup = 1, floor = 0 }   # or constant, or { kind = "step", every = 10, factor = 0.1 }
//!
//! [augment]                         # images and signals only: shift, flip, rotate, zoom, gain, offset, noise
//! shift = 2
//!
//! [early_stopping]
//! metric = "auroc"                  # balanced_accuracy, macro_f1, accuracy, loss
//! patience = 10
//!
//! [expect]                          # on the test split; else nothing is written
//! auroc = [0.75, 1.0]
//! ```

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};

use super::augment::Augment;
use super::fit::{EarlyStopping, Recipe};
use super::loss::{ClassWeights, Loss};
use super::metrics::Metric;
use super::optimizer::Optimizer;
use super::schedule::Schedule;
use super::section::Section;
use super::trainer::Rule;
use crate::data::spec::Spec;
use crate::data::{Dataset, LabelColumns, Outputs, Preprocess, Request};
use crate::data::{keys, labels};
use crate::document::{self, Table};
use crate::models::{Config, Model};
use crate::{Error, Result};

/// A TRAIN.toml, read and checked as far as it can be without the data.
#[derive(Clone, Debug)]
pub struct TrainFile {
    /// The file.
    pub path: PathBuf,
    /// Where the model goes.
    pub out: PathBuf,
    /// The data set and how it is read: the keys of a study's `[[data]]`.
    pub request: Request,
    /// Names of the train, validation and test splits.
    pub splits: Splits,
    /// At most so many samples of the train split; what `train+val` adds is taken whole.
    pub limit: Option<usize>,
    /// At most so many test samples.
    pub test_limit: Option<usize>,
    /// The column that says where a sample is from (hospital, record, ...), for adversaries who know other places' samples alone.
    pub site: Option<String>,
    /// A table's own spec is replaced by this one.
    pub preprocess: Option<Spec>,
    /// Weights of the loss, to be resolved on the train split.
    pub class_weights: ClassWeights,
    /// All else about the run; its loss has neither weights nor head yet.
    pub recipe: Recipe,
    /// What the test split must yield.
    pub expect: Vec<(Metric, [f64; 2])>,
    model: Map<String, Json>,
}

/// Train and validation split together: for the last fit of a recipe that was chosen on the latter.
pub(super) const JOINED: &str = "train+val";

/// Names of splits.
#[derive(Clone, Debug, PartialEq)]
pub struct Splits {
    /// What is learnt from.
    pub train: String,
    /// What early stopping watches.
    pub val: Option<String>,
    /// What is measured once, at the end.
    pub test: Option<String>,
}

impl TrainFile {
    /// Reads a TRAIN.toml.
    ///
    /// # Errors
    /// No such file; a key that is unknown, missing or has a bad value, named with what was expected.
    pub fn read(path: &Path) -> Result<Self> {
        let text = crate::files::read_text(path)?;
        Self::parse(path, &text)
    }

    /// Parses the text of the file at `path`.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let file = path.display().to_string();
        let root = Section::parse(&file, text)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let stem = path.file_stem().map_or("model".into(), |stem| stem.to_string_lossy().into_owned());
        let out = root.text("out")?.unwrap_or(stem);
        let data = root.required("data")?;
        let mut request = request(&file, text, &data, folder)?;
        let splits = splits(&data)?;
        let most = |key| data.whole(key, 1..=u64::from(u32::MAX)).map(|most| most.map(|most| most as usize));
        let (limit, test_limit) = (most("limit")?, most("test_limit")?);
        let site = data.text("site")?;
        data.finish()?;
        let preprocess = root.section("preprocess")?.map(|section| spec(&file, section)).transpose()?;
        let model = model_keys(&root.required("model")?.into_table());
        let class_weights = class_weights(&root)?;
        let early_stopping =
            root.section("early_stopping")?.map(|section| early_stopping(&section)).transpose()?;
        if early_stopping.is_some() && splits.val.is_none() {
            return Err(data.bad("val", "none", "the split that [early_stopping] watches"));
        }
        let recipe = recipe(&root, early_stopping)?;
        let expect = root.section("expect")?.map(|section| expect(&section)).transpose()?.unwrap_or_default();
        if !expect.is_empty() && splits.test.is_none() {
            return Err(data.bad("test", "none", "the split that [expect] is about"));
        }
        root.finish()?;
        if request.classes.is_empty() {
            request.classes = class_names(&model);
        }
        request.subgroups = site.iter().cloned().collect();
        let out = folder.join(out);
        let path = path.to_path_buf();
        Ok(Self {
            path,
            out,
            request,
            splits,
            limit,
            test_limit,
            site,
            preprocess,
            class_weights,
            recipe,
            expect,
            model,
        })
    }

    /// Names of the outputs in their order, where the file says them: a column an output says them, too.
    pub(super) fn output_names(&self) -> Vec<String> {
        match &self.request.images.label {
            Some(LabelColumns::Several(columns)) if self.request.classes.is_empty() && columns.len() > 1 => {
                columns.iter().map(|(name, _)| name.clone()).collect()
            }
            _ => self.request.classes.clone(),
        }
    }

    /// What the labels are for, where columns of labels could be classes as well as findings.
    pub(super) fn outputs(&self) -> Option<Outputs> {
        let softmax = self.model.get("head").and_then(Json::as_str) != Some("sigmoid");
        let several =
            matches!(&self.request.images.label, Some(LabelColumns::Several(columns)) if columns.len() > 1);
        (softmax && several).then(|| Outputs { count: self.output_names().len(), findings: false })
    }

    /// The model's configuration for these training samples: sizes, class names and input scaling filled in.
    ///
    /// # Errors
    /// An architecture that does not exist or does not fit the data, an unknown key.
    pub fn config(&self, train: &Dataset, preprocess: Option<&Preprocess>) -> Result<Config> {
        let file = self.path.display().to_string();
        let mut keys = self.model.clone();
        let mut fill = |key: &str, value: Json| {
            keys.entry(key).or_insert(value);
        };
        let shape = &train.shape;
        labels::agree(&class_names(&self.model), &train.classes, &file)?;
        let single = self.model.get("head").and_then(Json::as_str) == Some("sigmoid")
            && matches!(train.labels, crate::data::Labels::Class(_));
        let names =
            if single { train.classes.iter().skip(1).cloned().collect() } else { train.classes.clone() };
        fill("classes", json!(names.len()));
        match self.model.get("architecture").and_then(Json::as_str) {
            Some("mlp") => fill("inputs", json!(train.sample_len())),
            Some("resnet1d") => {
                fill("length", json!(shape.get(1)));
                fill("in_channels", json!(shape.last()));
            }
            _ => fill("input", json!(shape)),
        }
        fill("class_names", json!(names));
        if !self.model.contains_key("input_scaling") {
            let (mean, std) = match preprocess {
                Some(preprocess) => preprocess.input_mean_std(),
                // A flat model does not know channels.
                None if self.model.get("architecture").and_then(Json::as_str) == Some("mlp") => {
                    channel_scales(train, 1)
                }
                // A series has a scale for each feature, wherever time is.
                None if self.model.get("time_axis").and_then(Json::as_u64) == Some(2) => row_scales(train),
                None => channel_scales(train, train.shape.last().copied().unwrap_or(1)),
            };
            fill("input_scaling", json!({ "mean": mean, "std": std }));
        }
        if self.model.contains_key("training") {
            let expected = "no such key: training itself writes it";
            return Err(Error::input(file, "model.training", "an unknown key", expected));
        }
        let config = Config::parse(&Json::Object(keys).to_string(), &format!("{file}: model"))
            .map_err(|error| name_model_key(error, &file))?;
        check_room(&config, &file)?;
        match config.input_scaling.as_ref().and_then(|scaling| scaling.unit.as_ref()) {
            Some(unit) if *unit != train.unit => {
                let expected = format!("{:?}, the unit of {}", train.unit, train.name);
                Err(Error::input(file, "model.input_scaling.unit", format!("{unit:?}"), expected))
            }
            _ => Ok(config),
        }
    }
}

/// Values in a trained model's tensors at most.
const PARAMETERS: usize = 1 << 31;

/// Refuses a model whose parameters could not be held, before any is made.
fn check_room(config: &Config, file: impl std::fmt::Display) -> Result<()> {
    let size = |shape: &[usize]| shape.iter().fold(1usize, |size, &side| size.saturating_mul(side));
    let declared = Model::declare(config);
    let all = declared.iter().fold(0usize, |sum, tensor| sum.saturating_add(size(&tensor.shape)));
    if all <= PARAMETERS {
        return Ok(());
    }
    Err(Error::input(file, "model", format!("{all} parameters"), format!("at most {PARAMETERS}")))
}

/// Mean and standard deviation of each channel over the train split; a constant channel is only centred.
fn channel_scales(train: &Dataset, channels: usize) -> (Vec<f32>, Vec<f32>) {
    let of_channel = |channel: usize| {
        let values = || train.values.iter().skip(channel).step_by(channels).map(|&value| f64::from(value));
        let n = (train.values.len() / channels).max(1) as f64;
        let mean = values().sum::<f64>() / n;
        let deviation = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
        (mean as f32, if deviation > 0.0 { deviation as f32 } else { 1.0 })
    };
    (0..channels).map(of_channel).unzip()
}

/// Mean and standard deviation of each row `[1, rows, ..]` over the train split, repeated along it.
fn row_scales(train: &Dataset) -> (Vec<f32>, Vec<f32>) {
    let length = train.shape.last().copied().unwrap_or(1);
    let rows = train.sample_len() / length.max(1);
    let of_row = |row: usize| {
        let values =
            || train.values.chunks_exact(length).skip(row).step_by(rows).flatten().map(|&v| f64::from(v));
        let n = (train.values.len() / rows).max(1) as f64;
        let mean = values().sum::<f64>() / n;
        let deviation = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
        (mean as f32, if deviation > 0.0 { deviation as f32 } else { 1.0 })
    };
    (0..rows).flat_map(|row| std::iter::repeat_n(of_row(row), length)).unzip()
}

/// [`Config::parse`] names a line of JSON that the user never wrote; the message itself names the key.
fn name_model_key(error: Error, file: &str) -> Error {
    match error {
        Error::Input { place, found, expected, .. } if place.starts_with("line ") => {
            Error::input(file, "model", found, expected)
        }
        Error::Input { place, found, expected, .. } => {
            Error::input(file, format!("model.{place}"), found, expected)
        }
        other => other,
    }
}

/// Names of the outputs, where the model's keys say them: those of a single output are its positive class alone.
fn class_names(model: &Map<String, Json>) -> Vec<String> {
    let names = model.get("class_names").and_then(Json::as_array);
    names.into_iter().flatten().filter_map(Json::as_str).map(str::to_string).collect()
}

fn model_keys(table: &toml::Table) -> Map<String, Json> {
    match serde_json::to_value(table) {
        Ok(Json::Object(map)) => map,
        _ => Map::new(),
    }
}

/// What the keys of `[data]` that a study has as well ask for; they count as asked for in `data`.
fn request(file: &str, text: &str, data: &Section, folder: &Path) -> Result<Request> {
    data.leave(keys::all());
    let source = document::Source { file, text };
    let parsed = source.parse()?;
    let table = Table::root(source, parsed.get_ref()).require("data", "[data]")?.table("[data]")?;
    keys::request(&table, folder)
}

fn splits(data: &Section) -> Result<Splits> {
    let split = |key: &str, default: &str| -> Result<Option<String>> {
        let name = data.text(key)?.unwrap_or_else(|| default.to_string());
        match name.as_str() {
            "none" => Ok(None),
            "train" | "val" | "test" | "all" => Ok(Some(name)),
            JOINED if key == "train" => Ok(Some(name)),
            other => Err(data.bad(key, format!("`{other}`"), "train, val, test, all or none")),
        }
    };
    let (train, val, test) = (split("train", "train")?, split("val", "val")?, split("test", "test")?);
    let train = train.ok_or_else(|| data.bad("train", "none", "the split to learn from"))?;
    for (key, other) in [("val", &val), ("test", &test)] {
        if other.as_ref() == Some(&train) || (train == JOINED && other.as_deref() == Some("val")) {
            return Err(data.bad(key, format!("`{train}`, which is also trained on"), "a split of its own"));
        }
    }
    if val.is_some() && val == test {
        return Err(data.bad("test", "the validation split", "a split that nothing was chosen by"));
    }
    Ok(Splits { train, val, test })
}

fn spec(file: &str, section: Section) -> Result<Spec> {
    let text = toml::to_string(&section.into_table()).map_err(|error| Error::Failed(error.to_string()))?;
    Spec::from_toml(&format!("{file}: preprocess"), &text)
}

fn class_weights(root: &Section) -> Result<ClassWeights> {
    if matches!(root.value("class_weights"), Some(toml::Value::Array(_))) {
        let numbers = root.numbers("class_weights")?.unwrap_or_default();
        if let Some(bad) = numbers.iter().find(|weight| **weight < 0.0) {
            return Err(root.bad("class_weights", bad, "weights of 0 or more, one a class"));
        }
        return Ok(ClassWeights::Given(numbers.into_iter().map(|weight| weight as f32).collect()));
    }
    let words = [("none", 0.0), ("balanced", 1.0), ("sqrt_balanced", 0.5)];
    let power = root.word("class_weights", &words)?.unwrap_or(0.0);
    Ok(if power > 0.0 { ClassWeights::Balanced(power) } else { ClassWeights::None })
}

fn recipe(root: &Section, early_stopping: Option<EarlyStopping>) -> Result<Recipe> {
    let missing = |key: &str| root.bad(key, "no such key", "a whole number of at least 1");
    let smoothing = root.number("label_smoothing", 0.0..1.0, "a share from 0 to below 1")?.unwrap_or(0.0);
    let section = root.required("optimizer")?;
    let (optimizer, rate) = optimizer(&section)?;
    let schedule = section.section("schedule")?.map(|section| schedule(&section)).transpose()?;
    let clip_norm = section.number("clip_norm", 1e-12.., "a positive number")?;
    section.finish()?;
    Ok(Recipe {
        seed: root.whole("seed", 0..=i64::MAX as u64)?.unwrap_or(0),
        epochs: root.whole("epochs", 1..=1_000_000)?.ok_or_else(|| missing("epochs"))? as usize,
        batch: root.whole("batch", 1..=1_000_000)?.ok_or_else(|| missing("batch"))? as usize,
        rule: Rule {
            loss: Loss { smoothing: smoothing as f32, ..Loss::plain(Default::default()) },
            optimizer,
            clip_norm,
        },
        rate,
        schedule: schedule.unwrap_or(Schedule::Constant),
        augment: root.section("augment")?.map(|section| augment(&section)).transpose()?,
        early_stopping,
    })
}

fn optimizer(section: &Section) -> Result<(Optimizer, f64)> {
    let rate = section.number("learning_rate", 1e-12..=1e6, "a positive number")?;
    let rate = rate.ok_or_else(|| section.bad("learning_rate", "no such key", "a positive number"))?;
    let adamw = section.word("kind", &[("adamw", true), ("sgd", false)])?;
    let adamw = adamw.ok_or_else(|| section.bad("kind", "no such key", "\"adamw\" or \"sgd\""))?;
    let decay = section.number("weight_decay", 0.0.., "a number of at least 0")?;
    if !adamw {
        let momentum = section.number("momentum", 0.0..1.0, "a number from 0 to below 1")?.unwrap_or(0.0);
        let nesterov = section.truth("nesterov")?.unwrap_or(false);
        if nesterov && momentum == 0.0 {
            return Err(section.bad("nesterov", "true without momentum", "a positive momentum"));
        }
        return Ok((Optimizer::Sgd { momentum, nesterov, weight_decay: decay.unwrap_or(0.0) }, rate));
    }
    let betas = match section.numbers("betas")?.as_deref() {
        None => [0.9, 0.999],
        Some(&[first, second]) if [first, second].iter().all(|beta| (0.0..1.0).contains(beta)) => {
            [first, second]
        }
        Some(other) => {
            return Err(section.bad("betas", format!("{other:?}"), "two numbers from 0 to below 1"));
        }
    };
    let epsilon = section.number("epsilon", 1e-30..=1.0, "a small positive number")?.unwrap_or(1e-8);
    Ok((Optimizer::AdamW { betas, epsilon, weight_decay: decay.unwrap_or(1e-2) }, rate))
}

fn schedule(section: &Section) -> Result<Schedule> {
    let words = [("constant", 0), ("cosine", 1), ("step", 2)];
    let kind = section
        .word("kind", &words)?
        .ok_or_else(|| section.bad("kind", "no such key", "\"constant\", \"cosine\" or \"step\""))?;
    let schedule = match kind {
        0 => Schedule::Constant,
        1 => Schedule::Cosine {
            warmup: section.number("warmup", 0.0.., "epochs, at least 0")?.unwrap_or(0.0),
            floor: section.number("floor", 0.0..=1.0, "a share from 0 to 1")?.unwrap_or(0.0),
        },
        _ => {
            let missing = |key: &str| section.bad(key, "no such key", "a positive number");
            Schedule::Step {
                every: section
                    .number("every", 1e-3.., "epochs, positive")?
                    .ok_or_else(|| missing("every"))?,
                factor: section
                    .number("factor", 0.0..=1.0, "a share from 0 to 1")?
                    .ok_or_else(|| missing("factor"))?,
            }
        }
    };
    section.finish()?;
    Ok(schedule)
}

fn augment(section: &Section) -> Result<Augment> {
    let amount = |key: &str, limit: f64| -> Result<f32> {
        Ok(section.number(key, 0.0..=limit, &format!("a number from 0 to {limit}"))?.unwrap_or(0.0) as f32)
    };
    let augment = Augment {
        shift: section.whole("shift", 0..=10_000)?.unwrap_or(0) as usize,
        flip: section.truth("flip")?.unwrap_or(false),
        rotate: amount("rotate", 180.0)?,
        zoom: amount("zoom", 0.9)?,
        gain: amount("gain", 0.99)?,
        offset: amount("offset", 1e9)?,
        noise: amount("noise", 1e9)?,
    };
    section.finish()?;
    Ok(augment)
}

fn early_stopping(section: &Section) -> Result<EarlyStopping> {
    let metric = section.word("metric", &Metric::NAMES)?;
    let metric = metric.ok_or_else(|| section.bad("metric", "no such key", "the metric to watch"))?;
    let patience = section.whole("patience", 1..=1_000_000)?;
    let patience =
        patience.ok_or_else(|| section.bad("patience", "no such key", "a number of epochs"))? as usize;
    section.finish()?;
    Ok(EarlyStopping { metric, patience })
}

fn expect(section: &Section) -> Result<Vec<(Metric, [f64; 2])>> {
    let mut expected = Vec::new();
    for (name, metric) in Metric::NAMES {
        let Some(range) = section.numbers(name)? else { continue };
        match range[..] {
            [low, high] if low <= high => expected.push((metric, [low, high])),
            _ => return Err(section.bad(name, format!("{range:?}"), "[lowest, highest]")),
        }
    }
    section.finish()?;
    Ok(expected)
}
