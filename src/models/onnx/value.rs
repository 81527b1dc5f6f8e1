//! What flows between the nodes of a network while it is read: constants, and tensors of the graph under ONNX's axes.

use super::constant::{Constant, Kind};
use crate::graph::Tensor;

/// Why a node cannot be built, in a few words.
pub(super) type Refusal = String;

/// What a node yields.
pub(super) type Built = Result<Vec<Value>, Refusal>;

/// Most elements of a tensor, in one lane.
const ELEMENTS: usize = 1 << 27;

/// A tensor that depends on the sample.
///
/// Its axes are those of the file, the batch axis of length 1 among them, since a lane is a batch of one. In memory they may lie in another
/// order: a transposition moves nothing, and images stay channels last from convolution to convolution.
#[derive(Clone, Debug)]
pub(super) struct Traced {
    /// In the graph, its axes in the order of memory.
    pub(super) tensor: Tensor,
    /// The file's axes.
    pub(super) dims: Vec<usize>,
    /// For every axis in memory the axis of the file.
    pub(super) order: Vec<usize>,
    /// What its numbers stand for; all of them are f32.
    pub(super) kind: Kind,
}

/// A value under one of the file's names.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Constant(Constant),
    Traced(Traced),
}

impl Value {
    pub(super) fn dims(&self) -> &[usize] {
        match self {
            Self::Constant(constant) => &constant.dims,
            Self::Traced(traced) => &traced.dims,
        }
    }

    pub(super) fn rank(&self) -> usize {
        self.dims().len()
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Constant(constant) => constant.kind(),
            Self::Traced(traced) => traced.kind,
        }
    }

    pub(super) fn constant(&self) -> Option<&Constant> {
        match self {
            Self::Constant(constant) => Some(constant),
            Self::Traced(_) => None,
        }
    }
}

impl From<Constant> for Value {
    fn from(constant: Constant) -> Self {
        Self::Constant(constant)
    }
}

impl From<Traced> for Value {
    fn from(traced: Traced) -> Self {
        Self::Traced(traced)
    }
}

/// An axis from the front, or, where it is negative, from the back.
pub(super) fn axis_of(axis: i64, rank: usize) -> Result<usize, Refusal> {
    let from_front = if axis < 0 { axis + rank as i64 } else { axis };
    match usize::try_from(from_front) {
        Ok(axis) if axis < rank => Ok(axis),
        _ => Err(format!("axis {axis} of {rank}")),
    }
}

/// Axes as [`axis_of`], each once.
pub(super) fn axes_of(axes: &[i64], rank: usize) -> Result<Vec<usize>, Refusal> {
    let mut out = Vec::with_capacity(axes.len().min(rank));
    for &axis in axes {
        let axis = axis_of(axis, rank)?;
        if out.contains(&axis) {
            return Err(format!("axis {axis} twice"));
        }
        out.push(axis);
    }
    Ok(out)
}

/// The number of elements of a shape that is not empty and not too large.
pub(super) fn elements(dims: &[usize]) -> Result<usize, Refusal> {
    match bounded(dims)? {
        0 => Err(format!("a tensor without elements: shape {dims:?}")),
        len => Ok(len),
    }
}

/// The number of elements of a shape whose axes are not too long, those beside an empty one neither.
pub(super) fn bounded(dims: &[usize]) -> Result<usize, Refusal> {
    if dims.len() > 32 {
        return Err(format!("{} axes", dims.len()));
    }
    let product = dims.iter().try_fold(1usize, |product, &size| product.checked_mul(size.max(1)));
    match product.filter(|product| *product <= ELEMENTS) {
        Some(_) => Ok(dims.iter().product()),
        None => Err(format!("a tensor of more than 2^27 elements: shape {dims:?}")),
    }
}

/// The shape to which two shapes broadcast, as in NumPy.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, Refusal> {
    let rank = a.len().max(b.len());
    let size =
        |dims: &[usize], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(1, |axis| dims[axis]);
    let sizes = (0..rank).map(|axis| match (size(a, axis), size(b, axis)) {
        (x, y) if x == y => Ok(x),
        (1, size) | (size, 1) => Ok(size),
        _ => Err(format!("shapes {a:?} and {b:?}, which do not broadcast")),
    });
    sizes.collect()
}
