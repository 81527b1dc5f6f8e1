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
                let at = (0..len * factor).map(|to| (to as f64 + 0.5) / factor as f64 - 0.5);
                let weights = self.constant(&Arc::new(interpolation(len, at)), &[len * factor, len]);
                let x = self.reshape(x, &[outer, len, inner]);
                self.matmul(weights, false, x, false)
            }
        }
    }
}

/// The matrix `[positions, len]` of linear interpolation at these positions of an axis; beyond its ends lie its outermost values.
pub(crate) fn interpolation(len: usize, at: impl ExactSizeIterator<Item = f64>) -> Vec<f32> {
    let mut weights = vec![0.0; at.len() * len];
    for (row, at) in weights.chunks_exact_mut(len).zip(at) {
        let at = at.clamp(0.0, (len - 1) as f64);
        let (low, share) = (at.floor() as usize, at.fract());
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
        assert_eq!(
            interpolation(2, [-0.25, 0.25, 0.75, 1.25].into_iter()),
            [1.0, 0.0, 0.75, 0.25, 0.25, 0.75, 0.0, 1.0]
        );
        assert_eq!(interpolation(1, [-0.4, 0.0, 0.4].into_iter()), [1.0; 3]);
    }
}
