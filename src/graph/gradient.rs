//! Reverse-mode gradients: one rule an op. Every op keeps lanes apart, so the gradient of the sum of all lanes' losses is
//! every lane's own gradient.

use std::collections::HashMap;

use percuss_kernels::ops::{Binary, Reduction, Unary};

use super::layers::BatchNorm;
use super::{Graph, NodeOp, Shape, Tensor};

impl Graph {
    /// Gradients of `loss` to each of `wrt`, each in the shape of its tensor.
    ///
    /// `loss` holds one or several values a lane; the gradient is that of their sum. Comparisons, rounding, random numbers and
    /// projections have none (zero). Lanes never mix: the gradient of a tensor that all lanes share has lanes, each with its own.
    pub fn gradients(&mut self, loss: Tensor, wrt: &[Tensor]) -> Vec<Tensor> {
        let needed = self.dependents(wrt, loss);
        let mut gradients: HashMap<Tensor, Tensor> = HashMap::new();
        let seed_shape = self.shape(loss).clone();
        let seed = self.ones(seed_shape);
        gradients.insert(loss, seed);
        for index in (0..=loss.0).rev() {
            let node = Tensor(index);
            if !needed[index] {
                continue;
            }
            let Some(&g) = gradients.get(&node) else { continue };
            if wrt.contains(&node) && self.nodes[index].inputs.iter().all(|input| !needed[input.0]) {
                continue;
            }
            let contributions = match self.norms.get(&node).copied() {
                Some(norm) => self.batch_norm_gradient(norm, node, g, &needed),
                None => self.pull_back(node, g, &needed),
            };
            for (input, contribution) in contributions {
                let total = match gradients.get(&input) {
                    Some(&other) => self.add(other, contribution),
                    None => contribution,
                };
                gradients.insert(input, total);
            }
        }
        wrt.iter()
            .map(|tensor| match gradients.get(tensor) {
                Some(&gradient) => gradient,
                None => {
                    let shape = self.shape_of_gradient(*tensor, loss);
                    self.zeros(shape)
                }
            })
            .collect()
    }

    /// For every node up to `loss`, whether one of `wrt` flows into it.
    fn dependents(&self, wrt: &[Tensor], loss: Tensor) -> Vec<bool> {
        let mut needed = vec![false; loss.0 + 1];
        for index in 0..=loss.0 {
            let inputs = &self.nodes[index].inputs;
            needed[index] = wrt.contains(&Tensor(index)) || inputs.iter().any(|input| needed[input.0]);
        }
        needed
    }

    fn ones(&mut self, shape: Shape) -> Tensor {
        let one = self.scalar(1.0);
        self.push(NodeOp::Unary(Unary::Abs), &[one], shape)
    }

    /// What `node` passes on to each of its inputs that is needed, given the gradient `g` of its value.
    fn pull_back(&mut self, node: Tensor, g: Tensor, needed: &[bool]) -> Vec<(Tensor, Tensor)> {
        let op = self.nodes[node.0].op.clone();
        let inputs = self.nodes[node.0].inputs.clone();
        let wants = |i: usize| needed[inputs[i].0];
        let mut out = Vec::new();
        let mut give = |graph: &mut Self, i: usize, gradient: Tensor| {
            let reduced = graph.unbroadcast(gradient, inputs[i]);
            out.push((inputs[i], reduced));
        };
        match op {
            NodeOp::Constant(_) | NodeOp::State(_) | NodeOp::Scalar(_) | NodeOp::Index(_) => {}
            NodeOp::Random(_)
            | NodeOp::Project(_)
            | NodeOp::Rank { .. }
            | NodeOp::CrossEntropyGrad { .. } => {}
            NodeOp::Unary(function) => {
                if let Some(gradient) = self.unary_gradient(function, inputs[0], node, g) {
                    give(self, 0, gradient);
                }
            }
            NodeOp::Binary(function) => {
                for i in 0..2 {
                    if wants(i)
                        && let Some(gradient) =
                            self.binary_gradient(function, [inputs[0], inputs[1]], i, node, g)
                    {
                        give(self, i, gradient);
                    }
                }
            }
            NodeOp::Select => {
                let zero = self.scalar(0.0);
                if wants(1) {
                    let gradient = self.select(inputs[0], g, zero);
                    give(self, 1, gradient);
                }
                if wants(2) {
                    let gradient = self.select(inputs[0], zero, g);
                    give(self, 2, gradient);
                }
            }
            NodeOp::Reshape => {
                let dims = self.dims(inputs[0]).to_vec();
                let gradient = self.reshape(g, &dims);
                give(self, 0, gradient);
            }
            NodeOp::Part(_) => {
                let gradient = self.variance_gradient(inputs[0], g);
                // The variance's gradient goes straight to the moments' own input.
                let source = self.nodes[inputs[0].0].inputs[0];
                return vec![(source, gradient)];
            }
            NodeOp::Moments { outer, len, inner } => {
                let gradient = self.spread(g, inputs[0], outer, len, inner);
                let gradient = self.scale(gradient, 1.0 / len as f32);
                give(self, 0, gradient);
            }
            NodeOp::Reduce { kind, outer, len, inner } => {
                let gradient = self.reduce_gradient(kind, node, inputs[0], g, [outer, len, inner]);
                give(self, 0, gradient);
            }
            NodeOp::Matmul { a_transposed, b_transposed } => {
                if wants(0) {
                    let gradient = if a_transposed {
                        self.matmul(inputs[1], b_transposed, g, true)
                    } else {
                        self.matmul(g, false, inputs[1], !b_transposed)
                    };
                    give(self, 0, gradient);
                }
                if wants(1) {
                    let gradient = if b_transposed {
                        self.matmul(g, true, inputs[0], a_transposed)
                    } else {
                        self.matmul(inputs[0], !a_transposed, g, false)
                    };
                    give(self, 1, gradient);
                }
            }
            NodeOp::Conv(ref spec) => {
                if wants(0) {
                    let shape = self.shape_of_gradient(inputs[0], g);
                    let gradient = self.push(NodeOp::ConvInputGrad(spec.clone()), &[g, inputs[1]], shape);
                    give(self, 0, gradient);
                }
                if wants(1) {
                    let shape = self.shape_of_gradient(inputs[1], g);
                    let gradient = self.push(NodeOp::ConvWeightGrad(spec.clone()), &[inputs[0], g], shape);
                    give(self, 1, gradient);
                }
            }
            NodeOp::Pool(ref spec) => {
                let shape = self.shape(inputs[0]).clone();
                // An average's gradient does not look at x, which stands in for its shape.
                let gradient = self.push(NodeOp::PoolGrad(spec.clone()), &[inputs[0], g], shape);
                give(self, 0, gradient);
            }
            NodeOp::Softmax { log } => {
                let gradient = self.softmax_gradient(log, node, g);
                give(self, 0, gradient);
            }
            NodeOp::CrossEntropy { odds } => {
                let shape = self.shape(inputs[0]).clone();
                let gradient =
                    self.push(NodeOp::CrossEntropyGrad { odds }, &[inputs[0], inputs[1], g], shape);
                give(self, 0, gradient);
            }
            NodeOp::Gather { rows, inner, count } => {
                if wants(0) {
                    let shape = self.shape_of_gradient(inputs[0], g);
                    let index = if shape.lane { self.in_lanes(inputs[1]) } else { inputs[1] };
                    let gradient = self.push(NodeOp::ScatterAdd { rows, inner, count }, &[g, index], shape);
                    give(self, 0, gradient);
                }
            }
            NodeOp::ScatterAdd { .. } => {
                if wants(0) {
                    let gradient = self.gather(g, inputs[1]);
                    give(self, 0, gradient);
                }
            }
            NodeOp::Permute { axes, flip } => {
                let mut inverse = vec![0; axes.len()];
                axes.iter().enumerate().for_each(|(to, &from)| inverse[from] = to);
                let flip: Vec<bool> = axes.iter().map(|&axis| flip[axis]).collect();
                let gradient = self.permute(g, &inverse, &flip);
                give(self, 0, gradient);
            }
            NodeOp::Concat { outer, parts, inner } => {
                let len: usize = parts.iter().sum();
                let mut start = 0;
                for (i, &count) in parts.iter().enumerate() {
                    if wants(i) {
                        let shape = self.shape(inputs[i]).clone();
                        let op = NodeOp::Slice { outer, len, inner, start, count };
                        let gradient = self.push(op, &[g], shape);
                        give(self, i, gradient);
                    }
                    start += count;
                }
            }
            NodeOp::Slice { outer, len, inner, start, count } => {
                let gradient = self.slice_gradient(inputs[0], g, [outer, len, inner], start, count);
                give(self, 0, gradient);
            }
            // As a layer, a convolution that is transposed.
            NodeOp::ConvInputGrad(ref spec) => {
                if wants(0) {
                    let shape = self.shape_of_gradient(inputs[0], g);
                    let gradient = self.push(NodeOp::Conv(spec.clone()), &[g, inputs[1]], shape);
                    give(self, 0, gradient);
                }
                if wants(1) {
                    let shape = self.shape_of_gradient(inputs[1], g);
                    let gradient = self.push(NodeOp::ConvWeightGrad(spec.clone()), &[g, inputs[0]], shape);
                    give(self, 1, gradient);
                }
            }
            NodeOp::LayerNorm { .. } => {
                let found = self.layer_norm_gradient(node, g, [wants(0), wants(1), wants(2)]);
                for (i, gradient) in found.into_iter().enumerate() {
                    if let Some(gradient) = gradient {
                        give(self, i, gradient);
                    }
                }
            }
            NodeOp::Attention(spec) => {
                // The mask has no gradient, even where it is a part of the sample that stays as it is.
                for (i, gradient) in self.attention_gradient(node, spec, g).into_iter().enumerate() {
                    if wants(i) {
                        give(self, i, gradient);
                    }
                }
            }
            NodeOp::PoolGrad(_)
            | NodeOp::ConvWeightGrad(_)
            | NodeOp::LayerNormGrad
            | NodeOp::AttentionGrad(_) => {
                panic!("second derivatives through {:?} are not part of percuss", self.nodes[node.0].op)
            }
        }
        out
    }

    fn unary_gradient(&mut self, function: Unary, x: Tensor, y: Tensor, g: Tensor) -> Option<Tensor> {
        let factor = match function {
            Unary::Sign | Unary::Floor => return None,
            Unary::Neg => return Some(self.unary(Unary::Neg, g)),
            Unary::Exp => y,
            Unary::Log => return Some(self.div(g, x)),
            Unary::Abs => self.unary(Unary::Sign, x),
            Unary::Sqrt => {
                let half = self.scale(g, 0.5);
                return Some(self.div(half, y));
            }
            Unary::Tanh => {
                let square = self.mul(y, y);
                let one = self.scalar(1.0);
                self.sub(one, square)
            }
            Unary::Sigmoid => {
                let one = self.scalar(1.0);
                let rest = self.sub(one, y);
                self.mul(y, rest)
            }
            Unary::Erf => {
                let square = self.mul(x, x);
                let minus = self.unary(Unary::Neg, square);
                let bell = self.unary(Unary::Exp, minus);
                self.scale(bell, std::f32::consts::FRAC_2_SQRT_PI)
            }
            Unary::Gelu => self.unary(Unary::GeluSlope, x),
            Unary::GeluSlope => panic!("second derivatives through {function:?} are not part of percuss"),
            Unary::Sin => self.unary(Unary::Cos, x),
            Unary::Cos => {
                let sine = self.unary(Unary::Sin, x);
                self.unary(Unary::Neg, sine)
            }
        };
        Some(self.mul(g, factor))
    }

    fn binary_gradient(
        &mut self,
        function: Binary,
        [a, b]: [Tensor; 2],
        i: usize,
        y: Tensor,
        g: Tensor,
    ) -> Option<Tensor> {
        let zero = self.scalar(0.0);
        Some(match (function, i) {
            (Binary::Add, _) | (Binary::Sub, 0) => g,
            (Binary::Sub, _) => self.unary(Unary::Neg, g),
            (Binary::Mul, i) => self.mul(g, [b, a][i]),
            (Binary::Div, 0) => self.div(g, b),
            (Binary::Div, _) => {
                let product = self.mul(g, y);
                let quotient = self.div(product, b);
                self.unary(Unary::Neg, quotient)
            }
            // ReLU: y > 0 exactly where x > 0, and x need not be kept.
            (Binary::Max, 0) if b == zero => {
                let open = self.less(zero, y);
                self.select(open, g, zero)
            }
            // On a tie the gradient goes to the second argument, so a clamp at its bound passes none.
            (Binary::Max, i) => {
                let first = self.less(b, a);
                let (p, q) = if i == 0 { (g, zero) } else { (zero, g) };
                self.select(first, p, q)
            }
            (Binary::Min, i) => {
                let first = self.less(a, b);
                let (p, q) = if i == 0 { (g, zero) } else { (zero, g) };
                self.select(first, p, q)
            }
            (Binary::Less | Binary::LessEqual | Binary::Equal, _) => return None,
        })
    }

    /// All of a batch norm's gradients at once, from two sums over the minibatch of g and of g times the normalised x: the chain rule through
    /// mean and variance, gathered (Ioffe & Szegedy 2015, section 3).
    fn batch_norm_gradient(
        &mut self,
        BatchNorm { x, weight, bias, deviation, unit }: BatchNorm,
        y: Tensor,
        g: Tensor,
        needed: &[bool],
    ) -> Vec<(Tensor, Tensor)> {
        let shape = self.shape(y).clone();
        let g = if *self.shape(g) == shape {
            g
        } else {
            let zero = self.scalar(0.0);
            self.push(NodeOp::Binary(Binary::Add), &[g, zero], shape.clone())
        };
        let axes = 0..shape.dims.len() - 1;
        let count: usize = shape.dims[axes.clone()].iter().product();
        let product = self.mul(g, unit);
        let sums = [self.sum(g, axes.clone()), self.sum(product, axes)];
        let mut out = Vec::new();
        if needed[bias.0] {
            out.push((bias, sums[0]));
        }
        if needed[weight.0] {
            out.push((weight, sums[1]));
        }
        if needed[x.0] {
            let means = sums.map(|sum| self.scale(sum, 1.0 / count as f32));
            let factor = self.div(weight, deviation);
            let centred = self.sub(g, means[0]);
            let along = self.mul(unit, means[1]);
            let rest = self.sub(centred, along);
            out.push((x, self.mul(rest, factor)));
        }
        out
    }

    /// `2 (x - mean) / len * g`, over the axis that `moments` took.
    fn variance_gradient(&mut self, moments: Tensor, g: Tensor) -> Tensor {
        let NodeOp::Moments { outer, len, inner } = self.nodes[moments.0].op else {
            panic!("second derivatives are not part of percuss");
        };
        let x = self.nodes[moments.0].inputs[0];
        let dims = self.dims(x).to_vec();
        let flat = self.reshape(x, &[outer, len, inner]);
        let mean = self.reshape(moments, &[outer, 1, inner]);
        let g = self.reshape(g, &[outer, 1, inner]);
        let centred = self.sub(flat, mean);
        let product = self.mul(centred, g);
        let gradient = self.scale(product, 2.0 / len as f32);
        self.reshape(gradient, &dims)
    }

    /// g `[outer, inner]` repeated along the middle axis, in the shape of `like`.
    fn spread(&mut self, g: Tensor, like: Tensor, outer: usize, len: usize, inner: usize) -> Tensor {
        let shape = self.shape(like).clone();
        let g = self.reshape(g, &[outer, 1, inner]);
        let wide = Shape { lane: shape.lane, dims: vec![outer, len, inner] };
        // x + 0 broadcast to the full shape: an identity that the fuser folds into its consumers.
        let zero = self.scalar(0.0);
        let repeated = self.push(NodeOp::Binary(Binary::Add), &[g, zero], wide);
        self.reshape(repeated, &shape.dims)
    }

    fn reduce_gradient(
        &mut self,
        kind: Reduction,
        y: Tensor,
        x: Tensor,
        g: Tensor,
        [outer, len, inner]: [usize; 3],
    ) -> Tensor {
        if kind == Reduction::Sum {
            return self.spread(g, x, outer, len, inner);
        }
        // Ties share the gradient evenly.
        let dims = self.dims(x).to_vec();
        let flat = self.reshape(x, &[outer, len, inner]);
        let best = self.reshape(y, &[outer, 1, inner]);
        let hit = self.equal(flat, best);
        let count = self.sum(hit, 1..2);
        let count = self.reshape(count, &[outer, 1, inner]);
        let g = self.reshape(g, &[outer, 1, inner]);
        let share = self.div(g, count);
        let gradient = self.mul(hit, share);
        self.reshape(gradient, &dims)
    }

    fn softmax_gradient(&mut self, log: bool, y: Tensor, g: Tensor) -> Tensor {
        let rank = self.dims(y).len();
        let probability = if log { self.unary(Unary::Exp, y) } else { y };
        let weighted = if log { g } else { self.mul(g, y) };
        let total = self.sum(weighted, rank - 1..rank);
        let total = self.expand(total, 1);
        if log {
            let part = self.mul(probability, total);
            self.sub(g, part)
        } else {
            let centred = self.sub(g, total);
            self.mul(centred, probability)
        }
    }

    fn slice_gradient(
        &mut self,
        x: Tensor,
        g: Tensor,
        [outer, len, inner]: [usize; 3],
        start: usize,
        count: usize,
    ) -> Tensor {
        let shape = self.shape(x).clone();
        let g = self.reshape(g, &[outer, count, inner]);
        let mut parts = vec![g];
        if start > 0 {
            let before = self.zeros(Shape { lane: shape.lane, dims: vec![outer, start, inner] });
            parts.insert(0, before);
        }
        if start + count < len {
            let after = self.zeros(Shape { lane: shape.lane, dims: vec![outer, len - start - count, inner] });
            parts.push(after);
        }
        let joined = if parts.len() == 1 { parts[0] } else { self.concat(&parts, 1) };
        self.reshape(joined, &shape.dims)
    }

    /// The shape of a tensor, with lanes if the gradient `g` that comes to it has them.
    pub(super) fn shape_of_gradient(&self, tensor: Tensor, g: Tensor) -> Shape {
        let shape = self.shape(tensor);
        Shape { lane: shape.lane || self.shape(g).lane, dims: shape.dims.clone() }
    }

    /// Sums a gradient over the axes along which its tensor was broadcast.
    pub(super) fn unbroadcast(&mut self, mut g: Tensor, target: Tensor) -> Tensor {
        let shape = self.shape_of_gradient(target, g);
        let extra = self.dims(g).len() - shape.dims.len();
        if extra > 0 {
            g = self.sum(g, 0..extra);
        }
        for axis in 0..shape.dims.len() {
            if shape.dims[axis] == 1 && self.dims(g)[axis] > 1 {
                let mut dims = self.dims(g).to_vec();
                dims[axis] = 1;
                let sum = self.sum(g, axis..axis + 1);
                g = self.reshape(sum, &dims);
            }
        }
        // A gradient narrower than its tensor (a broadcast seed) is widened when it is used.
        if self.dims(g) != shape.dims || self.shape(g).lane != shape.lane {
            let zero = self.scalar(0.0);
            g = self.push(NodeOp::Binary(Binary::Add), &[g, zero], shape);
        }
        g
    }
}
