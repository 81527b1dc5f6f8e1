//! Image-text models: two towers into one space (CLIP, Radford et al. 2021), and classifiers made of them by prompts.

mod classes;
mod image;
mod projection;
mod prompt;
mod text;

use serde::{Deserialize, Serialize};

pub use image::{ImageNames, ImagePool, ImageTower};
pub use projection::Projection;
pub use prompt::Prompts;
pub use text::{BertPooler, BertText, CausalText, Encoded, EndOfText, TextNames, TextTower};

use super::config::{Misfit, positive};
use super::net::{Net, Role};
use super::words::OpenWords;
use crate::graph::Tensor;

/// The rows of a zero-shot classifier, made of the prompts: its name among a model's tensors.
pub(super) const CLASSES: &str = "zero_shot.weight";

/// Smallest length that features are divided by (PyTorch's `normalize`).
const SHORTEST: f32 = 1e-12;

/// An image-text model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// Values of a feature that images and texts share.
    pub features: usize,
    /// The image's side.
    pub image: ImageTower,
    /// The text's side.
    pub text: TextTower,
    /// PyTorch's shape of `logit_scale`: none or one axis.
    #[serde(default)]
    pub scale_shape: Vec<usize>,
    /// Whether a `logit_bias` is added (SigLIP, Zhai et al. 2023).
    #[serde(default)]
    pub bias: bool,
    /// The classes, once there are some; then the text's side is no longer part of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_shot: Option<ZeroShot>,
}

/// Classes in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZeroShot {
    /// In the order of the logits.
    pub classes: Vec<ClassPrompts>,
    /// The row of the classifier that each class has, where that is another order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<usize>,
    /// What an adversary may do to the prompts' words, if they are part of the sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<OpenWords>,
    /// The prompts as part of the sample, once they have been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Prompts>,
}

/// What one class is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassPrompts {
    /// Its name.
    pub name: String,
    /// Its prompts, templates filled in.
    pub prompts: Vec<String>,
}

impl ZeroShot {
    /// Classes by name with their texts, each put into every template at `{}`.
    pub fn new<S: AsRef<str>>(classes: &[(String, Vec<String>)], templates: &[S]) -> Self {
        let fill = |text: &String| -> Vec<String> {
            templates.iter().map(|template| template.as_ref().replace("{}", text)).collect()
        };
        let class = |(name, texts): &(String, Vec<String>)| ClassPrompts {
            name: name.clone(),
            prompts: texts.iter().flat_map(fill).collect(),
        };
        Self { classes: classes.iter().map(class).collect(), order: Vec::new(), words: None, prompts: None }
    }

    /// The names, in the order of the logits.
    pub fn names(&self) -> Vec<String> {
        self.classes.iter().map(|class| class.name.clone()).collect()
    }

    /// The same classes in the order of `names`, if those are their names.
    pub fn ordered_as(&self, names: &[String]) -> Option<Self> {
        let place = |name: &String| self.classes.iter().position(|class| class.name == *name);
        let places: Vec<usize> = names.iter().map(place).collect::<Option<_>>()?;
        let mut sorted = places.clone();
        sorted.sort_unstable();
        if sorted != (0..self.classes.len()).collect::<Vec<_>>() {
            return None;
        }
        let row = |&place: &usize| self.order.get(place).copied().unwrap_or(place);
        Some(Self {
            classes: places.iter().map(|&place| self.classes[place].clone()).collect(),
            order: places.iter().map(row).collect(),
            ..self.clone()
        })
    }
}

impl Clip {
    pub(super) fn check(&self) -> Result<(), Misfit> {
        positive("features", self.features)?;
        self.image.check("image", self.features)?;
        self.text.check("text", self.features)?;
        if !matches!(self.scale_shape[..], [] | [1]) {
            let found = format!("{:?}", self.scale_shape);
            return Err(("scale_shape".into(), found, "[] or [1]".into()));
        }
        let Some(zero_shot) = &self.zero_shot else { return Ok(()) };
        let classes = zero_shot.classes.len();
        positive("zero_shot.classes", classes)?;
        if !zero_shot.order.is_empty() && zero_shot.order.len() != classes
            || zero_shot.order.iter().any(|&row| row >= classes)
        {
            let found = format!("{:?}", zero_shot.order);
            return Err(("zero_shot.order".into(), found, format!("{classes} rows below {classes}")));
        }
        Ok(())
    }

    /// Number of classes; 1 without prompts, where only the empty text is compared with.
    pub(super) fn classes(&self) -> usize {
        self.zero_shot.as_ref().map_or(1, |zero_shot| zero_shot.classes.len())
    }

    /// Logits `[.., classes]` of images in the model's own scaling: the cosine with each class, in the model's own scale.
    ///
    /// Without prompts it compares with a text of one token, so that every tensor of both sides is asked for.
    pub(super) fn forward(&self, net: &mut Net, x: Tensor) -> Tensor {
        let image = self.image_features(net, x);
        let Some(zero_shot) = &self.zero_shot else {
            let text = self.smallest_text(net);
            return self.logits(net, image, text);
        };
        let image = net.graph.l2_normalize(image, SHORTEST);
        net.reads(image);
        let classes = zero_shot.classes.len();
        let mut rows = net.tensor(CLASSES, &[classes, self.features], Role::Linear, self.features);
        if !zero_shot.order.is_empty() {
            let order = zero_shot.order.iter().map(|&row| row as f32).collect();
            let order = net.graph.constant(&std::sync::Arc::new(order), &[classes]);
            rows = net.graph.embed(rows, order);
        }
        let cosine = net.graph.matmul(image, false, rows, true);
        self.scaled(net, cosine)
    }

    /// The prompts, if they are part of the sample.
    pub fn prompts(&self) -> Option<&Prompts> {
        self.zero_shot.as_ref()?.prompts.as_ref()
    }

    /// Image features `[.., features]` of x `[.., height, width, 3]`, not normalised.
    pub fn image_features(&self, net: &mut Net, x: Tensor) -> Tensor {
        self.image.forward(net, x, self.features)
    }

    /// The table of word embeddings `[vocabulary, width]`.
    pub fn word_table(&self, net: &mut Net) -> Tensor {
        self.text.table(net)
    }

    /// Text features `[.., features]`, not normalised, of word embeddings `[.., tokens, width]`: rows of [`Self::word_table`], or whatever
    /// stands in their place. `attended` and `pooled` `[.., tokens]` are those of [`TextTower::encoded`] or [`TextTower::places`]; with or without
    /// lanes.
    pub fn text_features(&self, net: &mut Net, words: Tensor, attended: Tensor, pooled: Tensor) -> Tensor {
        self.text.forward(net, words, attended, pooled, self.features)
    }

    /// Logits `[.., texts]` of image features `[.., features]` against text features `[texts, features]`, neither of them normalised; the
    /// texts may be each lane's own.
    pub fn logits(&self, net: &mut Net, image: Tensor, texts: Tensor) -> Tensor {
        let image = net.graph.l2_normalize(image, SHORTEST);
        let texts = net.graph.l2_normalize(texts, SHORTEST);
        if !net.graph.shape(texts).lane {
            let cosine = net.graph.matmul(image, false, texts, true);
            return self.scaled(net, cosine);
        }
        let dims = net.graph.dims(image).to_vec();
        let rows: usize = dims[..dims.len() - 1].iter().product();
        let count = net.graph.dims(texts)[0];
        let image = net.graph.reshape(image, &[rows, self.features]);
        let cosine = net.graph.matmul(image, false, texts, true);
        let cosine = net.graph.reshape(cosine, &[&dims[..dims.len() - 1], &[count]].concat());
        self.scaled(net, cosine)
    }

    /// `e^logit_scale cosine + logit_bias`
    fn scaled(&self, net: &mut Net, cosine: Tensor) -> Tensor {
        let scale = net.tensor("logit_scale", &self.scale_shape, Role::Scale, 1);
        let factor = net.graph.unary(percuss_kernels::ops::Unary::Exp, scale);
        let logits = net.graph.mul(cosine, factor);
        if !self.bias {
            return logits;
        }
        let bias = net.tensor("logit_bias", &self.scale_shape, Role::Bias, 1);
        net.graph.add(logits, bias)
    }

    /// Features `[1, features]` of the first token of the vocabulary.
    fn smallest_text(&self, net: &mut Net) -> Tensor {
        let [zero, one] =
            [0.0, 1.0].map(|value| net.graph.constant(&std::sync::Arc::new(vec![value]), &[1, 1]));
        let table = self.word_table(net);
        let words = net.graph.embed(table, zero);
        self.text_features(net, words, one, one)
    }
}
