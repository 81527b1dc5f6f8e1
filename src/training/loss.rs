//! What training descends: one number a lane, the mean over the lane's own minibatch.

use std::sync::Arc;

use crate::data::{Dataset, Labels, UNLABELLED};
use crate::graph::{Graph, Shape, Tensor};
use crate::models::{Config, Head};
use crate::{Error, Result};

/// A loss with its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// What the outputs mean.
    pub head: Head,
    /// Softmax heads: a weight for each class. Sigmoid heads: a weight for each finding's positive samples. Empty: all 1.
    pub weights: Vec<f32>,
    /// The share of a label that is spread evenly over all classes, from 0 to below 1 (Szegedy et al. 2016, section 7).
    pub smoothing: f32,
    /// Whether findings may be [`UNLABELLED`]: the mean is then over the entries of a minibatch that are labelled.
    pub unlabelled: bool,
}

/// Class weights as a TRAIN.toml names them.
#[derive(Clone, Debug, PartialEq)]
pub enum ClassWeights {
    /// All 1.
    None,
    /// Inverse to the class's share of the train split, to this power: 1 balances fully, 0.5 half way.
    Balanced(f64),
    /// As given.
    Given(Vec<f32>),
}

impl ClassWeights {
    /// The weights for a train split: `(n / (classes n_class))^power` for classes, `(negatives / positives)^power` for findings.
    /// A class that the split lacks has weight 0.
    pub fn resolve(&self, head: Head, train: &Dataset) -> Vec<f32> {
        let power = match self {
            Self::None => return Vec::new(),
            Self::Given(weights) => return weights.clone(),
            Self::Balanced(power) => *power,
        };
        let ratio =
            |part: usize, whole: f64| if part == 0 { 0.0 } else { (whole / part as f64).powf(power) as f32 };
        let n = train.len();
        match (&train.labels, head) {
            (Labels::Class(labels), Head::Softmax) => {
                let classes = train.classes.len();
                let count = |class: usize| labels.iter().filter(|&&label| label as usize == class).count();
                (0..classes).map(|class| ratio(count(class), n as f64 / classes as f64)).collect()
            }
            (Labels::Class(labels), Head::Sigmoid) => {
                let positives = labels.iter().filter(|&&label| label > 0).count();
                vec![ratio(positives, (n - positives) as f64)]
            }
            (Labels::Findings(labels), _) => {
                let findings = train.classes.len();
                let count = |k: usize, value: u8| {
                    labels.iter().skip(k).step_by(findings).filter(|&&label| label == value).count()
                };
                (0..findings).map(|k| ratio(count(k, 1), count(k, 0) as f64)).collect()
            }
        }
    }
}

impl Loss {
    /// Cross-entropy or binary cross-entropy with all weights 1.
    pub fn plain(head: Head) -> Self {
        Self { head, weights: Vec::new(), smoothing: 0.0, unlabelled: false }
    }

    /// The axes of a lane's labels: `[batch]` class indices, or `[batch, findings]` of 0 and 1.
    pub fn label_dims(&self, batch: usize, outputs: usize) -> Vec<usize> {
        match self.head {
            Head::Softmax => vec![batch],
            Head::Sigmoid => vec![batch, outputs],
        }
    }

    /// The loss of logits `[batch, outputs]` against labels as [`Loss::label_dims`] says: `[]`.
    ///
    /// Softmax: PyTorch's weighted mean, `sum w_y l / sum w_y`; with smoothing, what `F.cross_entropy` computes. Sigmoid: the
    /// mean over samples and findings (over those of them that are labelled), positives times their weight.
    pub fn mean(&self, graph: &mut Graph, logits: Tensor, labels: Tensor) -> Tensor {
        match self.head {
            Head::Softmax => self.softmax(graph, logits, labels),
            Head::Sigmoid => self.sigmoid(graph, logits, labels),
        }
    }

    fn softmax(&self, graph: &mut Graph, logits: Tensor, labels: Tensor) -> Tensor {
        let &[batch, classes] = graph.dims(logits) else { unreachable!("logits are [batch, classes]") };
        let mut each = graph.cross_entropy(logits, labels);
        let weights =
            (!self.weights.is_empty()).then(|| graph.constant(&Arc::new(self.weights.clone()), &[classes]));
        let own = weights.map(|weights| {
            let chosen = graph.one_hot(labels, classes);
            let picked = graph.mul(chosen, weights);
            graph.sum(picked, 1..2)
        });
        if let Some(own) = own {
            each = graph.mul(each, own);
        }
        if self.smoothing > 0.0 {
            let log = graph.softmax(logits, true);
            let log = weights.map_or(log, |weights| graph.mul(log, weights));
            let spread = graph.sum(log, 1..2);
            let spread = graph.scale(spread, -self.smoothing / classes as f32);
            let sharp = graph.scale(each, 1.0 - self.smoothing);
            each = graph.add(sharp, spread);
        }
        let total = graph.sum_lane(each);
        match own {
            Some(own) => {
                let weight = graph.sum_lane(own);
                graph.div(total, weight)
            }
            None => graph.scale(total, 1.0 / batch as f32),
        }
    }

    /// Each logit z is a softmax over the two logits 0 and z, which is stable for large ones and has an exact gradient at 0.
    fn sigmoid(&self, graph: &mut Graph, logits: Tensor, labels: Tensor) -> Tensor {
        let &[batch, findings] = graph.dims(logits) else { unreachable!("logits are [batch, findings]") };
        // An entry without a label is computed as if it were 0, and counts for nothing.
        let labelled = self.unlabelled.then(|| {
            let between = graph.scalar(0.5 * f32::from(UNLABELLED + 1));
            graph.less(labels, between)
        });
        let labels = labelled.map_or(labels, |labelled| graph.mul(labels, labelled));
        let wide = graph.reshape(logits, &[batch, findings, 1]);
        let none = graph.zeros(Shape::lanes(&[batch, findings, 1]));
        let pair = graph.concat(&[none, wide], 2);
        let mut each = graph.cross_entropy(pair, labels);
        if self.smoothing > 0.0 {
            let log = graph.softmax(pair, true);
            let spread = graph.sum(log, 2..3);
            let spread = graph.scale(spread, -0.5 * self.smoothing);
            let sharp = graph.scale(each, 1.0 - self.smoothing);
            each = graph.add(sharp, spread);
        }
        if !self.weights.is_empty() {
            let positive = graph.constant(&Arc::new(self.weights.clone()), &[findings]);
            let one = graph.scalar(1.0);
            let weight = graph.select(labels, positive, one);
            each = graph.mul(each, weight);
        }
        let Some(labelled) = labelled else {
            let total = graph.sum_lane(each);
            return graph.scale(total, 1.0 / (batch * findings) as f32);
        };
        let each = graph.mul(each, labelled);
        let (total, count) = (graph.sum_lane(each), graph.sum_lane(labelled));
        let one = graph.scalar(1.0);
        let count = graph.max(count, one);
        graph.div(total, count)
    }
}

/// Logits `[.., classes]` between which cross-entropy decides: the model's own, or `[0, z]` of a head with one logit z.
pub fn class_logits(graph: &mut Graph, head: Head, logits: Tensor) -> Tensor {
    if head == Head::Softmax {
        return logits;
    }
    let shape = graph.shape(logits).clone();
    let none = graph.zeros(shape);
    let axis = graph.dims(logits).len() - 1;
    graph.concat(&[none, logits], axis)
}

/// # Errors
/// A head of several findings, which `who` has no use for.
pub fn one_class_a_sample(config: &Config, who: &str) -> Result<()> {
    match (config.head, config.classes()) {
        (Head::Softmax, _) | (Head::Sigmoid, 1) => Ok(()),
        (Head::Sigmoid, findings) => {
            Err(Error::input(who, "the model's head", format!("{findings} findings"), "one class a sample"))
        }
    }
}
