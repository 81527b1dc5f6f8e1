//! A recipe with its data: where models are trained and examined.

use std::path::Path;

use percuss_kernels::Device;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::data::{Dataset, Preprocess};
use crate::models::{Model, Weights, hex};
use crate::sweep::study::{Privacy, Study};
use crate::sweep::subject::{Subject, clean_logits};
use crate::training::loss::one_class_a_sample;
use crate::training::private::accountant::{Steps, noise_multiplier};
use crate::training::private::sgd::{Noise, fit_privately, schedule};
use crate::training::{
    Course, Fitted, Member, Options, Prepared, Recipe, TrainFile, Workshop, learnable, prepare, train_members,
};
use crate::{Error, Result};

/// A recipe of a study, its data read.
#[derive(Debug)]
pub struct School {
    /// The recipe's position in the study.
    pub recipe: usize,
    /// File, architecture, data.
    pub prepared: Prepared,
    /// The samples that trained models are examined on.
    pub test: Dataset,
    /// What missing values of a table become, feature by feature.
    pub imputed: Option<Vec<f32>>,
    /// SHA-256 of everything that decides a trained model but its seed and lesson.
    pub sha256: String,
    /// SHA-256 of the training samples.
    pub train_set_sha256: String,
    /// SHA-256 of the test samples.
    pub test_set_sha256: String,
}

impl School {
    /// Opens the recipe at a position of the study.
    ///
    /// # Errors
    /// A bad TRAIN.toml; data that are not there or do not fit; no test split.
    pub fn open(study: &Study, recipe: usize, device: &Device, data_dir: Option<&Path>) -> Result<Self> {
        let entry = &study.recipes[recipe];
        let file = TrainFile::read(&entry.file)?;
        let options = Options {
            data_dir: data_dir.map(Path::to_path_buf),
            memory: study.memory,
            ..Options::new(device.clone(), 1)
        };
        let mut prepared = prepare(file, &options)?;
        // What these threats do is measured on one decision a sample, which everybody must have a label of.
        one_class_a_sample(&prepared.config, &entry.file.display().to_string())?;
        let splits = &prepared.splits;
        if let Some(gaps) =
            [Some(&splits.train), splits.test.as_ref()].into_iter().flatten().find(|s| s.labels.unlabelled())
        {
            let expected = "a label for every sample: missing and uncertain = \"negative\", \"positive\" or \"drop\" in [data]";
            return Err(Error::input(
                &gaps.name,
                format!("split {}", gaps.split),
                "findings that are not labelled",
                expected,
            ));
        }
        learnable(&prepared.config, &prepared.recipe, &prepared.splits.train)?;
        let Some(test) = prepared.splits.test.take() else {
            let expected = "the split that trained models are examined on";
            return Err(Error::input(entry.file.display(), "data.test", "none", expected));
        };
        let (config, train) = (&prepared.config, &prepared.splits.train);
        let recipe_text = format!("{:?}", Recipe { seed: 0, ..prepared.recipe.clone() });
        let validation =
            prepared.splits.validation.as_ref().map(Dataset::sample_set_sha256).unwrap_or_default();
        let architecture = serde_json::to_string(config).unwrap_or_default();
        let train_set_sha256 = train.sample_set_sha256();
        let contents =
            [architecture, recipe_text, train.sha256.clone(), train_set_sha256.clone(), validation]
                .join("\n");
        let sha256 = hex(&Sha256::digest(contents.as_bytes()));
        let imputed = prepared.splits.preprocess.as_ref().map(Preprocess::imputed);
        let test_set_sha256 = test.sample_set_sha256();
        Ok(Self { recipe, imputed, sha256, train_set_sha256, test_set_sha256, prepared, test })
    }

    /// Trains `count` members; see [`train_members`].
    ///
    /// # Errors
    /// As [`train_members`].
    pub fn train(
        &self,
        own_values: usize,
        count: usize,
        member: &(dyn Fn(usize) -> Result<Member> + Sync),
        workshop: &Workshop,
        finished: impl FnMut(usize, Fitted) -> Result<()>,
    ) -> Result<()> {
        let Prepared { config, recipe, splits, .. } = &self.prepared;
        let validation = splits.validation.as_ref();
        let course = Course { config, recipe, base: &splits.train, validation, own_values };
        train_members(&course, count, member, workshop, finished)
    }

    /// As [`School::train`], by DP-SGD: the noise is what `privacy` allows for the steps of a lesson.
    ///
    /// # Errors
    /// As [`fit_privately`]; an epsilon that no noise reaches.
    pub fn train_privately(
        &self,
        privacy: &Privacy,
        count: usize,
        member: &(dyn Fn(usize) -> Result<Member> + Sync),
        workshop: &Workshop,
        mut finished: impl FnMut(usize, Fitted) -> Result<()>,
    ) -> Result<()> {
        let Prepared { config, recipe, splits, .. } = &self.prepared;
        let one = |at: usize| -> Result<(usize, Fitted)> {
            let Member { seed, lesson, rate } = member(at)?;
            let recipe = Recipe { seed, rate: rate.unwrap_or(recipe.rate), ..recipe.clone() };
            let multiplier = self.mechanism(privacy, lesson.samples.len())?.noise_multiplier;
            let noise = Noise { clip_norm: privacy.clip_norm, multiplier };
            fit_privately(config, &recipe, &noise, &splits.train, &lesson, workshop.device, workshop.stop)
                .map(|fitted| (at, fitted))
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(workshop.threads).build();
        let pool = pool.map_err(|e| Error::Failed(format!("threads to train: {e}")))?;
        // Some at a time, so that what is finished is put away while there is more to do.
        for some in (0..count).collect::<Vec<_>>().chunks(2 * workshop.threads.max(1)) {
            let trained: Vec<Result<(usize, Fitted)>> =
                pool.install(|| some.par_iter().map(|&at| one(at)).collect());
            for result in trained {
                let (at, fitted) = result?;
                finished(at, fitted)?;
            }
        }
        Ok(())
    }

    /// What DP-SGD does to a lesson of so many samples, with the noise that `privacy` allows.
    ///
    /// # Errors
    /// An epsilon that no noise reaches.
    pub fn mechanism(&self, privacy: &Privacy, samples: usize) -> Result<Steps> {
        let (sample_rate, steps) = schedule(&self.prepared.recipe, samples);
        let noise_multiplier = noise_multiplier(privacy.epsilon, privacy.delta, sample_rate, steps)?;
        Ok(Steps { sample_rate, noise_multiplier, steps })
    }

    /// A trained member as a model.
    ///
    /// # Errors
    /// Weights that are not the architecture's.
    pub fn model(&self, fitted: Fitted) -> Result<Model> {
        Model::new(self.prepared.config.clone(), Weights::new(fitted.weights))
    }

    /// A trained member on the test samples.
    ///
    /// # Errors
    /// A device failure; logits that are not finite.
    pub fn subject(&self, model: Model, device: &Device) -> Result<Subject> {
        let data = self.test.clone();
        let clean = clean_logits(&model, &data, device)?;
        let mut subject = Subject { model, data, clean, thresholds: Vec::new() };
        if subject.classes() == 2 {
            subject.thresholds = vec![0.5; if subject.sigmoid() { subject.outputs() } else { 1 }];
        }
        Ok(subject)
    }

    /// Multiplications, about, of training a member: what its time is estimated by.
    pub fn work(&self) -> u64 {
        let parameters: usize = Model::declare(&self.prepared.config)
            .iter()
            .map(|tensor| tensor.shape.iter().product::<usize>())
            .sum();
        (self.prepared.recipe.epochs * self.prepared.splits.train.len() * parameters) as u64
    }
}
