//! The layers of transformers: attention over several heads, embeddings, normalised features.

use percuss_kernels::ops::{Attention, Mask, Unary};

use super::{Graph, NodeOp, Shape, Tensor};

impl Graph {
    /// Scaled dot-product attention over several heads (Vaswani et al. 2017, section 3.2): `softmax(scale q k^T + mask) v`.
    ///
    /// q `[.., queries, heads, d]`, k and v `[.., keys, heads, d]`: what a linear layer gives, reshaped. The result has q's shape. The mask is
    /// added to the scores of all heads: `[queries, keys]` or `[1, keys]` for all images, or with q's leading axes before that. A forbidden
    /// pair has a large negative, finite number there. Heads of more than [`Attention::MOST`] features keep their scores in memory whole; of
    /// smaller ones the mask has no gradient: asking for one panics, as second derivatives do.
    pub fn attention(&mut self, q: Tensor, k: Tensor, v: Tensor, mask: Option<Tensor>, scale: f32) -> Tensor {
        let dims = self.dims(q).to_vec();
        let lead = dims.len() - 3;
        let [queries, heads, size] = [dims[lead], dims[lead + 1], dims[lead + 2]];
        let keys = self.dims(k)[lead];
        let of_keys = [&dims[..lead], &[keys, heads, size]].concat();
        for x in [k, v] {
            assert_eq!(self.dims(x), of_keys, "keys and values beside queries of {dims:?}");
        }
        if size > Attention::MOST {
            return self.attention_in_products([q, k, v], mask, scale);
        }
        let lane = [Some(q), Some(k), Some(v), mask].iter().flatten().any(|&x| self.shape(x).lane);
        let mut layout = None;
        if let Some(mask) = mask {
            let own = self.dims(mask);
            let (before, [rows, columns]) = (own.len() - 2, [own[own.len() - 2], own[own.len() - 1]]);
            let fits = (before == 0 || own[..before] == dims[..lead]) && columns == keys;
            assert!(
                fits && (rows == 1 || rows == queries),
                "a mask {own:?} for {queries} queries, {keys} keys"
            );
            layout = Some(Mask { count: own[..before].iter().product(), rows: rows > 1 });
        }
        let mut inputs = vec![q, k, v];
        inputs.extend(mask);
        if lane {
            self.attend_in_lanes(&mut inputs, layout, 3);
        }
        let images = dims[..lead].iter().product();
        let spec = Attention { images, queries, keys, heads, size, scale, mask: layout };
        self.push(NodeOp::Attention(spec), &inputs, Shape { lane, dims })
    }

    /// Attention as two products with a softmax between them.
    fn attention_in_products(&mut self, tokens: [Tensor; 3], mask: Option<Tensor>, scale: f32) -> Tensor {
        let rank = self.dims(tokens[0]).len();
        // Heads before tokens, and back.
        let mut turned: Vec<usize> = (0..rank).collect();
        turned.swap(rank - 3, rank - 2);
        let lane = tokens.iter().any(|&x| self.shape(x).lane);
        let [q, k, v] = tokens.map(|x| {
            let x = if lane { self.in_lanes(x) } else { x };
            self.permute(x, &turned, &vec![false; rank])
        });
        let scores = self.matmul(q, false, k, true);
        let mut scores = self.scale(scores, scale);
        if let Some(mask) = mask {
            let mut dims = self.dims(mask).to_vec();
            dims.insert(dims.len() - 2, 1);
            let mask = self.reshape(mask, &dims);
            scores = self.add(scores, mask);
        }
        let weights = self.softmax(scores, false);
        let seen = self.matmul(weights, false, v, false);
        self.permute(seen, &turned, &vec![false; rank])
    }

    /// Gives all operands of an attention lanes, but for a mask (the one after `tokens` others) that all images share: lanes are the outermost
    /// axis of images.
    fn attend_in_lanes(&mut self, operands: &mut [Tensor], mask: Option<Mask>, tokens: usize) {
        for (i, operand) in operands.iter_mut().enumerate() {
            if i < tokens || mask.is_some_and(|mask| mask.count > 1) {
                *operand = self.in_lanes(*operand);
            }
        }
    }

    /// The gradients of an attention y to its q, k and v, from the gradient g of y.
    pub(super) fn attention_gradient(&mut self, y: Tensor, spec: Attention, g: Tensor) -> [Tensor; 3] {
        let inputs = self.nodes[y.0].inputs.clone();
        let row = [&self.dims(y)[..self.dims(y).len() - 1], &[2]].concat();
        let statistics = Shape { lane: self.shape(y).lane, dims: row };
        let statistics = self.push(NodeOp::Part(1), &[y], statistics);
        let [q, k, v] = [inputs[0], inputs[1], inputs[2]];
        let g = self.unbroadcast(g, y);
        let mut operands = [&[q, k, v, y, statistics, g], &inputs[3..]].concat();
        if self.shape(g).lane {
            self.attend_in_lanes(&mut operands, spec.mask, 6);
        }
        let shape = self.shape(g).clone();
        let dq = self.push(NodeOp::AttentionGrad(spec), &operands, shape);
        let [dk, dv] = [(1, k), (2, v)].map(|(part, of)| {
            let shape = self.shape_of_gradient(of, g);
            self.push(NodeOp::Part(part), &[dq], shape)
        });
        [dq, dk, dv]
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
