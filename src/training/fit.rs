//! The loop over epochs: shuffle, minibatches, validation, early stopping.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use percuss_kernels::Device;

use super::augment::Augment;
use super::init::initial;
use super::metrics::{Metric, Metrics};
use super::random::permutation;
use super::schedule::Schedule;
use super::trainer::{Rule, Trainer};
use super::{Loss, evaluate};
use crate::data::{Dataset, Labels};
use crate::models::{Config, Head, Model, WeightTensor, Weights};
use crate::{Error, Result};

/// Everything about a run but model and data.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Of initial values, shuffling and augmentation.
    pub seed: u64,
    /// Passes over the train split.
    pub epochs: usize,
    /// Samples a step. The split's last, smaller minibatch is left out of an epoch: every epoch has another order, and batch
    /// norm never sees a handful of samples. A split smaller than this is one minibatch.
    pub batch: usize,
    /// Loss, optimiser, clipping.
    pub rule: Rule,
    /// The base learning rate.
    pub rate: f64,
    /// How it changes.
    pub schedule: Schedule,
    /// Variation of the training samples.
    pub augment: Option<Augment>,
    /// When to stop; absent, all epochs are run and the last is kept.
    pub early_stopping: Option<EarlyStopping>,
}

/// Stops when a metric of the validation split has not improved, and keeps the epoch that had the best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStopping {
    /// The metric.
    pub metric: Metric,
    /// Epochs without improvement after which training ends.
    pub patience: usize,
}

/// What a finished epoch reports.
#[derive(Clone, Debug)]
pub struct Epoch<'a> {
    /// From 1.
    pub number: usize,
    /// Of how many at most.
    pub of: usize,
    /// Mean over the steps of the loss before each.
    pub train_loss: f64,
    /// Of the validation split, if there is one.
    pub validation: Option<&'a Metrics>,
    /// Whether this is the best epoch so far.
    pub best: bool,
}

/// A trained model and how it came about.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The kept parameters, by name and in PyTorch's layouts.
    pub weights: BTreeMap<String, WeightTensor>,
    /// The epoch that they are of, from 1.
    pub epoch: usize,
    /// Epochs that were run.
    pub epochs_run: usize,
    /// The training loss of each epoch.
    pub losses: Vec<f64>,
    /// The kept epoch's metrics on the validation split.
    pub validation: Option<Metrics>,
}

/// Where and under whose eyes training runs.
pub struct Place<'a> {
    /// The device.
    pub device: &'a Device,
    /// Threads that one op may spread over, on a CPU.
    pub threads: usize,
    /// Set by Ctrl-C.
    pub stop: &'a AtomicBool,
    /// Called after every epoch.
    pub watch: &'a mut dyn FnMut(&Epoch),
}

/// Trains a model of `config` on `train`. The same arguments give the same bits on one device.
///
/// # Errors
/// Data that do not fit the model, early stopping without a validation split or on a metric that it does not define, a loss
/// that is not finite, an interruption.
pub fn fit(
    config: &Config,
    recipe: &Recipe,
    train: &Dataset,
    validation: Option<&Dataset>,
    place: &mut Place,
) -> Result<Fitted> {
    fits(config, &recipe.rule.loss, train)?;
    let batch = recipe.batch.min(train.len());
    let steps = train.len() / batch;
    let mut trainer = Trainer::new(config, &recipe.rule, 1, batch, place.device, place.threads)?;
    trainer.load(0, &initial(&Model::declare(config), recipe.seed))?;
    let mut kept: Option<Fitted> = None;
    let mut losses = Vec::new();
    for number in 1..=recipe.epochs {
        let loss = run_epoch(&mut trainer, recipe, train, number, [batch, steps], place.stop)?;
        losses.push(loss);
        let watched = recipe.early_stopping.is_some() || number == recipe.epochs;
        let weights = trainer.weights(0)?;
        let metrics = match validation {
            Some(split) => Some(measure(config, &weights, split, &recipe.rule.loss, place)?),
            None => None,
        };
        let best = watched && improves(recipe.early_stopping, metrics.as_ref(), kept.as_ref(), validation)?;
        (place.watch)(&Epoch {
            number,
            of: recipe.epochs,
            train_loss: loss,
            validation: metrics.as_ref(),
            best,
        });
        if best {
            kept = Some(Fitted {
                weights,
                epoch: number,
                epochs_run: number,
                losses: vec![],
                validation: metrics,
            });
        }
        let since = kept.as_ref().map_or(0, |kept| number - kept.epoch);
        if recipe.early_stopping.is_some_and(|stopping| since >= stopping.patience) {
            break;
        }
    }
    let mut fitted = kept.ok_or_else(|| Error::Failed("no epoch was run".into()))?;
    fitted.epochs_run = losses.len();
    fitted.losses = losses;
    Ok(fitted)
}

/// One pass; returns the mean loss.
fn run_epoch(
    trainer: &mut Trainer,
    recipe: &Recipe,
    train: &Dataset,
    number: usize,
    [batch, steps]: [usize; 2],
    stop: &AtomicBool,
) -> Result<f64> {
    let order = permutation(train.len(), recipe.seed, number as u64);
    let mut inputs = vec![0.0; batch * train.sample_len()];
    let mut labels = Vec::new();
    let total = (recipe.epochs * steps) as u64;
    for (step, chosen) in order.chunks_exact(batch).enumerate() {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        for (&position, out) in chosen.iter().zip(inputs.chunks_exact_mut(train.sample_len())) {
            fill(recipe, train, position, number, out);
        }
        labels_of(train, recipe.rule.loss.head, chosen, &mut labels);
        let done = ((number - 1) * steps + step) as u64;
        let rate = recipe.schedule.rate(recipe.rate, done, steps as u64, total);
        trainer.step(&inputs, &labels, rate)?;
    }
    let loss = f64::from(trainer.take_losses()?[0]) / steps as f64;
    check_loss(loss, number)?;
    Ok(loss)
}

/// Whether an epoch's loss is finite.
pub(super) fn check_loss(loss: f64, epoch: usize) -> Result<()> {
    if loss.is_finite() {
        return Ok(());
    }
    let advice = "lower the learning rate or set optimizer.clip_norm";
    Err(Error::Failed(format!("training diverged: the loss of epoch {epoch} is {loss}; {advice}")))
}

/// One sample, varied if that was asked for.
fn fill(recipe: &Recipe, train: &Dataset, position: usize, epoch: usize, out: &mut [f32]) {
    let sample = train.sample(position);
    match (&recipe.augment, train.shape.as_slice()) {
        (Some(augment), &[height, width, channels]) => {
            let low = train.domain.low.iter().copied().fold(f32::INFINITY, f32::min);
            let high = train.domain.high.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let key = [recipe.seed, epoch as u64, train.index[position]];
            augment.apply(sample, [height, width, channels], [low, high], key, out);
        }
        _ => out.copy_from_slice(sample),
    }
}

/// Labels of the chosen samples, as [`Loss::label_dims`] lays them out.
fn labels_of(dataset: &Dataset, head: Head, chosen: &[usize], out: &mut Vec<f32>) {
    out.clear();
    for &position in chosen {
        match (&dataset.labels, head) {
            (Labels::Class(labels), Head::Softmax) => out.push(labels[position] as f32),
            (Labels::Class(labels), Head::Sigmoid) => out.push(f32::from(u8::from(labels[position] > 0))),
            (Labels::Findings(labels), _) => {
                let findings = dataset.classes.len();
                out.extend(labels[position * findings..][..findings].iter().map(|&label| f32::from(label)));
            }
        }
    }
}

/// The metrics of parameters on a split.
pub(super) fn measure(
    config: &Config,
    tensors: &BTreeMap<String, WeightTensor>,
    split: &Dataset,
    loss: &Loss,
    place: &Place,
) -> Result<Metrics> {
    let model = Model::new(config.clone(), Weights::new(tensors.clone()))?;
    let logits = evaluate::logits(&model, split, place.device, place.threads)?;
    Ok(Metrics::measure(&logits, split, loss))
}

/// Whether this epoch is to be kept. Of equal ones the first stays.
pub(super) fn improves(
    stopping: Option<EarlyStopping>,
    metrics: Option<&Metrics>,
    kept: Option<&Fitted>,
    validation: Option<&Dataset>,
) -> Result<bool> {
    let Some(stopping) = stopping else { return Ok(true) };
    let (Some(metrics), Some(split)) = (metrics, validation) else {
        return Err(Error::Failed("early stopping needs a validation split".into()));
    };
    let name = stopping.metric.name();
    let value = stopping.metric.of(metrics).filter(|value| value.is_finite()).ok_or_else(|| {
        let place = format!("split {}", split.split);
        Error::input(
            &split.name,
            place,
            format!("no defined {name}"),
            "samples of every class that the metric compares",
        )
    })?;
    let before =
        kept.and_then(|kept| kept.validation.as_ref()).and_then(|metrics| stopping.metric.of(metrics));
    Ok(before.is_none_or(|before| stopping.metric.better(value, before)))
}

/// Checks that the samples and labels are what the model takes.
pub(super) fn fits(config: &Config, loss: &Loss, train: &Dataset) -> Result<()> {
    let place = format!("split {}", train.split);
    if train.is_empty() {
        return Err(Error::input(&train.name, place, "no sample", "at least one"));
    }
    if !config.takes(&train.shape) {
        let found = format!("samples of shape {:?}", train.shape);
        return Err(Error::input(
            &train.name,
            place,
            found,
            format!("the model's input {:?}", config.input_shape()),
        ));
    }
    if train.labels.unlabelled() && !loss.unlabelled {
        let found = "findings that are not labelled";
        let expected = "a label for every finding: missing and uncertain = \"negative\", \"positive\" or \"drop\" in [data]";
        return Err(Error::input(&train.name, place, found, expected));
    }
    if let Some((finding, _)) = train.classes.iter().zip(train.labelled()).find(|(_, count)| *count == 0) {
        let found = format!("no sample that is labelled with {finding}");
        let expected = "a label to learn each output from: the finding left out of the columns of labels and of class_names";
        return Err(Error::input(&train.name, place, found, expected));
    }
    let expected = match (&train.labels, config.head) {
        (Labels::Class(_), Head::Softmax) | (Labels::Findings(_), Head::Sigmoid) => train.classes.len(),
        (Labels::Class(_), Head::Sigmoid) if train.classes.len() == 2 => 1,
        (Labels::Class(_), Head::Sigmoid) => {
            let found = format!("{} classes that exclude each other", train.classes.len());
            return Err(Error::input(&train.name, place, found, "head = \"softmax\", or two classes"));
        }
        (Labels::Findings(_), Head::Softmax) => {
            return Err(Error::input(
                &train.name,
                place,
                "findings that may occur together",
                "head = \"sigmoid\"",
            ));
        }
    };
    if config.classes() != expected {
        let found = format!("{} outputs of the model", config.classes());
        return Err(Error::input(&train.name, place, found, format!("{expected}, for {:?}", train.classes)));
    }
    Ok(())
}
