//! What a node can be: leaves, views, elementwise functions, and the ops of the device layer with lanes left open.

use percuss_kernels::ops::{Activation, Attention, Ball, Binary, Conv, Distribution, Pool, Reduction, Unary};

use super::{Shape, State, Tensor};

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) op: NodeOp,
    pub(crate) inputs: Vec<Tensor>,
    pub(crate) shape: Shape,
}

/// An op; sizes that count lanes (`sets`, `images`, `rows`) are those of one lane and are multiplied when lowered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NodeOp {
    Constant(usize),
    State(State),
    Scalar(f32),
    /// The same elements under another shape.
    Reshape,
    /// Output `i > 0` of a node with several.
    Part(usize),
    Index(usize),
    Unary(Unary),
    Binary(Binary),
    Select,
    /// a `[.., m, k]` times b `[.., k, n]`, each stored transposed where its flag says so.
    Matmul {
        a_transposed: bool,
        b_transposed: bool,
    },
    Conv(Conv),
    ConvInputGrad(Conv),
    ConvWeightGrad(Conv),
    Pool(Pool),
    PoolGrad(Pool),
    /// Over a contiguous range of axes that the node's shape no longer has: `[outer, len, inner]`.
    Reduce {
        kind: Reduction,
        outer: usize,
        len: usize,
        inner: usize,
    },
    Moments {
        outer: usize,
        len: usize,
        inner: usize,
    },
    Softmax {
        log: bool,
    },
    /// Of x, weight and bias; its parts after y are the means and the factors.
    LayerNorm {
        epsilon: f32,
    },
    /// Of x, weight, means, factors and dy.
    LayerNormGrad,
    /// Of q, k, v and perhaps a mask; its second part are the statistics.
    Attention(Attention),
    /// Of q, k, v, y, the statistics, dy and perhaps a mask; dq, then dk and dv as parts.
    AttentionGrad(Attention),
    /// With `odds` the log odds against the label, the same without its own logit in the sum.
    CrossEntropy {
        odds: bool,
    },
    CrossEntropyGrad {
        odds: bool,
    },
    /// Over all values of a lane.
    Rank {
        place: usize,
    },
    Gather {
        rows: usize,
        inner: usize,
        count: usize,
    },
    ScatterAdd {
        rows: usize,
        inner: usize,
        count: usize,
    },
    Permute {
        axes: Vec<usize>,
        flip: Vec<bool>,
    },
    Concat {
        outer: usize,
        parts: Vec<usize>,
        inner: usize,
    },
    Slice {
        outer: usize,
        len: usize,
        inner: usize,
        start: usize,
        count: usize,
    },
    Random(Distribution),
    Project(Ball),
}

impl NodeOp {
    /// Elementwise over the broadcast of its inputs: such nodes are fused.
    pub(crate) fn is_pointwise(&self) -> bool {
        matches!(self, Self::Scalar(_) | Self::Index(_) | Self::Unary(_) | Self::Binary(_) | Self::Select)
    }

    /// A leaf that already lies in memory.
    pub(crate) fn is_stored(&self) -> bool {
        matches!(self, Self::Constant(_) | Self::State(_))
    }

    /// Another name for (part of) its input's memory.
    pub(crate) fn is_view(&self) -> bool {
        matches!(self, Self::Reshape | Self::Part(_))
    }

    /// Whether a bias, a residual and an activation can be fused into it.
    pub(crate) fn takes_epilogue(&self) -> bool {
        matches!(self, Self::Matmul { .. } | Self::Conv(_))
    }

    /// Whether the gate of a ReLU can be fused into it, and into all but a pool's gradient a residual before.
    pub(crate) fn takes_gate(&self) -> bool {
        matches!(self, Self::ConvInputGrad(_) | Self::PoolGrad(_))
    }
}

/// The tail that [`super::kernels`] found for a matmul, a convolution, or a gradient to an input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tail {
    pub(crate) bias: Option<Tensor>,
    pub(crate) residual: Option<Tensor>,
    pub(crate) activation: Activation,
    /// The result is 0 where this is not positive.
    pub(crate) gate: Option<Tensor>,
}

impl Tail {
    pub(crate) const NONE: Self =
        Self { bias: None, residual: None, activation: Activation::Identity, gate: None };
}
