//! Shadow models: trained once for a recipe and what is known of the target's data, kept on disk, and used by every attack.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::Class;
use crate::attacks::privacy::{Answers, Shadow};
use crate::data::{Dataset, Labels};
use crate::models::{Head, Model, Weights, hex};
use crate::training::random::{Stream, name_number};
use crate::training::{Fitted, Lesson, Member, evaluate};
use crate::{Error, Result};

/// What the adversary has to train shadow models on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Knowledge {
    /// The pool that the target's training samples were drawn from.
    Exact,
    /// Other samples of the same distribution: half of the pool is theirs, the other half the target's.
    Distribution,
}

impl Knowledge {
    pub(super) fn parse(word: &str) -> Self {
        if word == "distribution" { Self::Distribution } else { Self::Exact }
    }

    /// Of `n` samples of the pool, the positions that the target's may be drawn from, and those that the shadows' are; both ascending.
    pub(super) fn pools(self, n: usize) -> [Vec<usize>; 2] {
        match self {
            Self::Exact => [(0..n).collect(), (0..n).collect()],
            Self::Distribution => {
                let halves = halved(&(0..n).collect::<Vec<_>>(), 0, "pools");
                let theirs: Vec<usize> = (0..n).filter(|i| halves.binary_search(i).is_err()).collect();
                [halves, theirs]
            }
        }
    }
}

/// A random half of some positions, rounded down, ascending.
pub(super) fn halved(positions: &[usize], seed: u64, purpose: &str) -> Vec<usize> {
    let mut stream = Stream::new(seed, &[name_number("half"), name_number(purpose)]);
    let mut order = positions.to_vec();
    for last in (1..order.len()).rev() {
        order.swap(last, stream.below(last + 1));
    }
    order.truncate(positions.len() / 2);
    order.sort_unstable();
    order
}

/// A model that learnt from a half of its pool.
pub(super) struct Half {
    pub(super) model: Model,
    /// What it learnt from, ascending.
    pub(super) samples: Vec<usize>,
}

impl Class<'_> {
    /// Models on random halves of `pool`, one a seed: read from the results folder where an earlier run left them, else trained and put there.
    pub(super) fn halves(&self, purpose: &str, pool: &[usize], seeds: &[u64]) -> Result<Vec<Half>> {
        let samples: Vec<Vec<usize>> = seeds.iter().map(|&seed| halved(pool, seed, purpose)).collect();
        let file = |at: usize| {
            let contents =
                format!("{}\n{:?}\n{}\n{:?}", self.school.sha256, self.privacy(), seeds[at], samples[at]);
            let name = &hex(&Sha256::digest(contents.as_bytes()))[..32];
            self.all.out.join("members").join(format!("{name}.safetensors"))
        };
        let mut weights: Vec<Option<Weights>> = Vec::with_capacity(seeds.len());
        for at in 0..seeds.len() {
            let path = file(at);
            weights.push(if path.is_file() { Some(Weights::read(&path)?) } else { None });
        }
        let missing: Vec<usize> = (0..seeds.len()).filter(|&at| weights[at].is_none()).collect();
        let member = |i: usize| {
            let at = missing[i];
            let lesson = Lesson { samples: samples[at].clone(), ..Lesson::default() };
            Ok(Member { seed: seeds[at], lesson })
        };
        self.train(0, missing.len(), &member, |i, fitted: Fitted| {
            let (at, trained) = (missing[i], Weights::new(fitted.weights));
            let path = file(at);
            let folder = path.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
            trained.write(&path)?;
            weights[at] = Some(trained);
            Ok(())
        })?;
        let half = |(weights, samples): (Option<Weights>, Vec<usize>)| {
            let weights = weights.ok_or_else(|| Error::Failed("a member was not trained".into()))?;
            Ok(Half { model: Model::new(self.school.prepared.config.clone(), weights)?, samples })
        };
        weights.into_iter().zip(samples).map(half).collect()
    }

    /// What a shadow model says of the candidates (the train split) and of the population (the test split).
    pub(super) fn shadow(&self, half: &Half, candidates: &Dataset) -> Result<Shadow> {
        Ok(Shadow {
            candidates: self.answers(&half.model, candidates)?,
            member: (0..candidates.len()).map(|i| half.samples.binary_search(&i).is_ok()).collect(),
            population: Some(self.answers(&half.model, &self.school.test)?),
        })
    }

    /// What a model says of samples.
    pub(super) fn answers(&self, model: &Model, data: &Dataset) -> Result<Answers> {
        let logits = evaluate::logits(model, data, self.workshop.device, 1)?;
        match (model.config.head, model.config.classes()) {
            (Head::Softmax, classes) => Answers::from_logits(data.len(), 1, classes, &logits),
            (Head::Sigmoid, 1) => Answers::from_sigmoid_logits(data.len(), 1, &logits),
            (Head::Sigmoid, findings) => {
                let found = format!("a head of {findings} findings");
                Err(Error::input(&data.name, "membership", found, "one class a sample"))
            }
        }
    }
}

/// The classes of samples.
pub(super) fn classes_of(data: &Dataset) -> Result<Vec<u32>> {
    match &data.labels {
        Labels::Class(labels) => Ok(labels.clone()),
        Labels::Findings(_) => Err(Error::input(&data.name, "membership", "findings", "one class a sample")),
    }
}
