//! The tensor program: ops with static shapes and a lane axis, gradients, fusion, memory plan, run.
//!
//! A tensor either has a leading *lane* axis, whose length is chosen when the graph is compiled, or is the same for all
//! lanes. No op mixes lanes: in an attack a lane is one sample under one configuration, in training it is one member of an
//! ensemble (its minibatch an ordinary axis). That is what makes a lane's result independent of its company.

mod activations;
mod arithmetic;
mod compile;
mod constants;
mod executable;
mod gradient;
mod kernels;
mod layers;
mod leading;
mod lower;
mod memory;
mod node;
mod splice;
mod transformer;
mod upsample;

use std::collections::HashMap;
use std::sync::Arc;

pub use compile::{Compiled, Phase};
pub use constants::Uploads;
pub use executable::Executable;
pub use layers::{ConvGeometry, PoolGeometry};
pub(crate) use leading::Leading;
pub(crate) use node::{Node, NodeOp};
pub use upsample::Upsample;
pub(crate) use upsample::interpolation;

/// A value in a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tensor(pub(crate) usize);

/// Memory that outlives a run: attack state, trained parameters, inputs and results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct State(pub(crate) usize);

/// A tensor's shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Whether there is a leading lane axis.
    pub lane: bool,
    /// The axes after it, row-major; empty is a scalar (one for each lane).
    pub dims: Vec<usize>,
}

impl Shape {
    /// A shape with a lane axis.
    pub fn lanes(dims: &[usize]) -> Self {
        Self { lane: true, dims: dims.to_vec() }
    }

    /// A shape that all lanes share.
    pub fn shared(dims: &[usize]) -> Self {
        Self { lane: false, dims: dims.to_vec() }
    }

    /// Elements in one lane.
    pub fn lane_len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Elements altogether, with this many lanes.
    pub fn len(&self, lanes: usize) -> usize {
        self.lane_len() * if self.lane { lanes } else { 1 }
    }
}

/// A tensor program under construction. Equal expressions become one node.
#[derive(Debug, Default)]
pub struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) states: Vec<(String, Shape)>,
    pub(crate) constants: Vec<Arc<Vec<f32>>>,
    interned: HashMap<String, Tensor>,
    /// Batch norms by their results, whose gradient is known as a whole.
    norms: HashMap<Tensor, layers::BatchNorm>,
    /// What the products of the graph's programs multiply.
    pub(crate) precision: percuss_kernels::Precision,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    /// The shape of `tensor`.
    pub fn shape(&self, tensor: Tensor) -> &Shape {
        &self.nodes[tensor.0].shape
    }

    /// The axes of `tensor` after the lane axis.
    pub fn dims(&self, tensor: Tensor) -> &[usize] {
        &self.shape(tensor).dims
    }

    /// Data that is the same in every lane and run: weights, masks. It is uploaded once for all programs that use it.
    pub fn constant(&mut self, data: &Arc<Vec<f32>>, dims: &[usize]) -> Tensor {
        assert_eq!(data.len(), dims.iter().product::<usize>(), "a constant's data fits its shape {dims:?}");
        let known = self.constants.iter().position(|other| Arc::ptr_eq(other, data));
        let index = known.unwrap_or_else(|| {
            self.constants.push(data.clone());
            self.constants.len() - 1
        });
        self.push(NodeOp::Constant(index), &[], Shape::shared(dims))
    }

    /// Memory that the host and the phases read and write; zero at first.
    pub fn state(&mut self, name: impl ToString, shape: Shape) -> State {
        self.states.push((name.to_string(), shape));
        State(self.states.len() - 1)
    }

    /// The value that `state` has when the phase starts.
    pub fn load(&mut self, state: State) -> Tensor {
        let shape = self.states[state.0].1.clone();
        self.push(NodeOp::State(state), &[], shape)
    }

    /// The shape of `state`.
    pub fn state_shape(&self, state: State) -> &Shape {
        &self.states[state.0].1
    }

    /// Bytes of the constants that it names, before anything is computed from them.
    pub fn constant_bytes(&self) -> u64 {
        self.constants.iter().map(|data| 4 * data.len() as u64).sum()
    }

    pub(crate) fn push(&mut self, op: NodeOp, inputs: &[Tensor], shape: Shape) -> Tensor {
        let key = format!("{op:?}{inputs:?}{shape:?}");
        if let Some(&known) = self.interned.get(&key) {
            return known;
        }
        self.nodes.push(Node { op, inputs: inputs.to_vec(), shape });
        let tensor = Tensor(self.nodes.len() - 1);
        self.interned.insert(key, tensor);
        tensor
    }
}
