//! The layers of transformers: attention over several heads, embeddings, normalised features.

use percuss_kernels::ops::Unary;

use super::{Graph, Tensor};

impl Graph {
    /// Scaled dot-product attention over several heads (Vaswani et al. 2017, section 3.2): `softmax(scale q k^T + mask) v`.
    ///
    /// q `[.., queries, heads, d]`, k and v `[.., keys, heads, d]`: what a linear layer gives, reshaped. The result has q's shape. The mask is
    /// added to the scores of all heads: `[queries, keys]` or `[1, keys]` for all images, or with q's leading axes before that. A forbidden
    /// pair has a large negative, finite number there. The mask has no gradient.
    pub fn attention(&mut self, q: Tensor, k: Tensor, v: Tensor, mask: Option<Tensor>, scale: f32) -> Tensor {
        let dims = self.dims(q).to_vec();
        let lead = dims.len() - 3;
        let images: usize = dims[..lead].iter().product();
        let [queries, heads] = [dims[lead], dims[lead + 1]];
        let keys = self.dims(k)[lead];
        let lane = [q, k, v].iter().any(|&x| self.shape(x).lane);
        let [q, k, v] = [q, k, v].map(|x| {
            let x = if lane { self.in_lanes(x) } else { x };
            let dims = self.dims(x).to_vec();
            let flat = self.reshape(x, &[images, dims[lead], dims[lead + 1], dims[lead + 2]]);
            self.permute(flat, &[0, 2, 1, 3], &[false; 4])
        });
        let products = self.matmul(q, false, k, true);
        let mut scores = self.scale(products, scale);
        if let Some(mask) = mask {
            let own = self.dims(mask).to_vec();
            let rank = own.len();
            let [rows, columns] = [own[rank - 2], own[rank - 1]];
            let fits = (rank == 2 || own[..rank - 2] == dims[..lead]) && columns == keys;
            assert!(
                fits && (rows == 1 || rows == queries),
                "a mask {own:?} for {queries} queries, {keys} keys"
            );
            let count = if rank == 2 { 1 } else { images };
            let wide = self.reshape(mask, &[count, 1, rows, columns]);
            scores = self.add(scores, wide);
        }
        let weights = self.softmax(scores, false);
        let mixed = self.matmul(weights, false, v, false);
        let tokens = self.permute(mixed, &[0, 2, 1, 3], &[false; 4]);
        let d = self.dims(v)[3];
        self.reshape(tokens, &[&dims[..lead], &[queries, heads, d]].concat())
    }

    /// `x / max(|x|, epsilon)` with the euclidean length over the last axis; `epsilon` at least 1e-18. The gradient at 0 is 1 / epsilon.
    pub fn l2_normalize(&mut self, x: Tensor, epsilon: f32) -> Tensor {
        let rank = self.dims(x).len();
        let square = self.mul(x, x);
        let sum = self.sum(square, rank - 1..rank);
        let least = self.scalar(epsilon * epsilon);
        // Before the root, whose slope at 0 is infinite.
        let safe = self.max(sum, least);
        let length = self.unary(Unary::Sqrt, safe);
        let length = self.expand(length, 1);
        self.div(x, length)
    }

    /// Rows of a table `[rows, d]` under ids `[..]`, whole numbers as f32: `[.., d]`.
    pub fn embed(&mut self, table: Tensor, ids: Tensor) -> Tensor {
        let dims = self.dims(ids).to_vec();
        let d = self.dims(table)[1];
        let ids = if self.shape(table).lane { self.in_lanes(ids) } else { ids };
        let flat = self.reshape(ids, &[dims.iter().product()]);
        let rows = self.gather(table, flat);
        self.reshape(rows, &[&dims[..], &[d]].concat())
    }
}
