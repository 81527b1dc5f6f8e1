//! Images made larger by whole factors.

use std::sync::Arc;

use percuss_kernels::ops::Binary;

use super::{Graph, NodeOp, Shape, Tensor};

/// How [`Graph::upsample`] fills the pixels between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Upsample {
    /// The pixel whose square it lies in.
    Nearest,
    /// Between the centres of the four pixels around; beyond the outermost centres, the outermost pixel.
    Bilinear,
}

impl Graph {
    /// Makes x `[.., height, width, channels]` larger by whole factors, vertical and horizontal. Corners are pixels' corners, not their
    /// centres (PyTorch's `align_corners=False`).
    pub fn upsample(&mut self, x: Tensor, factors: [usize; 2], kind: Upsample) -> Tensor {
        let dims = self.dims(x).to_vec();
        let rank = dims.len();
        let lead: usize = dims[..rank - 3].iter().product();
        let [height, width, channels] = [dims[rank - 3], dims[rank - 2], dims[rank - 1]];
        let rows = self.stretch(x, [lead, height, width * channels], factors[0], kind);
        let tall = height * factors[0];
        let columns = self.stretch(rows, [lead * tall, width, channels], factors[1], kind);
        self.reshape(columns, &[&dims[..rank - 3], &[tall, width * factors[1], channels]].concat())
    }

    /// Makes the middle axis of `[outer, len, inner]` longer.
    fn stretch(
        &mut self,
        x: Tensor,
        [outer, len, inner]: [usize; 3],
        factor: usize,
        kind: Upsample,
    ) -> Tensor {
        if factor == 1 {
            return self.reshape(x, &[outer, len, inner]);
        }
        match kind {
            Upsample::Nearest => {
                let pixels = self.reshape(x, &[outer * len, 1, inner]);
                let shape = Shape { lane: self.shape(x).lane, dims: vec![outer * len, factor, inner] };
                // x + 0 broadcast to the full shape.
                let zero = self.scalar(0.0);
                self.push(NodeOp::Binary(Binary::Add), &[pixels, zero], shape)
            }
            Upsample::Bilinear => {
                let weights = self.constant(&Arc::new(bilinear(len, factor)), &[len * factor, len]);
                let x = self.reshape(x, &[outer, len, inner]);
                self.matmul(weights, false, x, false)
            }
        }
    }
}

/// The matrix `[len * factor, len]` of linear interpolation along one axis.
fn bilinear(len: usize, factor: usize) -> Vec<f32> {
    let mut weights = vec![0.0; len * factor * len];
    for (to, row) in weights.chunks_exact_mut(len).enumerate() {
        let from = ((to as f64 + 0.5) / factor as f64 - 0.5).max(0.0);
        let (low, share) = (from.floor() as usize, from.fract());
        row[low] += (1.0 - share) as f32;
        row[(low + 1).min(len - 1)] += share as f32;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_matrix_lies_between_two_pixels() {
        assert_eq!(bilinear(2, 2), [1.0, 0.0, 0.75, 0.25, 0.25, 0.75, 0.0, 1.0]);
        assert_eq!(bilinear(1, 3), [1.0; 3]);
    }
}
