//! Models that learn from halves of a pool: trained once for a recipe and a pool, kept on disk, and used by every attack.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::Class;
use crate::models::{Model, Weights, hex};
use crate::training::{Fitted, Lesson, Member};
use crate::{Error, Result};

/// A model that learnt from a half of its pool.
#[derive(Debug)]
pub(super) struct Half {
    pub(super) model: Model,
    /// What it learnt from, ascending.
    pub(super) samples: Vec<usize>,
}

impl Half {
    /// Whether it learnt from each of `n` samples.
    pub(super) fn members(&self, n: usize) -> Vec<bool> {
        (0..n).map(|i| self.samples.binary_search(&i).is_ok()).collect()
    }
}

impl Class<'_> {
    /// Models of these seeds on these samples: read from the results folder where an earlier run left them, else trained and put there.
    pub(super) fn halves(&self, lessons: Vec<(u64, Vec<usize>)>) -> Result<Vec<Half>> {
        let (seeds, samples): (Vec<u64>, Vec<Vec<usize>>) = lessons.into_iter().unzip();
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
            Ok(Member::new(seeds[at], lesson))
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
}
