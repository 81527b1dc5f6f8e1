//! Trained members in the results folder: each with its recipe, what it was trained on and a checksum, looked at before it is used.

use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::School;
use crate::Result;
use crate::models::{Weights, hex};
use crate::results::passing_on::last;
use crate::sweep::study::Privacy;
use crate::training::Recipe;

/// The keys of a member's metadata: its configuration (so that the file is a model by itself), its record, its checksum.
const CONFIG: &str = "config";
const RECORD: &str = "training";
const CHECKSUM: &str = "sha256";

/// What a member is: how it was trained, on what.
pub(super) struct Record {
    config: String,
    training: String,
}

impl Record {
    /// Of the member with this seed that learns from these samples of the school's train split.
    pub(super) fn new(school: &School, privacy: Option<&Privacy>, seed: u64, samples: &[usize]) -> Self {
        let train = &school.prepared.splits.train;
        let numbers: Vec<u64> = samples.iter().filter_map(|&i| train.index.get(i).copied()).collect();
        let privacy =
            privacy.map(|p| json!({ "epsilon": p.epsilon, "delta": p.delta, "clip_norm": p.clip_norm }));
        let training = json!({
            "recipe": format!("{:?}", Recipe { seed, ..school.prepared.recipe.clone() }),
            "recipe_sha256": school.sha256,
            "privacy": privacy,
            "seed": seed,
            "data": last(&train.name),
            "data_sha256": train.sha256,
            "train_set_sha256": school.train_set_sha256,
            "samples": numbers,
        });
        let config = serde_json::to_string(&school.prepared.config).unwrap_or_default();
        Self { config, training: training.to_string() }
    }

    /// A name for the member's file: members that differ in anything have different ones.
    pub(super) fn file_name(&self) -> String {
        let contents = format!("{}\n{}", self.config, self.training);
        format!("{}.safetensors", &hex(&Sha256::digest(contents.as_bytes()))[..32])
    }

    /// Writes a member whole or not at all.
    ///
    /// # Errors
    /// As [`Weights::write`].
    pub(super) fn write(&self, weights: &mut Weights, path: &Path) -> Result<()> {
        let checksum = self.checksum(weights);
        let own = [(CONFIG, &self.config), (RECORD, &self.training), (CHECKSUM, &checksum)];
        weights.metadata = own.into_iter().map(|(key, text)| (key.to_string(), text.clone())).collect();
        weights.write(path)
    }

    /// Reads a member; why it cannot be used, in words that complete "this file ...".
    pub(super) fn read(&self, path: &Path) -> Result<Weights, String> {
        let weights = Weights::read(path).map_err(|error| format!("cannot be read ({error})"))?;
        let says = |key: &str| weights.metadata.get(key).map(String::as_str);
        if says(RECORD).is_none() || says(CHECKSUM).is_none() {
            return Err("does not say what it was trained on".into());
        }
        if says(RECORD) != Some(&self.training) || says(CONFIG) != Some(&self.config) {
            return Err("is another member's".into());
        }
        match says(CHECKSUM) == Some(&self.checksum(&weights)) {
            true => Ok(weights),
            false => Err("was changed: its checksum does not fit".into()),
        }
    }

    /// SHA-256 of the record and of every tensor's name, shape and values.
    fn checksum(&self, weights: &Weights) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("{}\n{}\n", self.config, self.training));
        for (name, tensor) in &weights.tensors {
            hash.update(format!("{name}\n{:?}\n", tensor.shape));
            hash.update(bytemuck::cast_slice::<f32, u8>(&tensor.data));
        }
        hex(&hash.finalize())
    }
}
