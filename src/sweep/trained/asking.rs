//! What trained models are asked about candidates: scores under variants, decisions under noise, distances to the boundary.
//!
//! A candidate's answers depend on the model, the candidate and the settings alone, however the work is spread.

use std::sync::atomic::Ordering;

use rayon::prelude::*;

use crate::attacks::backdoor::Modality;
use crate::attacks::columns::{self, entry, within_bounds};
use crate::attacks::privacy::hop_skip_jump::{Effort, Region, Search, search_together};
use crate::attacks::privacy::{Answers, Shadow};
use crate::data::{Dataset, Domain, Labels};
use crate::models::{Head, Model};
use crate::training::Workshop;
use crate::training::augment::Augment;
use crate::training::evaluate::Evaluator;
use crate::training::random::{Stream, name_number};
use crate::{Error, Result};

/// Samples in one launch where many are asked at once.
const LANES: usize = 256;
/// Noisy copies that one worker has in memory at once.
const COPIES: usize = 4096;
/// Candidates whose searches run side by side in one worker: what their probes take of memory.
const SEARCHES: usize = 64;
/// Samples of other classes that a search may start from.
const STARTS: usize = 20;
/// Variants of an image are shifted by up to this part of each side, of a signal by up to that part of its length.
const SHIFT: (usize, usize) = (14, 64);
/// Standard deviation of the noise in variants of a record, in the data's scaled units.
const RECORD_NOISE: f64 = 0.1;

/// Whom models are asked about, as those models read them.
#[derive(Clone, Copy)]
pub(super) struct Inquiry<'a> {
    pub(super) workshop: &'a Workshop<'a>,
    pub(super) candidates: &'a Dataset,
    /// Samples that no model learnt from.
    pub(super) population: Option<&'a Dataset>,
}

/// `count` results, by as many workers as the device has use for; each must depend on its number alone.
pub(super) fn each<T: Send>(
    workshop: &Workshop,
    count: usize,
    one: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let unless_stopped =
        |i: usize| if workshop.stop.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { one(i) };
    if !workshop.device.is_cpu() {
        return (0..count).map(unless_stopped).collect();
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(workshop.threads).build();
    let pool = pool.map_err(|e| Error::Failed(format!("threads to ask models: {e}")))?;
    pool.install(|| (0..count).into_par_iter().map(unless_stopped).collect())
}

impl Inquiry<'_> {
    /// What a model says of samples `[n, queries, sample]`.
    fn answers(&self, model: &Model, values: &[f32], queries: usize) -> Result<Answers> {
        let samples = values.len() / self.candidates.sample_len();
        let n = samples / queries;
        let mut evaluator = Evaluator::new(model, LANES.min(samples), self.workshop.device, 1)?;
        let logits = evaluator.logits(values)?;
        match (model.config.head, model.config.classes()) {
            (Head::Softmax, classes) => Answers::from_logits(n, queries, classes, &logits),
            (Head::Sigmoid, 1) => Answers::from_sigmoid_logits(n, queries, &logits),
            (Head::Sigmoid, findings) => {
                let found = format!("a head of {findings} findings");
                Err(Error::input(&self.candidates.name, "membership", found, "one class a sample"))
            }
        }
    }

    /// What each of some models says of the candidates, whose variants are `varied` `[n, queries, sample]`, and of the population; with each
    /// model comes whether it learnt from each candidate.
    pub(super) fn asked(
        &self,
        models: &[(&Model, Vec<bool>)],
        varied: &[f32],
        queries: usize,
    ) -> Result<Vec<Shadow>> {
        each(self.workshop, models.len(), |k| {
            let (model, member) = &models[k];
            let population = self.population.map(|population| self.answers(model, &population.values, 1));
            Ok(Shadow {
                candidates: self.answers(model, varied, queries)?,
                member: member.clone(),
                population: population.transpose()?,
            })
        })
    }

    /// For every candidate of `pool`, how many of `copies` noisy copies the model gives its label; 0 for the rest.
    pub(super) fn right_under_noise(
        &self,
        model: &Model,
        pool: &[usize],
        (seed, noise, copies): (u64, f64, u64),
    ) -> Result<Vec<u32>> {
        let data = self.candidates;
        let free = numbers(data);
        let labels = classes_of(data)?;
        let blocks: Vec<&[usize]> = pool.chunks((COPIES / copies as usize).max(1)).collect();
        let counts = each(self.workshop, blocks.len(), |block| {
            let mut evaluator = Evaluator::new(model, LANES, self.workshop.device, 1)?;
            let mut values = Vec::with_capacity(blocks[block].len() * copies as usize * data.sample_len());
            for &i in blocks[block] {
                for copy in 0..copies {
                    let mut stream = Stream::new(seed, &[name_number("noise-distance"), data.index[i], copy]);
                    values.extend(noisy(data.sample(i), &data.domain, &free, noise, &mut stream));
                }
            }
            let said = decisions(model, &evaluator.logits(&values)?);
            let right = |(said, &i): (&[u32], &usize)| {
                said.iter().filter(|decision| **decision == labels[i]).count() as u32
            };
            Ok(said.chunks_exact(copies as usize).zip(blocks[block]).map(right).collect::<Vec<u32>>())
        })?;
        Ok(scattered(data.len(), pool, counts.concat(), 0))
    }

    /// The distance of every candidate of `pool` to the model's decision boundary by at most `queries` decisions, infinite where none was
    /// found; 0 for the rest.
    pub(super) fn distances(
        &self,
        model: &Model,
        pool: &[usize],
        seed: u64,
        queries: usize,
    ) -> Result<Vec<f64>> {
        let data = self.candidates;
        let free = numbers(data);
        let labels = classes_of(data)?;
        let scale: Vec<f32> = (0..data.sample_len()).map(|k| entry(&data.domain.scale, k)).collect();
        let blocks: Vec<&[usize]> = pool.chunks(SEARCHES).collect();
        let distances = each(self.workshop, blocks.len(), |block| {
            let mut evaluator = Evaluator::new(model, SEARCHES, self.workshop.device, 1)?;
            let bounds: Vec<[Vec<f32>; 2]> =
                blocks[block].iter().map(|&i| reach(data.sample(i), &data.domain, &free)).collect();
            let mut searches = Vec::with_capacity(bounds.len());
            for (&i, [low, high]) in blocks[block].iter().zip(&bounds) {
                let effort = Effort { queries, seed, sample: data.index[i] };
                let starts = self.starts(data.index[i], labels[i], seed)?;
                let region = Region { low, high, scale: &scale };
                searches.push(Search::new(data.sample(i).to_vec(), labels[i], region, effort, starts)?);
            }
            let mut decide = |points: &[Vec<f32>]| {
                if self.workshop.stop.load(Ordering::Relaxed) {
                    return Err(Error::Interrupted);
                }
                Ok(decisions(model, &evaluator.logits(&points.concat())?))
            };
            let found = search_together(searches, &mut decide)?;
            let distance = found.iter().map(|one| one.as_ref().map_or(f64::INFINITY, |one| one.distance));
            Ok(distance.collect::<Vec<f64>>())
        })?;
        Ok(scattered(data.len(), pool, distances.concat(), 0.0))
    }

    /// Samples of the population (without one, of the candidates), whose label is another, drawn for a candidate.
    fn starts(&self, candidate: u64, label: u32, seed: u64) -> Result<Vec<Vec<f32>>> {
        let known = self.population.unwrap_or(self.candidates);
        let labels = classes_of(known)?;
        let others: Vec<usize> = (0..known.len()).filter(|&i| labels[i] != label).collect();
        let mut stream = Stream::new(seed, &[name_number("starts"), candidate]);
        let count = if others.is_empty() { 0 } else { STARTS };
        Ok((0..count).map(|_| known.sample(others[stream.below(others.len())]).to_vec()).collect())
    }
}

/// The features that are numbers and may change.
fn numbers(data: &Dataset) -> Vec<usize> {
    let columns = columns::mutable(data).into_iter();
    columns.filter(|column| !column.category).map(|column| column.values.start).collect()
}

/// Values `[n, queries, sample]` of every sample's variants: itself, then shifts of an image or a signal, of a record small noise
/// on numbers that may change. They depend on the sample's index alone, so that all models are asked the same.
pub(super) fn varied(data: &Dataset, queries: usize) -> Vec<f32> {
    let free = numbers(data);
    let mut values = Vec::with_capacity(data.values.len() * queries);
    for i in 0..data.len() {
        let sample = data.sample(i);
        values.extend_from_slice(sample);
        for query in 1..queries as u64 {
            values.extend(variant(data, sample, &free, [data.index[i], query]));
        }
    }
    values
}

fn variant(data: &Dataset, sample: &[f32], free: &[usize], [index, query]: [u64; 2]) -> Vec<f32> {
    let (seed, domain) = (name_number("variants"), &data.domain);
    let shift = match Modality::of(data) {
        Some(Modality::Image) => data.shape[0].min(data.shape[1]) / SHIFT.0,
        Some(Modality::Ecg) => data.shape[1] / SHIFT.1,
        _ => {
            let mut stream = Stream::new(seed, &[index, query]);
            return noisy(sample, domain, free, RECORD_NOISE, &mut stream);
        }
    };
    let augment = Augment { shift: shift.max(1), ..Augment::default() };
    let mut out = vec![0.0; sample.len()];
    let shape = [data.shape[0], data.shape[1], data.shape[2]];
    augment.apply(sample, shape, [domain.low[0], domain.high[0]], [seed, query, index], &mut out);
    out
}

/// A sample with normal noise on the features `free`, within their bounds.
fn noisy(sample: &[f32], domain: &Domain, free: &[usize], noise: f64, stream: &mut Stream) -> Vec<f32> {
    let mut out = sample.to_vec();
    for &k in free {
        let added = noise * f64::from(entry(&domain.scale, k)) * f64::from(stream.normal());
        out[k] = within_bounds(domain, k, sample[k], (f64::from(sample[k]) + added) as f32);
    }
    out
}

/// Smallest and largest values that a search may give a sample: its own where a feature is no number or may not change.
fn reach(sample: &[f32], domain: &Domain, free: &[usize]) -> [Vec<f32>; 2] {
    let mut bounds = [sample.to_vec(), sample.to_vec()];
    for &k in free {
        bounds[0][k] = entry(&domain.low, k).min(sample[k]);
        bounds[1][k] = entry(&domain.high, k).max(sample[k]);
    }
    bounds
}

/// The classes that a model decides for.
fn decisions(model: &Model, logits: &[f32]) -> Vec<u32> {
    let outputs = model.config.classes();
    let largest = |row: &[f32]| {
        let better = |best: usize, k: usize| if row[k] > row[best] { k } else { best };
        (0..row.len()).fold(0, better) as u32
    };
    match model.config.head {
        Head::Sigmoid if outputs == 1 => logits.iter().map(|&logit| u32::from(logit > 0.0)).collect(),
        _ => logits.chunks_exact(outputs).map(largest).collect(),
    }
}

/// `values` at the positions of `pool` among `n`, and `rest` elsewhere.
fn scattered<T: Copy>(n: usize, pool: &[usize], values: Vec<T>, rest: T) -> Vec<T> {
    let mut all = vec![rest; n];
    pool.iter().zip(values).for_each(|(&i, value)| all[i] = value);
    all
}

/// The classes of samples.
pub(super) fn classes_of(data: &Dataset) -> Result<Vec<u32>> {
    match &data.labels {
        Labels::Class(labels) => Ok(labels.clone()),
        Labels::Findings(_) => Err(Error::input(&data.name, "membership", "findings", "one class a sample")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Request, open};

    fn patients() -> Dataset {
        let request = Request { limit: Some(40), ..Request::named("support2", "train") };
        open(&request, None).unwrap_or_else(|error| panic!("the embedded table: {error}"))
    }

    #[test]
    fn noise_and_searches_leave_categories_and_what_cannot_change_alone() {
        let data = patients();
        let free = numbers(&data);
        assert!(!data.domain.one_hot.is_empty() && data.domain.immutable.contains(&true));
        let fixed: Vec<usize> = (0..data.sample_len()).filter(|k| !free.contains(k)).collect();
        assert!(fixed.len() > 10 && free.len() > 10);
        for i in 0..data.len() {
            let sample = data.sample(i);
            let mut stream = Stream::new(1, &[i as u64]);
            let copy = noisy(sample, &data.domain, &free, 3.0, &mut stream);
            let [low, high] = reach(sample, &data.domain, &free);
            assert!(fixed.iter().all(|&k| copy[k] == sample[k] && low[k] == high[k]));
            assert!((0..sample.len()).all(|k| low[k] <= copy[k] && copy[k] <= high[k]));
            assert!(free.iter().filter(|&&k| copy[k] != sample[k]).count() > free.len() / 2);
        }
    }

    #[test]
    fn variants_begin_with_the_sample_and_depend_on_it_alone() {
        let data = patients();
        let (n, few, many) = (data.sample_len(), varied(&data, 2), varied(&data, 5));
        let last = data.subset(&[39]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(varied(&last, 5), many[39 * 5 * n..]);
        for i in 0..data.len() {
            let own = &many[i * 5 * n..][..5 * n];
            assert_eq!(&own[..n], data.sample(i));
            assert_eq!(own[..2 * n], few[i * 2 * n..][..2 * n], "more queries do not change the first");
            assert!(own.chunks_exact(n).skip(1).all(|variant| variant != data.sample(i)));
        }
    }
}
