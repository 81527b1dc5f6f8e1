//! A model's `config.json`: the architecture, the input's shape and scaling, what the outputs mean.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::clip::Prompts;
use super::input::{FileAxes, Input, InputKind};
use super::net::Net;
use super::recurrent::Cell;
use super::resize::Samples;
use super::{
    bert, clip, cnn, convnext, densenet, dialects, efficientnet, iseeu, mlp, onnx, recurrent, resnet,
    resnet1d, vit,
};
use crate::data::labels::same;
use crate::graph::Tensor;
use crate::spelling::one_of;
use crate::{Error, Result};

/// What a model's outputs mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// Logits of classes that exclude each other.
    #[default]
    Softmax,
    /// One logit for each finding, or the single logit of a binary model.
    Sigmoid,
}

impl Head {
    /// All names.
    pub const NAMES: [&'static str; 2] = ["softmax", "sigmoid"];

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "softmax" => Some(Self::Softmax),
            "sigmoid" => Some(Self::Sigmoid),
            _ => None,
        }
    }
}

/// `(x - mean) / std`, part of the attacked graph; one entry for all values, one a channel, or one a feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputScaling {
    /// Subtracted, in the data's units.
    pub mean: Vec<f32>,
    /// Divided by, in the data's units, positive.
    pub std: Vec<f32>,
    /// The data's unit that they are stated in (`pixel`: intensities from 0 to 255): data in another one are refused. Absent: whatever the
    /// data's unit is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// The architecture families; each is one file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "architecture", rename_all = "lowercase")]
pub enum Architecture {
    /// Fully connected.
    Mlp(mlp::Mlp),
    /// A list of layers.
    Cnn(cnn::Cnn),
    /// torchvision's ResNets.
    Resnet(resnet::Resnet),
    /// Their 1-d kin.
    Resnet1d(resnet1d::Resnet1d),
    /// ISeeU (Caicedo-Torres & Gutierrez 2019).
    Iseeu(iseeu::Iseeu),
    /// Densely connected networks.
    Densenet(densenet::Densenet),
    /// EfficientNets.
    Efficientnet(efficientnet::Efficientnet),
    /// ConvNeXts.
    Convnext(convnext::Convnext),
    /// Vision transformers.
    Vit(vit::Vit),
    /// A classifier of series with gated recurrent units.
    Gru(recurrent::Recurrent),
    /// A classifier of series with long short-term memory.
    Lstm(recurrent::Recurrent),
    /// Image-text models, classifiers by prompts.
    Clip(Box<clip::Clip>),
    /// Classifiers of texts.
    Bert(bert::BertClassifier),
    /// A network from an ONNX file, which no configuration describes.
    #[serde(skip_deserializing)]
    Onnx(onnx::Onnx),
}

impl Architecture {
    /// The family's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mlp(_) => "mlp",
            Self::Cnn(_) => "cnn",
            Self::Resnet(_) => "resnet",
            Self::Resnet1d(_) => "resnet1d",
            Self::Iseeu(_) => "iseeu",
            Self::Densenet(_) => "densenet",
            Self::Efficientnet(_) => "efficientnet",
            Self::Convnext(_) => "convnext",
            Self::Vit(_) => "vit",
            Self::Gru(_) => "gru",
            Self::Lstm(_) => "lstm",
            Self::Clip(_) => "clip",
            Self::Bert(_) => "bert",
            Self::Onnx(_) => "onnx",
        }
    }

    /// Whose names its tensors have, where the family has several.
    pub fn names(&self) -> Option<&'static str> {
        match self {
            Self::Efficientnet(net) => Some(net.names.name()),
            Self::Convnext(net) => Some(net.names.name()),
            Self::Vit(vit) => Some(vit.names.name()),
            _ => None,
        }
    }
}

/// A model's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Family and its own keys.
    #[serde(flatten)]
    pub architecture: Architecture,
    /// Names of the classes or findings; empty means `0`, `1`, ...
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// What the outputs mean.
    #[serde(default)]
    pub head: Head,
    /// Scaling of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_scaling: Option<InputScaling>,
    /// Samples of another shape than the model's own input, resized inside the attacked graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<Samples>,
    /// What the model was trained on, how, and how it did: written by `percuss train`, never read by the graph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<serde_json::Value>,
    /// What the file that it was read from says and nothing follows, in sentences.
    #[serde(skip)]
    pub remarks: Vec<String>,
}

/// Keys that a configuration leaves out where it has nothing to say.
const OPTIONAL_KEYS: [&str; 4] = ["class_names", "input_scaling", "samples", "training"];

impl Config {
    /// Reads a `config.json`: percuss's own, or one that another ecosystem wrote, with what lies beside it.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn read(path: &Path) -> Result<Self> {
        let text = crate::files::read_text(path)?;
        Self::parse_in(&text, &path.display().to_string(), path.parent())
    }

    /// Parses a configuration; `file` names it in errors.
    ///
    /// # Errors
    /// No JSON object, an architecture that does not exist or cannot be, an unknown key (of percuss's own), a key that percuss has no answer
    /// to (of others).
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        Self::parse_in(text, file, None)
    }

    fn parse_in(text: &str, file: &str, folder: Option<&Path>) -> Result<Self> {
        let broken = |e: serde_json::Error| {
            Error::input(file, format!("line {}", e.line()), e.to_string(), "a model configuration")
        };
        let keys: Map<String, Value> = serde_json::from_str(text).map_err(broken)?;
        if let Some(config) = dialects::translate(&keys, file, folder)? {
            config.check(file)?;
            return Ok(config);
        }
        let config: Self = serde_json::from_str(text).map_err(broken)?;
        config.check_keys(&keys, file)?;
        config.check(file)?;
        Ok(config)
    }

    /// A key that the configuration does not have once it is parsed is one that would be ignored: a misspelt scaling would leave the model
    /// unscaled.
    fn check_keys(&self, given: &Map<String, Value>, file: &str) -> Result<()> {
        let known = serde_json::to_value(self).map_err(|error| Error::Failed(error.to_string()))?;
        let mut names: Vec<&str> =
            known.as_object().into_iter().flat_map(|map| map.keys()).map(String::as_str).collect();
        names.extend(OPTIONAL_KEYS.iter().filter(|name| known.get(name).is_none()));
        match given.keys().find(|key| !names.contains(&key.as_str())) {
            Some(key) => Err(Error::input(file, key, "an unknown key", one_of(&names, key))),
            None => Ok(()),
        }
    }

    pub(super) fn check(&self, file: &str) -> Result<()> {
        let shape = match &self.architecture {
            Architecture::Mlp(mlp) => mlp.check(),
            Architecture::Cnn(cnn) => cnn.check(),
            Architecture::Resnet(resnet) => resnet.check(),
            Architecture::Resnet1d(resnet) => resnet.check(),
            Architecture::Iseeu(_) | Architecture::Onnx(_) => Ok(()),
            Architecture::Densenet(net) => net.check(),
            Architecture::Efficientnet(net) => net.check(),
            Architecture::Convnext(net) => net.check(),
            Architecture::Vit(vit) => vit.check(),
            Architecture::Gru(net) | Architecture::Lstm(net) => net.check(),
            Architecture::Clip(clip) => clip.check(),
            Architecture::Bert(bert) => bert.check(),
        };
        let shape = shape.and_then(|()| {
            let shape = self.model_shape();
            let len = shape.iter().try_fold(1usize, |len, &size| len.checked_mul(size));
            match len {
                Some(len) if len <= SAMPLE => Ok(()),
                _ => Err(("input".into(), format!("{shape:?}"), format!("at most {SAMPLE} values"))),
            }
        });
        let shape = shape.and_then(|()| {
            self.samples.as_ref().map_or(Ok(()), |samples| samples.check(&self.model_shape()))
        });
        shape.map_err(|(place, found, expected)| Error::input(file, place, found, expected))?;
        self.check_names().map_err(|(found, expected)| Error::input(file, "class_names", found, expected))?;
        let scaling = self.check_scaling();
        scaling.map_err(|(key, found, expected)| {
            Error::input(file, format!("input_scaling.{key}"), found, expected)
        })
    }

    /// A name for every output, each once; of a single output its finding's, or both sides', the present one last.
    fn check_names(&self) -> Result<(), (String, String)> {
        let (names, outputs) = (&self.class_names, self.classes());
        let fits = [0, outputs].contains(&names.len()) || outputs == 1 && names.len() == 2;
        if !fits {
            let expected = match outputs {
                1 => "the finding's name, or two: absent, present".into(),
                outputs => format!("{outputs}, one for every output"),
            };
            return Err((counted(names.len()), expected));
        }
        let again = |(at, name): &(usize, &String)| {
            !name.trim().is_empty() && names[..*at].iter().any(|other| same(other, name))
        };
        match names.iter().enumerate().find(again) {
            Some((_, name)) => {
                Err((format!("`{name}` twice"), "the names of the outputs in their order, each once".into()))
            }
            None => Ok(()),
        }
    }

    /// Whether it names every class; a single output may have the name of one of its two alone.
    pub fn names_all_classes(&self) -> bool {
        !self.class_names.is_empty() && (self.classes() != 1 || self.class_names.len() != 1)
    }

    /// What is said of names that are as many as other outputs would be.
    pub(super) fn other_count(key: &str, names: usize, outputs: usize) -> String {
        format!(
            "the {names} names in {key} are left aside: the model has {outputs} outputs; `classes` of the [[model]] names them"
        )
    }

    /// Whether the input scaling fits: a value for all, for each channel or for each value, and none that changes whole numbers or tokens.
    pub(crate) fn check_scaling(&self) -> Result<(), Misfit> {
        let Some(scaling) = &self.input_scaling else { return Ok(()) };
        let sample: usize = self.model_shape().iter().product();
        let channels = self.model_shape().last().copied().unwrap_or(1);
        for (key, values, neutral) in [("mean", &scaling.mean, 0.0), ("std", &scaling.std, 1.0)] {
            if ![1, channels, sample].contains(&values.len()) {
                let found = format!("{} numbers", values.len());
                return Err((key.into(), found, format!("1, {channels} or {sample} of them")));
            }
            if let Some(bad) = values.iter().find(|v| !v.is_finite() || (key == "std" && **v <= 0.0)) {
                let expected = if key == "std" { "positive numbers" } else { "finite numbers" };
                return Err((key.into(), bad.to_string(), expected.into()));
            }
            for input in self.scaled_inputs().iter().filter(|input| input.kind != InputKind::Numbers) {
                let changed = input.range.clone().map(|at| values[at % values.len()]).find(|v| *v != neutral);
                if let Some(value) = changed {
                    let expected =
                        format!("{neutral} for {}, whose whole numbers stay as they are", input.name);
                    return Err((key.into(), value.to_string(), expected));
                }
            }
        }
        Ok(())
    }

    /// The inputs that an input scaling reaches: all, but for a text beside an image.
    fn scaled_inputs(&self) -> Vec<Input> {
        if self.prompts().is_some() { Vec::new() } else { self.inputs() }
    }

    /// The shape of one sample, channels last.
    pub fn input_shape(&self) -> Vec<usize> {
        match self.prompts() {
            Some(prompts) => vec![self.values_shape().iter().product::<usize>() + prompts.len()],
            None => self.values_shape(),
        }
    }

    /// The prompts that are part of a sample, of an image-text model whose words are open to an adversary.
    pub fn prompts(&self) -> Option<&Prompts> {
        match &self.architecture {
            Architecture::Clip(clip) => clip.prompts(),
            _ => None,
        }
    }

    /// The shape of a sample without the prompts that may be part of it.
    pub fn values_shape(&self) -> Vec<usize> {
        match &self.samples {
            Some(samples) => samples.shape.to_vec(),
            None => self.model_shape(),
        }
    }

    /// The shape of what the architecture takes, to which samples of another shape are brought.
    pub fn model_shape(&self) -> Vec<usize> {
        match &self.architecture {
            Architecture::Mlp(mlp) => vec![mlp.inputs],
            Architecture::Cnn(cnn) => cnn.input.to_vec(),
            Architecture::Resnet(resnet) => resnet.input.to_vec(),
            Architecture::Resnet1d(resnet) => vec![1, resnet.length, resnet.in_channels],
            Architecture::Iseeu(_) => iseeu::INPUT_SHAPE.to_vec(),
            Architecture::Densenet(net) => net.input.to_vec(),
            Architecture::Efficientnet(net) => net.input.to_vec(),
            Architecture::Convnext(net) => net.input.to_vec(),
            Architecture::Vit(vit) => vit.input.to_vec(),
            Architecture::Gru(net) | Architecture::Lstm(net) => net.input.to_vec(),
            Architecture::Clip(clip) => vec![clip.image.size[0], clip.image.size[1], 3],
            Architecture::Bert(bert) => vec![bert.bert.positions],
            Architecture::Onnx(onnx) => onnx.network.input_shape.clone(),
        }
    }

    /// The model's inputs, in the order in which a sample holds their values.
    pub fn inputs(&self) -> Vec<Input> {
        if let Architecture::Onnx(onnx) = &self.architecture {
            return onnx.network.inputs.clone();
        }
        let shape = self.values_shape();
        let range = 0..shape.iter().product();
        let Some(prompts) = self.prompts() else {
            let (name, kind) = match &self.architecture {
                Architecture::Bert(bert) if bert.words.is_some() => ("input_ids", InputKind::Tokens),
                Architecture::Bert(_) => ("input_ids", InputKind::Whole),
                _ => ("input", InputKind::Numbers),
            };
            return vec![Input { name: name.into(), shape, range, kind }];
        };
        let text = range.end..range.end + prompts.len();
        vec![
            Input { name: "image".into(), shape, range, kind: InputKind::Numbers },
            Input { name: "text".into(), shape: vec![prompts.len()], range: text, kind: InputKind::Tokens },
        ]
    }

    /// Whether the weights are those of a network that another ecosystem trains, and no training of percuss's is recorded: what its samples
    /// went through before, the weights do not say.
    pub fn is_of_others(&self) -> bool {
        let of_others = matches!(
            self.architecture,
            Architecture::Resnet(_)
                | Architecture::Densenet(_)
                | Architecture::Efficientnet(_)
                | Architecture::Convnext(_)
                | Architecture::Vit(_)
                | Architecture::Clip(_)
        );
        of_others && self.training.is_none()
    }

    /// How the model's own file lays out each of its inputs, in their order; empty where no file of a network says so.
    pub fn file_axes(&self) -> &[FileAxes] {
        match &self.architecture {
            Architecture::Onnx(onnx) => &onnx.network.axes,
            _ => &[],
        }
    }

    /// Whether the model takes samples of this shape: its own, or any of as many values where its input is flat. A network from an ONNX file
    /// also takes its own shape without axes of length 1, or with more of them.
    pub fn takes(&self, shape: &[usize]) -> bool {
        let own = self.input_shape();
        let long = |shape: &[usize]| shape.iter().copied().filter(|&size| size != 1).collect::<Vec<usize>>();
        let alike = matches!(self.architecture, Architecture::Onnx(_)) && long(&own) == long(shape);
        own == shape || alike || (own.len() == 1 && own[0] == shape.iter().product::<usize>())
    }

    /// Number of outputs.
    pub fn classes(&self) -> usize {
        match &self.architecture {
            Architecture::Mlp(mlp) => mlp.classes,
            Architecture::Cnn(cnn) => cnn.classes,
            Architecture::Resnet(resnet) => resnet.classes,
            Architecture::Resnet1d(resnet) => resnet.classes,
            Architecture::Iseeu(_) => 1,
            Architecture::Densenet(net) => net.classes,
            Architecture::Efficientnet(net) => net.classes,
            Architecture::Convnext(net) => net.classes,
            Architecture::Vit(vit) => vit.classes,
            Architecture::Gru(net) | Architecture::Lstm(net) => net.classes,
            Architecture::Clip(clip) => clip.classes(),
            Architecture::Bert(bert) => bert.classes,
            Architecture::Onnx(onnx) => onnx.network.classes,
        }
    }

    /// Builds the model on `x` (`[.., sample shape]`): its logits `[.., classes]`.
    pub fn forward(&self, net: &mut Net, x: Tensor) -> Tensor {
        if let (Architecture::Clip(clip), Some(prompts)) = (&self.architecture, self.prompts()) {
            let shape = self.values_shape();
            let pixels = shape.iter().product();
            let image = net.graph.slice(x, 0, 0..pixels);
            let image = net.graph.reshape(image, &shape);
            let ids = net.graph.slice(x, 0, pixels..pixels + prompts.len());
            let image = self.prepare(net, image);
            return clip.forward_prompts(net, image, ids, prompts);
        }
        let x = self.prepare(net, x);
        match &self.architecture {
            Architecture::Mlp(mlp) => mlp.forward(net, x),
            Architecture::Cnn(cnn) => cnn.forward(net, x),
            Architecture::Resnet(resnet) => resnet.forward(net, x),
            Architecture::Resnet1d(resnet) => resnet.forward(net, x),
            Architecture::Iseeu(iseeu) => iseeu.forward(net, x),
            Architecture::Densenet(densenet) => densenet.forward(net, x),
            Architecture::Efficientnet(efficientnet) => efficientnet.forward(net, x),
            Architecture::Convnext(convnext) => convnext.forward(net, x),
            Architecture::Vit(vit) => vit.forward(net, x),
            Architecture::Gru(recurrent) => recurrent.forward(net, x, Cell::Gru),
            Architecture::Lstm(recurrent) => recurrent.forward(net, x, Cell::Lstm),
            Architecture::Clip(clip) => clip.forward(net, x),
            Architecture::Bert(bert) => bert.forward(net, x),
            Architecture::Onnx(onnx) => {
                let found = onnx.forward(net.graph, x);
                found.features.into_iter().for_each(|features| net.reads(features));
                found.norm.into_iter().for_each(|norm| net.norms(norm));
                found.logits
            }
        }
    }

    /// What the architecture takes of x `[.., sample shape]`: resized and scaled.
    pub fn prepare(&self, net: &mut Net, x: Tensor) -> Tensor {
        let x = match &self.samples {
            Some(samples) => samples.forward(net.graph, x, &self.model_shape()),
            None => x,
        };
        match &self.input_scaling {
            Some(scaling) => net.scale_input(x, scaling),
            None => x,
        }
    }
}

/// A wrong value in a configuration: place, found, expected.
pub(crate) type Misfit = (String, String, String);

/// Values of a sample at most.
const SAMPLE: usize = 1 << 27;
/// Layers, or blocks of them, one after the other at most.
const LAYERS: usize = 1000;

/// Numbers of layers one after the other, in parts: each at least 1, and not too many of them.
pub(crate) fn stacked(place: &str, parts: &[usize]) -> Result<(), Misfit> {
    let sum = parts.iter().fold(0usize, |sum, &part| sum.saturating_add(part));
    match parts.iter().position(|&part| part == 0) {
        Some(at) => Err((format!("{place}[{at}]"), "0".into(), "at least 1".into())),
        None if sum > LAYERS => Err((place.into(), sum.to_string(), format!("at most {LAYERS} layers"))),
        None => Ok(()),
    }
}

/// A value that must be at least 1.
pub(crate) fn positive(place: &str, value: usize) -> Result<(), Misfit> {
    match value {
        1..=1_000_000 => Ok(()),
        _ => Err((place.into(), value.to_string(), "a whole number from 1 to 1000000".into())),
    }
}

/// `1 name`, `2 names`.
pub(crate) fn counted(names: usize) -> String {
    if names == 1 { "1 name".into() } else { format!("{names} names") }
}
