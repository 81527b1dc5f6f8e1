//! Models: one file an architecture family, read by the names that its ecosystem gives its tensors.

mod activation;
mod bert;
pub mod clip;
mod cnn;
mod config;
mod conversion;
mod convnext;
mod densenet;
mod dialects;
mod efficientnet;
mod features;
mod first_norm;
mod header;
mod input;
mod iseeu;
mod kernel_layout;
mod mlp;
mod names;
mod net;
pub mod onnx;
mod patches;
mod recurrent;
mod resize;
mod resnet;
mod resnet1d;
mod shards;
pub mod standardisation;
mod tokens;
mod transformer;
mod vit;
mod weights;
mod words;
mod wrapping;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use activation::Activation;
pub use bert::{Bert, BertClassifier};
pub(crate) use config::counted;
pub use config::{Architecture, Config, Head, InputScaling};
pub(crate) use conversion::refuse as refuse_other_weights;
pub use features::FeatureSpace;
pub use first_norm::FirstNorm;
pub use input::{FileAxes, Input, InputKind, Reading, Substitutes};
pub use kernel_layout::from_training_layout;
pub(crate) use kernel_layout::{layout, to_layout};
pub use net::{BatchNorm, Declared, Net, Role, RunningAverage};
pub use resize::Samples;
pub use standardisation::Standardisation;
pub use tokens::Tokens;
pub use transformer::{BlockNames, Encoder};
pub use weights::{WeightTensor, Weights};
pub(crate) use weights::{hex, write_whole};
pub use words::{OpenWords, Vocabulary};

use crate::graph::{Graph, Shape, Tensor};
use crate::memory::Room;
use crate::{Error, Result};

/// A trained model: its configuration and weights, checked against each other. A clone shares the weights.
#[derive(Clone, Debug)]
pub struct Model {
    /// The folder or file it came from.
    pub path: PathBuf,
    /// What it computes.
    pub config: Config,
    /// Its tensors, under their own names.
    pub weights: Arc<Weights>,
    /// SHA-256 over configuration and weights: a retrained model is another one.
    pub sha256: String,
    /// What was assumed while it was read, in sentences.
    pub remarks: Vec<String>,
}

impl Model {
    /// Reads a folder: `config.json`, percuss's own or another ecosystem's, and `model.safetensors` (or the shards that
    /// `model.safetensors.index.json` names); or `open_clip_config.json` and what open_clip calls its tensors; or one safetensors file whose
    /// metadata hold the configuration (key `config`); or an ONNX file (in a folder without the others it is `model.onnx`), whose final softmax or
    /// sigmoid is taken off.
    ///
    /// # Errors
    /// A configuration that does not parse, a file that is not safetensors, a tensor that is missing, superfluous, of
    /// another shape than the configuration implies, or not finite, a negative running variance: each named with what was expected.
    pub fn load(path: &Path) -> Result<Self> {
        Self::load_with(path, &onnx::Supplied::default())
    }

    /// As [`Self::load`]; of an ONNX file, with what it leaves open.
    ///
    /// # Errors
    /// As [`Self::load`]; something supplied to a model that is no ONNX file, or has no such axis or input.
    pub fn load_with(path: &Path, supplied: &onnx::Supplied) -> Result<Self> {
        Self::load_within(path, supplied, Room::default())
    }

    /// As [`Self::load_with`], where the weights as they lie in their file and as numbers have room.
    ///
    /// # Errors
    /// As [`Self::load_with`], and weights that take more.
    pub fn load_within(path: &Path, supplied: &onnx::Supplied, room: Room) -> Result<Self> {
        conversion::refuse(path)?;
        let bytes: u64 = weight_files(path).iter().filter_map(|file| Some(file.metadata().ok()?.len())).sum();
        room.afford(path.display(), "weights", 2 * u128::from(bytes), "")?;
        if let Some(file) = onnx_file(path) {
            return Self::from_onnx(&file, supplied);
        }
        if !supplied.is_empty() {
            let expected = "an ONNX file, which alone leaves such open";
            return Err(Error::input(
                path.display(),
                "dimensions, inputs",
                "a model in other files",
                expected,
            ));
        }
        conversion::refuse_empty(path)?;
        let (config, mut weights, file) = if path.is_dir() {
            match dialects::open_clip(path)? {
                Some(read) => read,
                None => {
                    let config = Config::read(&path.join("config.json"))?;
                    let (weights, file) = Weights::read_folder(path)?;
                    (config, weights, file)
                }
            }
        } else {
            let weights = Weights::read(path)?;
            let text = weights.metadata.get("config").ok_or_else(|| {
                Error::input(
                    path.display(),
                    "metadata",
                    "no key \"config\"",
                    "the model's configuration as JSON",
                )
            })?;
            (Config::parse(text, &path.display().to_string())?, weights, path.to_path_buf())
        };
        let declared = Self::declare(&config);
        let mut remarks = config.remarks.clone();
        let told = wrapping::see_through(&mut weights, &declared);
        if told.is_none()
            && let Some(prefixes) = wrapping::several(&weights, &declared)
        {
            let found = format!("the model {} times, under {}", prefixes.len(), prefixes.join(", "));
            let expected = "it once: save the one that is meant alone, as safetensors.torch.save_file(model.student.state_dict(), FILE) does";
            return Err(Error::input(file.display(), "tensors", found, expected));
        }
        remarks.extend(told);
        let model = Self {
            path: path.to_path_buf(),
            sha256: weights.sha256(&config),
            config,
            weights: Arc::new(weights),
            remarks,
        };
        model.check(&declared, &file)?;
        Ok(model)
    }

    /// A network from an ONNX file; what it computes with is in its configuration.
    fn from_onnx(path: &Path, supplied: &onnx::Supplied) -> Result<Self> {
        let read = onnx::read(path, supplied)?;
        let config = Config {
            architecture: Architecture::Onnx(onnx::Onnx { network: read.network, keeps_ending: false }),
            class_names: read.class_names,
            head: read.head,
            input_scaling: read.input_scaling,
            samples: None,
            training: read.training,
            remarks: read.remarks,
        };
        config.check(&path.display().to_string())?;
        let model = Self::new(config, Weights::default())?;
        let mut remarks = model.config.remarks.clone();
        remarks.extend(model.network().into_iter().flat_map(|network| network.remarks.iter().cloned()));
        Ok(Self { path: path.to_path_buf(), remarks, ..model })
    }

    /// The same model, its outputs taken for something else: it is another one to whoever tells models apart.
    pub fn with_head(mut self, head: Head) -> Self {
        if head != self.config.head {
            self.config.head = head;
            self.sha256 = self.weights.sha256(&self.config);
        }
        self
    }

    /// The network, if the model comes from an ONNX file.
    pub fn network(&self) -> Option<&onnx::Network> {
        match &self.config.architecture {
            Architecture::Onnx(onnx) => Some(&onnx.network),
            _ => None,
        }
    }

    /// The ending that an ONNX file's network is attacked through: a final softmax that stays because the study calls it logits.
    pub fn kept_ending(&self) -> Option<onnx::Ending> {
        match &self.config.architecture {
            Architecture::Onnx(onnx) => onnx.kept_ending(),
            _ => None,
        }
    }

    /// Values in its tensors.
    pub fn parameters(&self) -> usize {
        let own: usize = self.weights.tensors.values().map(|tensor| tensor.data.len()).sum();
        own + self.network().map_or(0, |network| network.facts.values)
    }

    /// A model from weights in memory.
    pub fn new(config: Config, weights: Weights) -> Result<Self> {
        let sha256 = weights.sha256(&config);
        let declared = Self::declare(&config);
        let model =
            Self { path: PathBuf::new(), sha256, config, weights: Arc::new(weights), remarks: Vec::new() };
        model.check(&declared, Path::new("the weights"))?;
        Ok(model)
    }

    /// Logits `[.., classes]` of x, per lane one sample in the data's own units; input scaling is part of the graph.
    pub fn logits(&self, graph: &mut Graph, x: Tensor) -> Tensor {
        let mut net = Net::with_weights(graph, &self.weights);
        self.config.forward(&mut net, x)
    }

    /// As [`Self::logits`]; where a text is part of the sample, also where it enters the graph.
    pub fn read(&self, graph: &mut Graph, x: Tensor) -> (Tensor, Option<Reading>) {
        let mut net = Net::with_weights(graph, &self.weights);
        let logits = self.config.forward(&mut net, x);
        (logits, net.into_reading())
    }

    /// Features of x, per lane one sample in the data's own units: what the last linear layer reads, `[d]`.
    ///
    /// # Errors
    /// A model without a linear layer.
    pub fn features(&self, graph: &mut Graph, x: Tensor) -> Result<Tensor> {
        let mut net = Net::with_weights(graph, &self.weights);
        self.config.forward(&mut net, x);
        let Some(features) = net.features() else {
            let expected = "a linear layer, whose input its features are";
            return Err(Error::input(self.path.display(), "architecture", "no linear layer", expected));
        };
        let dimensions = graph.dims(features).iter().product();
        Ok(graph.reshape(features, &[dimensions]))
    }

    /// What the first batch norm yields of x, per lane one sample in the data's own units; `None` without one that was trained.
    pub fn first_norm(&self, graph: &mut Graph, x: Tensor) -> Option<FirstNorm> {
        let mut net = Net::with_weights(graph, &self.weights);
        self.config.forward(&mut net, x);
        net.into_first_norm()
    }

    /// The tensors that a configuration calls for, in the order of their use.
    pub fn declare(config: &Config) -> Vec<Declared> {
        let mut graph = Graph::new();
        let input = graph.state("input", Shape::lanes(&config.input_shape()));
        let x = graph.load(input);
        let mut net = Net::declaring(&mut graph);
        config.forward(&mut net, x);
        net.into_declared()
    }

    fn check(&self, declared: &[Declared], file: &Path) -> Result<()> {
        for wanted in declared {
            let Some(found) = self.weights.tensors.get(&wanted.name) else {
                return Err(Error::input(
                    file.display(),
                    format!("tensor {}", wanted.name),
                    "no such tensor",
                    format!("shape {:?}", wanted.shape),
                ));
            };
            if found.shape != wanted.shape {
                return Err(Error::input(
                    file.display(),
                    format!("tensor {}", wanted.name),
                    format!("shape {:?}", found.shape),
                    format!("shape {:?}", wanted.shape),
                ));
            }
            let negative = found.data.iter().position(|value| *value < 0.0);
            if let (Role::RunningVariance, Some(position)) = (wanted.role, negative) {
                return Err(Error::input(
                    file.display(),
                    format!("tensor {}, element {position}", wanted.name),
                    found.data[position],
                    "a running variance that is not negative",
                ));
            }
        }
        let known: HashSet<&str> = declared.iter().map(|wanted| wanted.name.as_str()).collect();
        for name in self.weights.tensors.keys() {
            if !weights::is_skipped(name) && !known.contains(name.as_str()) {
                return Err(Error::input(
                    file.display(),
                    format!("tensor {name}"),
                    "a tensor that the configuration has no place for",
                    format!("the {} tensors of a {}", declared.len(), self.config.architecture.name()),
                ));
            }
        }
        Ok(())
    }
}

/// The files whose weights are read for a model at `path`.
fn weight_files(path: &Path) -> Vec<PathBuf> {
    if let Some(file) = onnx_file(path) {
        return vec![file];
    }
    let Ok(folder) = std::fs::read_dir(path) else { return vec![path.to_path_buf()] };
    let own = folder.filter_map(|entry| Some(entry.ok()?.path()));
    own.filter(|file| file.extension().is_some_and(|ending| ending == "safetensors")).collect()
}

/// The ONNX file that a path means: itself, or `model.onnx` in a folder that has no configuration beside its weights.
pub(crate) fn onnx_file(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        let named = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"));
        return named.then(|| path.to_path_buf());
    }
    let holds = |names: &[&str]| names.iter().any(|name| path.join(name).is_file());
    let configured = holds(&["open_clip_config.json"])
        || holds(&["config.json"]) && holds(&["model.safetensors", "model.safetensors.index.json"]);
    (holds(&["model.onnx"]) && !configured).then(|| path.join("model.onnx"))
}
