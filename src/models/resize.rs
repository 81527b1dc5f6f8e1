//! Samples that are not of the size or the channels that a model takes: resized and copied to colour inside the attacked graph.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::config::Misfit;
use crate::graph::{Graph, Shape, Tensor};
use crate::resampling::{self, Filter, Fit, Resampling};

/// The samples that a model is attacked on, and how they become its input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Samples {
    /// Height, width, channels of a sample.
    pub shape: [usize; 3],
    /// How pixels are interpolated.
    #[serde(default)]
    pub filter: Filter,
    /// What becomes of another ratio of the sides.
    #[serde(default)]
    pub fit: Fit,
}

impl Samples {
    /// Whether samples can become a model's input of shape `to`.
    pub(crate) fn check(&self, to: &[usize]) -> Result<(), Misfit> {
        let &[_, _, channels] = to else {
            let found = format!("samples of shape {:?} for an input of shape {to:?}", self.shape);
            return Err(("samples".into(), found, "a model of images".into()));
        };
        if (to[0] == 1) != (self.shape[0] == 1) {
            let expected = format!(
                "height 1, as signals have it, beside {channels} channels; leads are channels, not rows of an image"
            );
            let expected = if to[0] == 1 { expected } else { "images, which have more rows than one".into() };
            return Err((
                "samples.shape".into(),
                format!("{:?} for an input of shape {to:?}", self.shape),
                expected,
            ));
        }
        let sides = self.shape[..2].iter().all(|&side| (1..=8192).contains(&side));
        if !sides || ![1, channels].contains(&self.shape[2]) {
            let expected = match channels {
                1 => "sides from 1 to 8192 and 1 channel".to_string(),
                _ => format!("sides from 1 to 8192 and 1 or {channels} channels"),
            };
            return Err(("samples.shape".into(), format!("{:?}", self.shape), expected));
        }
        Ok(())
    }

    /// Samples x `[.., height, width, channels]` as images of shape `to`, `[.., height, width, channels]`.
    pub fn forward(&self, graph: &mut Graph, x: Tensor, to: &[usize]) -> Tensor {
        let [height, width, channels] = self.shape;
        let dims = graph.dims(x).to_vec();
        let lead = dims[..dims.len() - 3].to_vec();
        let from = [height, width];
        let [rows, columns] = resampling::matrices(self.filter, self.fit, from, [to[0], to[1]]);
        // Rows first, so that the other product is over the last axis wherever there is one channel.
        let x = graph.reshape(x, &[&lead[..], &[height, width * channels]].concat());
        let x = rows.apply(graph, x);
        let x = if channels == 1 {
            let matrix = columns.constant(graph);
            graph.matmul(x, false, matrix, true)
        } else {
            let x = graph.reshape(x, &[&lead[..], &[to[0], width, channels]].concat());
            columns.apply(graph, x)
        };
        let x = graph.reshape(x, &[&lead[..], &[to[0], to[1], channels]].concat());
        if channels == to[2] {
            return x;
        }
        let shape = Shape { lane: graph.shape(x).lane, dims: [&lead[..], to].concat() };
        let zeros = graph.zeros(shape);
        graph.add(x, zeros)
    }
}

impl Resampling {
    fn constant(&self, graph: &mut Graph) -> Tensor {
        graph.constant(&Arc::new(self.weights.clone()), &[self.to, self.from])
    }

    /// Along the last axis but one: `[.., from, inner]` to `[.., to, inner]`.
    fn apply(&self, graph: &mut Graph, x: Tensor) -> Tensor {
        let matrix = self.constant(graph);
        graph.matmul(matrix, false, x, false)
    }
}
