//! A model's inputs: where each lies among a sample's values, and what an adversary may do to a text among them.

use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use crate::graph::Tensor;

/// One input of a model. The values of several lie one after the other in a flat sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its shape in a sample, without the batch axis; images channels last, signals `[1, length, channels]`, texts `[tokens]`.
    pub shape: Vec<usize>,
    /// Where its values are among those of a sample, row-major.
    pub range: Range<usize>,
    /// What its values are.
    pub kind: InputKind,
    /// Whether the model's own file has channels first, where it has an order of its own (ONNX); a sample's shape never has.
    #[serde(skip)]
    pub channels_first: Option<bool>,
}

/// What an input's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// Numbers, which a gradient can change.
    Numbers,
    /// Whole numbers or truth values, which stay as they are.
    Whole,
    /// Numbers of tokens, which are changed word by word.
    Tokens,
}

/// What an adversary may put in the place of a text's words.
#[derive(Clone, Debug, PartialEq)]
pub struct Substitutes {
    /// 1 for the tokens that may be put in, else 0: `[vocabulary]`.
    pub allowed: Arc<Vec<f32>>,
    /// The largest euclidean distance between the embeddings of a word and of what takes its place, if there is one.
    pub distance: Option<f32>,
}

impl Substitutes {
    /// The tokens of these numbers, out of so many.
    pub(super) fn only(numbers: &[u32], vocabulary: usize, distance: Option<f32>) -> Self {
        Self { allowed: Self::marks(numbers, vocabulary), distance }
    }

    /// 1 for the tokens of these numbers, else 0: `[vocabulary]`.
    pub(super) fn marks(numbers: &[u32], vocabulary: usize) -> Arc<Vec<f32>> {
        let mut marks = vec![0.0; vocabulary];
        for &number in numbers {
            if let Some(place) = marks.get_mut(number as usize) {
                *place = 1.0;
            }
        }
        Arc::new(marks)
    }
}

/// Where a text enters the graph.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The embeddings of the text's tokens `[tokens, width]`: what a loss can be differentiated by.
    pub embedded: Tensor,
    /// Those of all tokens `[vocabulary, width]`.
    pub table: Tensor,
    /// What may be put in.
    pub substitutes: Substitutes,
    /// 1 where a token may be replaced, else 0 `[tokens]`; `None` where the sample's bounds say so.
    pub open: Option<Tensor>,
}
