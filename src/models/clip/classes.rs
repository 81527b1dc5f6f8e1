//! From an image-text model to a classifier: the rows of its last layer are what the text's side says of the prompts.

use std::collections::HashSet;
use std::sync::Arc;

use percuss_kernels::Device;
use sha2::{Digest, Sha256};

use super::{CLASSES, Clip, Encoded, Prompts, ZeroShot};
use crate::graph::{Compiled, Graph, Phase, Shape, Uploads};
use crate::models::config::Architecture;
use crate::models::net::Net;
use crate::models::{Config, Model, Tokens, WeightTensor, Weights, hex};
use crate::{Error, Result};

/// Texts in one launch.
const BLOCK: usize = 32;

impl Model {
    /// The classifier that prompts make of an image-text model: a class is the mean of the normalised features of its prompts, normalised
    /// again (Radford et al. 2021, section 3.1.4). The text's side is read once, here, and is no longer part of the model that comes back;
    /// the prompts are part of its digest. Where their words are open to an adversary, both sides stay, and the prompts become part of
    /// every sample ([`Prompts`]).
    ///
    /// # Errors
    /// Another architecture, no class or a class without prompts, no tokenizer beside the model, a prompt that is longer than the model's
    /// context.
    pub fn zero_shot(mut self, prompts: &ZeroShot) -> Result<Self> {
        let place = self.path.display().to_string();
        let Architecture::Clip(clip) = &self.config.architecture else {
            let found = format!("a model of the family {}", self.config.architecture.name());
            return Err(Error::input(
                place,
                "zero_shot",
                found,
                "an image-text model, whose classes are prompts",
            ));
        };
        if let Some(empty) = prompts.classes.iter().find(|class| class.prompts.is_empty()) {
            let key = format!("zero_shot.classes.{}", empty.name);
            return Err(Error::input(place, key, "no prompt", "at least one text"));
        }
        let tokens = Tokens::read(&self.path)?;
        if let Some(open) = &prompts.words {
            let read = Prompts::new(clip, prompts, open, &tokens)?;
            let zero_shot = ZeroShot { prompts: Some(read), ..prompts.clone() };
            let clip = Clip { zero_shot: Some(zero_shot), ..(**clip).clone() };
            self.config.architecture = Architecture::Clip(Box::new(clip));
            self.config.class_names = prompts.names();
            self.sha256 = digest(&self.sha256, prompts);
            return Ok(self);
        }
        let (context, vocabulary) = (clip.text.context(), clip.text.vocabulary());
        let all = prompts.classes.iter().flat_map(|class| &class.prompts);
        let texts: Vec<Vec<u32>> =
            all.map(|prompt| tokens.of(prompt, context, vocabulary)).collect::<Result<_>>()?;
        let features = features(clip, &self.weights, &texts)?;
        let rows = class_rows(prompts, &features, clip.features);
        let shape = vec![prompts.classes.len(), clip.features];
        let clip = Clip { zero_shot: Some(prompts.clone()), ..(**clip).clone() };
        self.config = Config {
            architecture: Architecture::Clip(Box::new(clip)),
            class_names: prompts.names(),
            ..self.config
        };
        let shared = || Error::Failed(format!("{place}: weights that something else holds on to"));
        let mut weights = Arc::try_unwrap(self.weights).map_err(|_| shared())?;
        weights.insert(CLASSES, WeightTensor { shape, data: rows });
        let declared = Self::declare(&self.config);
        let wanted: HashSet<&str> = declared.iter().map(|declared| declared.name.as_str()).collect();
        weights.keep(|name| wanted.contains(name));
        self.weights = Arc::new(weights);
        self.sha256 = digest(&self.sha256, prompts);
        Ok(self)
    }
}

impl Model {
    /// The same classifier with its classes in the order of `names`, if it has been made of prompts and its classes have these names in
    /// another order; itself otherwise. The weights are shared.
    pub fn in_order_of(&self, names: &[String]) -> Self {
        let mut model = self.clone();
        let Architecture::Clip(clip) = &mut model.config.architecture else { return model };
        let ordered =
            clip.zero_shot.as_ref().filter(|own| own.names() != names).and_then(|own| own.ordered_as(names));
        let Some(ordered) = ordered else { return model };
        model.config.class_names = ordered.names();
        model.sha256 = hex(&Sha256::digest(format!("{} {:?}", model.sha256, ordered.order)));
        clip.zero_shot = Some(ordered);
        model
    }
}

/// The digest of a model that is asked with prompts.
fn digest(model: &str, prompts: &ZeroShot) -> String {
    let words = serde_json::to_string(prompts).unwrap_or_default();
    hex(&Sha256::digest(format!("{model} {words}")))
}

/// The mean of each class's normalised features, normalised: `[classes, width]`.
fn class_rows(prompts: &ZeroShot, features: &[Vec<f32>], width: usize) -> Vec<f32> {
    let mut features = features.iter();
    let mut rows = Vec::with_capacity(prompts.classes.len() * width);
    for class in &prompts.classes {
        let mut sum = vec![0f64; width];
        for feature in features.by_ref().take(class.prompts.len()) {
            let length = length(feature.iter().map(|&v| f64::from(v)));
            sum.iter_mut().zip(feature).for_each(|(sum, &v)| *sum += f64::from(v) / length);
        }
        let length = length(sum.iter().copied());
        rows.extend(sum.iter().map(|v| (v / length) as f32));
    }
    rows
}

/// Euclidean length; never 0, as PyTorch's `normalize` has it.
fn length(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt().max(f64::from(super::SHORTEST))
}

/// The features of texts of token numbers, not normalised, in f32 on all threads of the CPU: the same bits wherever the model is attacked.
fn features(clip: &Clip, weights: &Weights, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>> {
    let Encoded { tokens, ids, attended, pooled } = clip.text.encoded(texts, 0);
    let mut graph = Graph::new();
    let states = ["ids", "attended", "pooled"].map(|name| graph.state(name, Shape::lanes(&[tokens])));
    let out = graph.state("features", Shape::lanes(&[clip.features]));
    let loaded = states.map(|state| graph.load(state));
    let mut net = Net::with_weights(&mut graph, weights);
    let table = clip.word_table(&mut net);
    let words = net.graph.embed(table, loaded[0]);
    let text = clip.text_features(&mut net, words, loaded[1], loaded[2]);
    let mut phase = Phase::new();
    phase.assign(&mut graph, out, text);
    let lanes = texts.len().min(BLOCK);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let compiled = Compiled::new(&graph, &[phase], lanes)?;
    let mut executable = compiled.instantiate(&Device::Cpu { threads }, &mut Uploads::default(), threads)?;
    let mut features = Vec::with_capacity(texts.len());
    for first in (0..texts.len()).step_by(lanes) {
        let count = lanes.min(texts.len() - first);
        for lane in 0..count {
            let at = (first + lane) * tokens..(first + lane + 1) * tokens;
            for (state, values) in states.iter().zip([&ids, &attended, &pooled]) {
                executable.write_lane(*state, lane, &values[at.clone()])?;
            }
        }
        executable.run(0, 1)?;
        for lane in 0..count {
            features.push(executable.read_lane(out, lane)?);
        }
    }
    Ok(features)
}
