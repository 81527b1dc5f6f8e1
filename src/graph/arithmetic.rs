//! Elementwise expressions with broadcasting, reductions, and rearrangements.

use std::ops::Range;

use percuss_kernels::ops::{Binary, Reduction, Unary};

use super::{Graph, NodeOp, Shape, Tensor};

impl Graph {
    /// The number `value`, broadcast wherever it is used.
    pub fn scalar(&mut self, value: f32) -> Tensor {
        self.push(NodeOp::Scalar(value), &[], Shape::shared(&[]))
    }

    /// The coordinate along `axis` (not counting lanes) of a tensor with these `dims`.
    pub fn index(&mut self, dims: &[usize], axis: usize) -> Tensor {
        self.push(NodeOp::Index(axis), &[], Shape::shared(dims))
    }

    /// A function of one value, element by element.
    pub fn unary(&mut self, function: Unary, x: Tensor) -> Tensor {
        let shape = self.shape(x).clone();
        self.push(NodeOp::Unary(function), &[x], shape)
    }

    /// A function of two values, element by element, shapes broadcast from the last axis as in NumPy.
    pub fn binary(&mut self, function: Binary, a: Tensor, b: Tensor) -> Tensor {
        let shape = self.broadcast(&[a, b]);
        self.push(NodeOp::Binary(function), &[a, b], shape)
    }

    /// `a` where `condition` is not 0, else `b`.
    pub fn select(&mut self, condition: Tensor, a: Tensor, b: Tensor) -> Tensor {
        let shape = self.broadcast(&[condition, a, b]);
        self.push(NodeOp::Select, &[condition, a, b], shape)
    }

    /// a + b
    pub fn add(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.binary(Binary::Add, a, b)
    }

    /// a - b
    pub fn sub(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.binary(Binary::Sub, a, b)
    }

    /// a * b
    pub fn mul(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.binary(Binary::Mul, a, b)
    }

    /// a / b
    pub fn div(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.binary(Binary::Div, a, b)
    }

    /// The larger of a and b.
    pub fn max(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.binary(Binary::Max, a, b)
    }

    /// The smaller of a and b.
    pub fn min(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.binary(Binary::Min, a, b)
    }

    /// 1 where a < b, else 0.
    pub fn less(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.binary(Binary::Less, a, b)
    }

    /// 1 where a == b, else 0.
    pub fn equal(&mut self, a: Tensor, b: Tensor) -> Tensor {
        self.binary(Binary::Equal, a, b)
    }

    /// a * number
    pub fn scale(&mut self, a: Tensor, number: f32) -> Tensor {
        let number = self.scalar(number);
        self.mul(a, number)
    }

    /// a + number
    pub fn shift(&mut self, a: Tensor, number: f32) -> Tensor {
        let number = self.scalar(number);
        self.add(a, number)
    }

    /// min(max(x, low), high)
    pub fn clamp(&mut self, x: Tensor, low: Tensor, high: Tensor) -> Tensor {
        let above = self.max(x, low);
        self.min(above, high)
    }

    /// max(0, x)
    pub fn relu(&mut self, x: Tensor) -> Tensor {
        let zero = self.scalar(0.0);
        self.max(x, zero)
    }

    /// 1 where `index` names the position along the last axis of `classes` entries, else 0: shape of `index` plus that axis.
    pub fn one_hot(&mut self, index: Tensor, classes: usize) -> Tensor {
        let mut dims = self.dims(index).to_vec();
        dims.push(1);
        let index = self.reshape(index, &dims);
        let position = self.index(&[classes], 0);
        self.equal(position, index)
    }

    /// Reduces a contiguous range of axes (not counting lanes); the axes disappear.
    pub fn reduce(&mut self, kind: Reduction, x: Tensor, axes: Range<usize>) -> Tensor {
        let shape = self.shape(x).clone();
        let (outer, len, inner) = split(&shape.dims, &axes);
        let mut dims = shape.dims[..axes.start].to_vec();
        dims.extend_from_slice(&shape.dims[axes.end..]);
        if len == 1 {
            return self.reshape(x, &dims);
        }
        self.push(NodeOp::Reduce { kind, outer, len, inner }, &[x], Shape { lane: shape.lane, dims })
    }

    /// Sum over a contiguous range of axes.
    pub fn sum(&mut self, x: Tensor, axes: Range<usize>) -> Tensor {
        self.reduce(Reduction::Sum, x, axes)
    }

    /// Mean over a contiguous range of axes.
    pub fn mean(&mut self, x: Tensor, axes: Range<usize>) -> Tensor {
        let count: usize = self.dims(x)[axes.clone()].iter().product();
        let sum = self.sum(x, axes);
        self.scale(sum, 1.0 / count as f32)
    }

    /// Sum over all axes but lanes.
    pub fn sum_lane(&mut self, x: Tensor) -> Tensor {
        let axes = 0..self.dims(x).len();
        self.sum(x, axes)
    }

    /// Mean and biased variance over a contiguous range of axes.
    pub fn moments(&mut self, x: Tensor, axes: Range<usize>) -> (Tensor, Tensor) {
        let shape = self.shape(x).clone();
        let (outer, len, inner) = split(&shape.dims, &axes);
        let mut dims = shape.dims[..axes.start].to_vec();
        dims.extend_from_slice(&shape.dims[axes.end..]);
        let shape = Shape { lane: shape.lane, dims };
        let mean = self.push(NodeOp::Moments { outer, len, inner }, &[x], shape.clone());
        let variance = self.push(NodeOp::Part(1), &[mean], shape);
        (mean, variance)
    }

    /// The same elements under other axes (lanes stay).
    pub fn reshape(&mut self, x: Tensor, dims: &[usize]) -> Tensor {
        let shape = self.shape(x).clone();
        if shape.dims == dims {
            return x;
        }
        assert_eq!(
            shape.lane_len(),
            dims.iter().product::<usize>(),
            "reshape of {:?} to {dims:?}",
            shape.dims
        );
        let source = match self.nodes[x.0].op {
            NodeOp::Reshape => self.nodes[x.0].inputs[0],
            _ => x,
        };
        if self.dims(source) == dims {
            return source;
        }
        self.push(NodeOp::Reshape, &[source], Shape { lane: shape.lane, dims: dims.to_vec() })
    }

    /// Per-lane values with `rank` axes of length 1 appended, so that they broadcast against whole samples.
    pub fn expand(&mut self, x: Tensor, rank: usize) -> Tensor {
        let mut dims = self.dims(x).to_vec();
        dims.resize(dims.len() + rank, 1);
        self.reshape(x, &dims)
    }

    /// Axes reordered: axis `d` of the result is axis `axes[d]` of x, walked backwards where `flip[axes[d]]`.
    pub fn permute(&mut self, x: Tensor, axes: &[usize], flip: &[bool]) -> Tensor {
        let shape = self.shape(x).clone();
        let dims: Vec<usize> = axes.iter().map(|&axis| shape.dims[axis]).collect();
        let op = NodeOp::Permute { axes: axes.to_vec(), flip: flip.to_vec() };
        self.push(op, &[x], Shape { lane: shape.lane, dims })
    }

    /// Tensors joined along `axis`, in lanes if one of them has lanes.
    pub fn concat(&mut self, tensors: &[Tensor], axis: usize) -> Tensor {
        let lane = tensors.iter().any(|&tensor| self.shape(tensor).lane);
        let tensors: Vec<Tensor> =
            tensors.iter().map(|&tensor| if lane { self.in_lanes(tensor) } else { tensor }).collect();
        let mut shape = self.shape(tensors[0]).clone();
        let parts: Vec<usize> = tensors.iter().map(|&t| self.dims(t)[axis]).collect();
        let (outer, _, inner) = split(&shape.dims, &(axis..axis + 1));
        shape.dims[axis] = parts.iter().sum();
        self.push(NodeOp::Concat { outer, parts, inner }, &tensors, shape)
    }

    /// `range` of `axis`.
    pub fn slice(&mut self, x: Tensor, axis: usize, range: Range<usize>) -> Tensor {
        let mut shape = self.shape(x).clone();
        let (outer, len, inner) = split(&shape.dims, &(axis..axis + 1));
        shape.dims[axis] = range.len();
        let op = NodeOp::Slice { outer, len, inner, start: range.start, count: range.len() };
        self.push(op, &[x], shape)
    }

    /// Zeros, materialised.
    pub(crate) fn zeros(&mut self, shape: Shape) -> Tensor {
        let anchor = self.scalar(0.0);
        // An identity node gives the broadcast scalar a full shape.
        self.push(NodeOp::Unary(Unary::Abs), &[anchor], shape)
    }

    /// The same values with a lane axis, materialised where x has none.
    pub(crate) fn in_lanes(&mut self, x: Tensor) -> Tensor {
        if self.shape(x).lane {
            return x;
        }
        let (zero, shape) = (self.scalar(0.0), Shape::lanes(self.dims(x)));
        self.push(NodeOp::Binary(Binary::Add), &[x, zero], shape)
    }

    pub(crate) fn broadcast(&self, tensors: &[Tensor]) -> Shape {
        let rank = tensors.iter().map(|&t| self.dims(t).len()).max().unwrap_or(0);
        let mut dims = vec![1; rank];
        let mut lane = false;
        for &tensor in tensors {
            let shape = self.shape(tensor);
            lane |= shape.lane;
            for (dim, &size) in dims[rank - shape.dims.len()..].iter_mut().zip(&shape.dims) {
                assert!(*dim == size || *dim == 1 || size == 1, "{dim} and {size} do not broadcast");
                *dim = if size == 1 { *dim } else { size };
            }
        }
        Shape { lane, dims }
    }
}

fn split(dims: &[usize], axes: &Range<usize>) -> (usize, usize, usize) {
    (
        dims[..axes.start].iter().product(),
        dims[axes.clone()].iter().product(),
        dims[axes.end..].iter().product(),
    )
}
