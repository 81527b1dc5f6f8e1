//! From a launch-to-be to a launch: the op's spec with the lanes filled in.

use std::sync::Arc;

use percuss_kernels::ops::{
    Attention, AttentionGrad, Concat, Conv, ConvInputGrad, ConvWeightGrad, CrossEntropy, CrossEntropyGrad,
    Epilogue, GatedConvInputGrad, GatedPoolGrad, Gather, Instr, LayerNorm, LayerNormGrad, Layout, Matmul,
    Moments, Operation, Permute, Pointwise, Pool, PoolGrad, Project, Random, Rank, Reduce, ScatterAdd, Slice,
    Softmax,
};

use super::kernels::Grouping;
use super::node::Tail;
use super::{Graph, NodeOp, Shape, Tensor};

/// An op with its operands still tensors.
pub(crate) struct Lowered {
    pub(crate) op: Arc<dyn Operation>,
    pub(crate) inputs: Vec<Tensor>,
}

impl Graph {
    /// Lowers an op and its tail for this many lanes.
    pub(crate) fn lower_op(&self, node: Tensor, tail: Tail, lanes: usize) -> Lowered {
        let mut inputs = self.nodes[node.0].inputs.clone();
        inputs.extend(tail.bias);
        inputs.extend(tail.residual);
        // A pool's gradient reads its gate already.
        if !matches!(self.nodes[node.0].op, NodeOp::PoolGrad(_)) {
            inputs.extend(tail.gate);
        }
        Lowered { op: self.operation(node, tail, lanes), inputs }
    }

    fn operation(&self, node: Tensor, tail: Tail, lanes: usize) -> Arc<dyn Operation> {
        let epilogue = Epilogue {
            bias: tail.bias.is_some(),
            residual: tail.residual.is_some(),
            activation: tail.activation,
        };
        let inputs = &self.nodes[node.0].inputs;
        let shape = self.shape(node);
        let times = |tensor: Tensor| if self.shape(tensor).lane { lanes } else { 1 };
        let here = if shape.lane { lanes } else { 1 };
        let rows_of = |tensor: Tensor| {
            let dims = self.dims(tensor);
            times(tensor) * dims[..dims.len() - 1].iter().product::<usize>()
        };
        let sets_images = |spec: &Conv, x: Tensor, weight_lane: bool| match weight_lane {
            true => Conv { sets: lanes, ..spec.clone() },
            false => Conv { images: spec.images * times(x), ..spec.clone() },
        };
        match self.nodes[node.0].op.clone() {
            NodeOp::Matmul { a_transposed, b_transposed } => Arc::new(self.matmul_spec(
                [inputs[0], inputs[1]],
                [a_transposed, b_transposed],
                epilogue,
                lanes,
            )),
            NodeOp::Conv(spec) => {
                let lane = self.shape(inputs[1]).lane;
                Arc::new(Conv { epilogue, ..sets_images(&spec, inputs[0], lane) })
            }
            NodeOp::ConvInputGrad(spec) => {
                let conv = sets_images(&spec, inputs[0], self.shape(inputs[1]).lane);
                let (residual, gate) = (tail.residual.is_some(), tail.gate.is_some());
                if residual || gate {
                    Arc::new(GatedConvInputGrad { conv, residual, gate })
                } else {
                    Arc::new(ConvInputGrad(conv))
                }
            }
            NodeOp::ConvWeightGrad(spec) => {
                Arc::new(ConvWeightGrad(sets_images(&spec, inputs[0], shape.lane)))
            }
            NodeOp::Pool(spec) => Arc::new(Pool { images: spec.images * here, ..spec }),
            NodeOp::PoolGrad(spec) => {
                let pool = Pool { images: spec.images * here, ..spec };
                if tail.gate.is_some() { Arc::new(GatedPoolGrad(pool)) } else { Arc::new(PoolGrad(pool)) }
            }
            NodeOp::Reduce { kind, outer, len, inner } => {
                Arc::new(Reduce { kind, outer: outer * times(inputs[0]), len, inner })
            }
            NodeOp::Moments { outer, len, inner } => Arc::new(Moments { outer: outer * here, len, inner }),
            NodeOp::Softmax { log } => {
                let columns = self.dims(node).last().copied().unwrap_or(1);
                Arc::new(Softmax { rows: rows_of(node), columns, log })
            }
            NodeOp::LayerNorm { epsilon } => {
                Arc::new(self.layer_norm_spec(inputs[0], inputs[1], epsilon, lanes))
            }
            NodeOp::LayerNormGrad => {
                Arc::new(LayerNormGrad(self.layer_norm_spec(node, inputs[1], 0.0, lanes)))
            }
            NodeOp::Attention(spec) => Arc::new(self.attention_spec(spec, inputs.get(3), here)),
            NodeOp::AttentionGrad(spec) => {
                Arc::new(AttentionGrad(self.attention_spec(spec, inputs.get(6), here)))
            }
            NodeOp::CrossEntropy { odds } => {
                Arc::new(self.cross_entropy_spec(inputs[0], rows_of(inputs[0]), odds))
            }
            NodeOp::CrossEntropyGrad { odds } => {
                Arc::new(CrossEntropyGrad(self.cross_entropy_spec(inputs[0], rows_of(inputs[0]), odds)))
            }
            NodeOp::Gather { rows, inner, count } => {
                let shared = !self.shape(inputs[0]).lane;
                Arc::new(Gather { outer: here, rows, inner, count, shared })
            }
            NodeOp::ScatterAdd { rows, inner, count } => {
                Arc::new(ScatterAdd(Gather { outer: here, rows, inner, count, shared: false }))
            }
            NodeOp::Permute { axes, flip } => Arc::new(self.permute_spec(inputs[0], axes, flip, lanes)),
            NodeOp::Concat { outer, parts, inner } => Arc::new(Concat { outer: outer * here, parts, inner }),
            NodeOp::Slice { outer, len, inner, start, count } => {
                Arc::new(Slice { outer: outer * here, len, inner, start, count })
            }
            NodeOp::Random(distribution) => {
                Arc::new(Random { distribution, rows: lanes, columns: shape.lane_len() })
            }
            NodeOp::Rank { place } => {
                Arc::new(Rank { rows: lanes, columns: self.shape(inputs[0]).lane_len(), place })
            }
            NodeOp::Project(ball) => Arc::new(Project { ball, rows: lanes, columns: shape.lane_len() }),
            other => unreachable!("{other:?} is elementwise, a leaf or a view"),
        }
    }

    fn layer_norm_spec(&self, x: Tensor, weight: Tensor, epsilon: f32, lanes: usize) -> LayerNorm {
        let columns = self.dims(x).last().copied().unwrap_or(1);
        let rows = self.shape(x).len(lanes) / columns;
        let sets = if self.shape(weight).lane { lanes } else { 1 };
        LayerNorm { sets, rows: rows / sets, columns, epsilon }
    }

    /// With as many masks as there are lanes of them.
    fn attention_spec(&self, mut spec: Attention, mask: Option<&Tensor>, lanes: usize) -> Attention {
        spec.images *= lanes;
        if let (Some(layout), Some(&mask)) = (&mut spec.mask, mask) {
            layout.count *= if self.shape(mask).lane { lanes } else { 1 };
        }
        spec
    }

    fn cross_entropy_spec(&self, logits: Tensor, rows: usize, odds: bool) -> CrossEntropy {
        CrossEntropy { rows, classes: self.dims(logits).last().copied().unwrap_or(1), odds }
    }

    fn matmul_spec(
        &self,
        [a, b]: [Tensor; 2],
        [ta, tb]: [bool; 2],
        epilogue: Epilogue,
        lanes: usize,
    ) -> Matmul {
        let (sa, sb) = (self.shape(a), self.shape(b));
        let (ra, rb) = (sa.dims.len(), sb.dims.len());
        let (k, n) = if tb { (sb.dims[rb - 1], sb.dims[rb - 2]) } else { (sb.dims[rb - 2], sb.dims[rb - 1]) };
        let layout = |transposed, shared| Layout { transposed, shared };
        if rb == 2 && !sb.lane && !ta {
            let m = sa.len(lanes) / k;
            return Matmul { batch: 1, m, n, k, a: layout(false, false), b: layout(tb, true), epilogue };
        }
        let m = if ta { sa.dims[ra - 1] } else { sa.dims[ra - 2] };
        let count = |shape: &Shape, rank: usize| {
            shape.dims[..rank - 2].iter().product::<usize>() * if shape.lane { lanes } else { 1 }
        };
        let (matrices_a, matrices_b) = (count(sa, ra), count(sb, rb));
        let batch = matrices_a.max(matrices_b);
        assert!(matrices_a == batch || (matrices_a == 1 && !sa.lane), "the factors' leading axes agree");
        assert!(matrices_b == batch || (matrices_b == 1 && !sb.lane), "the factors' leading axes agree");
        let (shared_a, shared_b) = (matrices_a == 1 && !sa.lane, matrices_b == 1 && !sb.lane);
        Matmul { batch, m, n, k, a: layout(ta, shared_a), b: layout(tb, shared_b), epilogue }
    }

    fn permute_spec(&self, x: Tensor, axes: Vec<usize>, flip: Vec<bool>, lanes: usize) -> Permute {
        let shape = self.shape(x);
        if !shape.lane {
            return Permute { shape: shape.dims.clone(), axes, flip };
        }
        let with_lanes = |first: usize, rest: &[usize]| [&[first], rest].concat();
        Permute {
            shape: with_lanes(lanes, &shape.dims),
            axes: std::iter::once(0).chain(axes.iter().map(|axis| axis + 1)).collect(),
            flip: std::iter::once(false).chain(flip).collect(),
        }
    }

    /// Lowers a fused launch; its inputs are the tensors it reads from memory.
    pub(crate) fn lower_fused(
        &self,
        shape: &Shape,
        members: &[Tensor],
        stored: &[Tensor],
        grouping: &Grouping,
        lanes: usize,
    ) -> (Pointwise, Vec<Tensor>) {
        let inputs = self.external_inputs(members, grouping);
        let mut code: Vec<Instr> = (0..inputs.len()).map(Instr::Input).collect();
        let mut place: std::collections::HashMap<Tensor, usize> =
            inputs.iter().enumerate().map(|(i, &input)| (input, i)).collect();
        for &node in members {
            let args: Vec<usize> = self.nodes[node.0]
                .inputs
                .iter()
                .map(|&input| {
                    *place.entry(input).or_insert_with(|| {
                        code.push(self.leaf_instr(input, shape));
                        code.len() - 1
                    })
                })
                .collect();
            code.push(match self.nodes[node.0].op {
                NodeOp::Unary(function) => Instr::Unary(function, args[0]),
                NodeOp::Binary(function) => Instr::Binary(function, args[0], args[1]),
                NodeOp::Select => Instr::Select(args[0], args[1], args[2]),
                ref other => unreachable!("{other:?} is not elementwise"),
            });
            place.insert(node, code.len() - 1);
        }
        let mut sizes = shape.dims.clone();
        if shape.lane {
            sizes.insert(0, lanes);
        }
        let strides = inputs.iter().map(|&input| self.strides(input, shape)).collect();
        let outputs = stored.iter().map(|node| place[node]).collect();
        (Pointwise { shape: sizes, strides, code, outputs }, inputs)
    }

    fn leaf_instr(&self, leaf: Tensor, shape: &Shape) -> Instr {
        match self.nodes[leaf.0].op {
            NodeOp::Scalar(value) => Instr::Const(value),
            NodeOp::Index(axis) => {
                Instr::Index(usize::from(shape.lane) + shape.dims.len() - self.dims(leaf).len() + axis)
            }
            ref other => unreachable!("{other:?} is read from memory"),
        }
    }

    /// The strides of `input` along the axes of `shape`: 0 where it is broadcast.
    fn strides(&self, input: Tensor, shape: &Shape) -> Vec<usize> {
        let source = self.shape(input);
        let mut strides = vec![0; shape.dims.len()];
        let mut step = 1;
        let missing = shape.dims.len() - source.dims.len();
        for axis in (0..source.dims.len()).rev() {
            if source.dims[axis] > 1 {
                strides[missing + axis] = step;
            }
            step *= source.dims[axis];
        }
        if shape.lane {
            strides.insert(0, if source.lane { source.lane_len() } else { 0 });
        }
        strides
    }
}
