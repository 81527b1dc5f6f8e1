//! Models that learn from halves of a pool: trained once for a recipe and a pool, kept on disk, and used by every attack.

use std::path::Path;

use super::Class;
use super::keeping::Record;
use crate::models::{Model, Weights};
use crate::telling::tell;
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
    /// Models of these seeds on these samples: read from the results folder where an earlier run left them whole, else trained and put there.
    pub(super) fn halves(&self, lessons: Vec<(u64, Vec<usize>)>) -> Result<Vec<Half>> {
        let (seeds, samples): (Vec<u64>, Vec<Vec<usize>>) = lessons.into_iter().unzip();
        let folder = self.all.out.join("members");
        let (mut files, mut weights) = (Vec::with_capacity(seeds.len()), Vec::with_capacity(seeds.len()));
        for (&seed, samples) in seeds.iter().zip(&samples) {
            let record = Record::new(self.school, self.privacy().as_ref(), seed, samples);
            let path = folder.join(record.file_name());
            weights.push(kept(&record, &path));
            files.push((record, path));
        }
        let missing: Vec<usize> = (0..seeds.len()).filter(|&at| weights[at].is_none()).collect();
        let member = |i: usize| {
            let at = missing[i];
            let lesson = Lesson { samples: samples[at].clone(), ..Lesson::default() };
            Ok(Member::new(seeds[at], lesson))
        };
        self.train(0, missing.len(), &member, |i, fitted: Fitted| {
            let (at, mut trained) = (missing[i], Weights::new(fitted.weights));
            let (record, path) = &files[at];
            std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
            record.write(&mut trained, path)?;
            weights[at] = Some(trained);
            Ok(())
        })?;
        let half = |(weights, samples): (Option<Weights>, Vec<usize>)| {
            let mut weights = weights.ok_or_else(|| Error::Failed("a member was not trained".into()))?;
            weights.metadata.clear();
            Ok(Half { model: Model::new(self.school.prepared.config.clone(), weights)?, samples })
        };
        weights.into_iter().zip(samples).map(half).collect()
    }
}

/// The member that an earlier run left at `path`, where it is what it should be; a word where it is not.
fn kept(record: &Record, path: &Path) -> Option<Weights> {
    if !path.exists() {
        return None;
    }
    match record.read(path) {
        Ok(weights) => Some(weights),
        Err(why) => {
            tell(&format!("{}: this file {why}; the member is trained anew", path.display()));
            None
        }
    }
}
