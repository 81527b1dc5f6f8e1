//! What a graph does to a leaf before anything else: factors and offsets, as where samples are standardised inside a network.

use std::collections::HashSet;

use percuss_kernels::ops::{Binary, Unary};

use super::{Graph, NodeOp, Tensor};

/// `factor * x + offset`, a pair for every element of a leaf.
pub(crate) type Leading = Vec<[f64; 2]>;

impl Graph {
    /// The affine function of every element of `leaf` that is computed on the way to `end`, up to the first node that does anything else, that
    /// is in `stop`, or that is not the only reader.
    pub(crate) fn leading(&self, leaf: Tensor, end: Tensor, stop: &HashSet<Tensor>) -> Leading {
        let nodes = self.reachable(&[end], &HashSet::from([leaf]));
        let mut lead: Leading = vec![[1.0, 0.0]; self.shape(leaf).lane_len()];
        // Which element of the leaf stands where.
        let mut places: Vec<usize> = (0..lead.len()).collect();
        let mut own = leaf;
        loop {
            let mut readers = nodes.iter().filter(|node| self.nodes[node.0].inputs.contains(&own));
            let (Some(&reader), None) = (readers.next(), readers.next()) else { return lead };
            if stop.contains(&reader) || !self.step(own, reader, &mut lead, &mut places) {
                return lead;
            }
            own = reader;
        }
    }

    /// Follows one node; whether it is affine, element by element.
    fn step(&self, own: Tensor, reader: Tensor, lead: &mut Leading, places: &mut Vec<usize>) -> bool {
        let node = &self.nodes[reader.0];
        match &node.op {
            NodeOp::Reshape => true,
            NodeOp::Permute { axes, flip } => {
                *places = permuted(places, self.dims(own), axes, flip);
                true
            }
            NodeOp::Unary(Unary::Neg) => {
                lead.iter_mut().for_each(|pair| *pair = pair.map(|number| -number));
                true
            }
            NodeOp::Binary(function) => {
                let [a, b] = node.inputs[..] else { return false };
                let first = a == own;
                let other = if first { b } else { a };
                let Some(numbers) = self.broadcast_constant(other, &node.shape.dims) else { return false };
                if a == b || numbers.len() != places.len() {
                    return false;
                }
                for (&place, number) in places.iter().zip(numbers) {
                    let [factor, offset] = lead[place];
                    lead[place] = match (function, first) {
                        (Binary::Add, _) => [factor, offset + number],
                        (Binary::Sub, true) => [factor, offset - number],
                        (Binary::Sub, false) => [-factor, number - offset],
                        (Binary::Mul, _) => [factor * number, offset * number],
                        (Binary::Div, true) => [factor / number, offset / number],
                        _ => return false,
                    };
                }
                true
            }
            _ => false,
        }
    }

    /// The numbers of a constant, one for every element of these axes.
    fn broadcast_constant(&self, tensor: Tensor, dims: &[usize]) -> Option<Vec<f64>> {
        let own = &self.shape(tensor).dims;
        let mut base = tensor;
        while matches!(self.nodes[base.0].op, NodeOp::Reshape) {
            base = self.nodes[base.0].inputs[0];
        }
        let len: usize = dims.iter().product();
        let values = match self.nodes[base.0].op {
            NodeOp::Scalar(number) => return Some(vec![f64::from(number); len]),
            NodeOp::Constant(index) => &self.constants[index],
            _ => return None,
        };
        let missing = dims.len().checked_sub(own.len())?;
        let at = |element: usize| {
            let (mut rest, mut place, mut stride) = (element, 0, 1);
            for (axis, &size) in dims.iter().enumerate().rev() {
                let coordinate = rest % size;
                rest /= size;
                if axis >= missing {
                    let extent = own[axis - missing];
                    place += if extent == 1 { 0 } else { coordinate * stride };
                    stride *= extent;
                }
            }
            place
        };
        (0..len).map(|element| values.get(at(element)).map(|&number| f64::from(number))).collect()
    }
}

/// What stands at each place once axes are permuted: axis `i` of the result is axis `axes[i]`; `flip` is of the
/// axes before.
fn permuted(places: &[usize], dims: &[usize], axes: &[usize], flip: &[bool]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for axis in (0..dims.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * dims[axis + 1];
    }
    let at = |element: usize| {
        let (mut rest, mut place) = (element, 0);
        for &axis in axes.iter().rev() {
            let coordinate = rest % dims[axis];
            rest /= dims[axis];
            place += strides[axis] * if flip[axis] { dims[axis] - 1 - coordinate } else { coordinate };
        }
        places[place]
    };
    (0..places.len()).map(at).collect()
}
