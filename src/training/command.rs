//! `percuss train TRAIN.toml`: a model from data to a folder with safetensors.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use percuss_kernels::Device;
use serde_json::json;

use super::config::{JOINED, TrainFile};
use super::fit::{Epoch, Fitted, Place, Recipe, fit, measure};
use super::loss::{ClassWeights, Loss};
use super::metrics::{Metric, Metrics};
use super::save::{check_target, save};
use crate::data::registry::{self, Located};
use crate::data::spec::Spec;
use crate::data::table::Table;
use crate::data::{self, Dataset, Labels, Preprocess, Request, Source, labels, tables};
use crate::memory::Room;
use crate::models::{Config, Head, Weights};
use crate::results::passing_on::last;
use crate::{Error, Result};

/// How `percuss train` runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The device.
    pub device: Device,
    /// Threads that one op may spread over, on a CPU.
    pub threads: usize,
    /// Looked in for named data sets before anywhere else.
    pub data_dir: Option<PathBuf>,
    /// What data may take of memory.
    pub memory: Room,
    /// Where the model goes instead of the file's `out`.
    pub out: Option<PathBuf>,
    /// Called with a line after every epoch.
    pub progress: fn(&str),
    /// Set by Ctrl-C.
    pub stop: Arc<AtomicBool>,
}

impl Options {
    /// Silent training on a device.
    pub fn new(device: Device, threads: usize) -> Self {
        Self {
            device,
            threads,
            data_dir: None,
            memory: Room::default(),
            out: None,
            progress: |_| {},
            stop: Arc::default(),
        }
    }
}

/// What was trained.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The folder that was written.
    pub out: PathBuf,
    /// The kept epoch, from 1.
    pub epoch: usize,
    /// Epochs that were run.
    pub epochs_run: usize,
    /// Metrics on the validation split.
    pub validation: Option<Metrics>,
    /// Metrics on the test split.
    pub test: Option<Metrics>,
}

/// The three splits and the preprocessing that was fitted on the first.
#[derive(Clone, Debug)]
pub struct Splits {
    /// What is learnt from.
    pub train: Dataset,
    /// What early stopping watches.
    pub validation: Option<Dataset>,
    /// What is measured at the end.
    pub test: Option<Dataset>,
    /// What was fitted of a table.
    pub preprocess: Option<Preprocess>,
}

/// A TRAIN.toml with its data: all that training needs.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The file.
    pub file: TrainFile,
    /// The architecture, its sizes and input scaling filled in from the data.
    pub config: Config,
    /// The file's recipe, its loss resolved on the train split.
    pub recipe: Recipe,
    /// The data.
    pub splits: Splits,
}

/// Reads the data of a training file and fills in what depends on them.
///
/// # Errors
/// Data that are not there or do not fit the file.
pub fn prepare(file: TrainFile, options: &Options) -> Result<Prepared> {
    let splits = load(&file, options)?;
    let config = file.config(&splits.train, splits.preprocess.as_ref())?;
    let mut recipe = file.recipe.clone();
    recipe.rule.loss = loss(&file, &config, &splits.train)?;
    if recipe.augment.is_some() && splits.train.shape.len() != 3 {
        let (found, expected) = ("samples that are rows of a table", "images or signals");
        return Err(Error::input(file.path.display(), "augment", found, expected));
    }
    Ok(Prepared { file, config, recipe, splits })
}

/// Trains what the file at `path` says and writes its folder: `config.json` (with a summary under `training`),
/// `model.safetensors`, and `preprocess.json` for a table. The same file, data and device give the same bytes.
///
/// # Errors
/// A bad file, data that are not there or do not fit, an output folder with other files in it, a model that does not do what
/// the file expects of it. Nothing is written then.
pub fn train(path: &Path, options: &Options) -> Result<Summary> {
    let mut file = TrainFile::read(path)?;
    if let Some(out) = &options.out {
        file.out.clone_from(out);
    }
    check_target(&file.out)?;
    let Prepared { file, config, recipe, splits } = prepare(file, options)?;
    let stopping = recipe.early_stopping;
    let mut watch =
        |epoch: &Epoch| (options.progress)(&line(epoch, stopping.map(|stopping| stopping.metric)));
    let mut place =
        Place { device: &options.device, threads: options.threads, stop: &options.stop, watch: &mut watch };
    let fitted = fit(&config, &recipe, &splits.train, splits.validation.as_ref(), &mut place)?;
    let plain = Loss { smoothing: 0.0, ..recipe.rule.loss.clone() };
    let test = match &splits.test {
        Some(split) => Some(measure(&config, &fitted.weights, split, &plain, &place)?),
        None => None,
    };
    if let Some(test) = &test {
        check_expected(&file, test)?;
    }
    let training = summary(&file, &recipe.rule.loss, &splits, &fitted, test.as_ref());
    let config = Config { training: Some(training), ..config };
    let Fitted { weights, epoch, epochs_run, validation, .. } = fitted;
    save(&file.out, &config, &Weights::new(weights), splits.preprocess.as_ref())?;
    Ok(Summary { out: file.out, epoch, epochs_run, validation, test })
}

fn load(file: &TrainFile, options: &Options) -> Result<Splits> {
    let fitted = match &file.preprocess {
        Some(spec) => Some(Preprocess::fit(spec, &table(file, spec, options)?)?),
        None => None,
    };
    let request = |split: &str, limit: Option<usize>| Request {
        limit,
        split: split.to_string(),
        outputs: file.outputs(),
        classes: file.output_names(),
        seed: file.recipe.seed,
        data_dir: options.data_dir.clone(),
        memory: options.memory,
        ..file.request.clone()
    };
    // What is fitted of a table is fitted on its train split, even where the model learns from more.
    let first = if file.splits.train == JOINED { "train" } else { &file.splits.train };
    let (mut train, mut preprocess) = data::open_fitted(&request(first, file.limit), fitted.as_ref())?;
    let classes = &file.request.classes;
    if !classes.is_empty() {
        labels::agree(classes, &train.classes, &train.name)?;
    }
    if file.splits.train == JOINED {
        train = joined(train, data::open(&request("val", None), preprocess.as_ref())?);
    }
    let other = |split: &Option<String>, limit| -> Result<Option<Dataset>> {
        split.as_ref().map(|split| data::open(&request(split, limit), preprocess.as_ref())).transpose()
    };
    let (validation, test) = (other(&file.splits.val, None)?, other(&file.splits.test, file.test_limit)?);
    if let Some(preprocess) = &mut preprocess {
        std::iter::once(&train).chain(&validation).for_each(|seen| preprocess.remember(seen));
    }
    Ok(Splits { train, validation, test, preprocess })
}

/// The samples of both, in this order.
fn joined(mut first: Dataset, second: Dataset) -> Dataset {
    first.split = JOINED.to_string();
    first.values.extend(second.values);
    first.index.extend(second.index);
    match (&mut first.labels, second.labels) {
        (Labels::Class(labels), Labels::Class(more)) => labels.extend(more),
        (Labels::Findings(labels), Labels::Findings(more)) => labels.extend(more),
        _ => unreachable!("both are splits of one data set"),
    }
    let widened = |own: &mut Vec<f32>, more: Vec<f32>, of: fn(f32, f32) -> f32| {
        own.iter_mut().zip(more).for_each(|(own, more)| *own = of(*own, more));
    };
    widened(&mut first.domain.low, second.domain.low, f32::min);
    widened(&mut first.domain.high, second.domain.high, f32::max);
    first.remarks.extend(second.remarks);
    first.remarks.sort();
    first.remarks.dedup();
    first.group = first.group.zip(second.group).map(|(group, more)| [group, more].concat());
    for (column, more) in second.subgroups {
        first.subgroups.entry(column).and_modify(|values| values.extend(more));
    }
    first
}

/// The table that a spec of the training file's own is fitted on.
fn table(file: &TrainFile, spec: &Spec, options: &Options) -> Result<Table> {
    let read = |path: &Path| {
        tables::read_for(
            path,
            spec,
            &Request { split: "train".into(), memory: options.memory, ..file.request.clone() },
        )
    };
    let none = |found: &str| {
        let place = "preprocess";
        Err(Error::input(file.path.display(), place, found, "a table: only tables are preprocessed"))
    };
    match &file.request.source {
        Source::Path(path) => read(path),
        Source::Manifest(_) => none("images"),
        Source::Records(_) => none("signals"),
        Source::Name(name) => match registry::locate(name, options.data_dir.as_deref())? {
            Located::File(path) => read(&path),
            Located::Embedded(bytes) => Table::from_csv(name, bytes),
            Located::Generated => none("generated samples"),
        },
    }
}

fn loss(file: &TrainFile, config: &Config, train: &Dataset) -> Result<Loss> {
    let weights = file.class_weights.resolve(config.head, train);
    if matches!(file.class_weights, ClassWeights::Given(_)) && weights.len() != config.classes() {
        let found = format!("{} weights", weights.len());
        let expected = format!("{}, one an output", config.classes());
        return Err(Error::input(file.path.display(), "class_weights", found, expected));
    }
    let unlabelled = train.labels.unlabelled();
    Ok(Loss { head: config.head, weights, unlabelled, ..file.recipe.rule.loss.clone() })
}

fn check_expected(file: &TrainFile, test: &Metrics) -> Result<()> {
    for &(metric, [low, high]) in &file.expect {
        let value = metric.of(test);
        if !value.is_some_and(|value| (low..=high).contains(&value)) {
            let found = value.map_or("undefined on the test split".into(), |value| {
                format!("{value:.4} on the test split")
            });
            let expected = format!("{low} to {high}; nothing was written");
            return Err(Error::input(
                file.path.display(),
                format!("expect.{}", metric.name()),
                found,
                expected,
            ));
        }
    }
    Ok(())
}

/// What `config.json` says under `training`. Nothing in it depends on when or how fast the model was trained.
fn summary(
    file: &TrainFile,
    loss: &Loss,
    splits: &Splits,
    fitted: &Fitted,
    test: Option<&Metrics>,
) -> serde_json::Value {
    let train = &splits.train;
    let trained: usize = fitted.weights.values().map(|tensor| tensor.data.len()).sum();
    json!({
        "by": concat!("percuss ", env!("CARGO_PKG_VERSION")),
        // Data of a file are named by its path.
        "data": last(&train.name),
        "data_sha256": train.sha256,
        "synthetic": train.synthetic,
        "unit": train.unit,
        "train": { "split": train.split, "n": train.len() },
        "seed": file.recipe.seed,
        "loss": if loss.head == Head::Softmax { "cross_entropy" } else { "binary_cross_entropy" },
        "class_weights": loss.weights,
        "label_smoothing": loss.smoothing,
        "values_stored": trained,
        "epoch": fitted.epoch,
        "epochs_run": fitted.epochs_run,
        "train_loss": fitted.losses.get(fitted.epoch - 1),
        "chosen_by": file.recipe.early_stopping.map(|stopping| stopping.metric.name()),
        "val": fitted.validation,
        "test": test,
    })
}

/// The progress line of an epoch.
fn line(epoch: &Epoch, watched: Option<Metric>) -> String {
    let mut line = format!("epoch {}/{}  loss {:.4}", epoch.number, epoch.of, epoch.train_loss);
    if let Some(metrics) = epoch.validation {
        let metric = watched.unwrap_or(Metric::Loss);
        let value = metric.of(metrics).map_or("undefined".into(), |value| format!("{value:.4}"));
        line.push_str(&format!("  val {} {value}", metric.name()));
        if watched.is_some() && epoch.best {
            line.push_str("  best so far");
        }
    }
    line
}
