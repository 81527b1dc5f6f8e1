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
}

/// How a network's file lays out an input, without its batch axis: the layout that arrays made for that file have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileAxes {
    /// Lengths of the axes as the file has them: `[channels, height, width]` of PyTorch's images.
    pub shape: Vec<usize>,
    /// The file's axes in the order in which an [`Input`]'s values lie: `[1, 2, 0]` makes channels last of those.
    pub order: Vec<usize>,
}

impl FileAxes {
    /// Whether the values of an input lie as in the file.
    pub fn is_same(&self) -> bool {
        let long = self.order.iter().filter(|&&axis| self.shape[axis] != 1);
        long.is_sorted()
    }

    /// The values of an [`Input`] from those of one array as the file has them (as many as `shape` says).
    pub fn arranged(&self, values: &[f32]) -> Vec<f32> {
        let mut strides = vec![1; self.shape.len()];
        for axis in (1..self.shape.len()).rev() {
            strides[axis - 1] = strides[axis] * self.shape[axis];
        }
        let mut places = vec![0];
        for &axis in &self.order {
            let steps = (0..self.shape[axis]).map(|i| i * strides[axis]);
            places = places.iter().flat_map(|&at| steps.clone().map(move |step| at + step)).collect();
        }
        places.into_iter().map(|at: usize| values[at]).collect()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_first_become_last() {
        let axes = FileAxes { shape: vec![2, 2, 3], order: vec![1, 2, 0] };
        assert!(!axes.is_same());
        let values: Vec<f32> = (0..12u8).map(f32::from).collect();
        assert_eq!(axes.arranged(&values), [0., 6., 1., 7., 2., 8., 3., 9., 4., 10., 5., 11.]);
        let one = FileAxes { shape: vec![1, 2, 6], order: vec![1, 2, 0] };
        assert!(one.is_same());
        assert_eq!(one.arranged(&values), values);
    }
}
