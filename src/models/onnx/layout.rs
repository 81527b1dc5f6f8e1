//! Where axes lie: transpositions that move nothing, and permutations only where an op cannot do without.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::constant::{Constant, Data};
use super::value::{Refusal, Traced, Value, bounded, elements};
use crate::graph::{Graph, Tensor};
use crate::models::FirstNorm;

/// What infinities become: masks add it, and several of them add up to a finite number.
pub(super) const LARGE: f32 = f32::MAX / 4.0;
/// Axes that every op of the device layer can have after the lanes.
const AXES: usize = 5;

/// Constants by address and order of axes, and what they became.
type Lifted = HashMap<(usize, Vec<usize>), (Data, Arc<Vec<f32>>)>;

/// A graph under construction from values of a file.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) graph: Graph,
    lifted: Lifted,
    /// Elements that constants may still take.
    pub(super) room: usize,
    /// What the last linear layer so far reads.
    pub(super) features: Option<Tensor>,
    /// The first batch norm that the sample passes through.
    pub(super) norm: Option<FirstNorm>,
    /// Inputs of reals, which an attack may move.
    pub(super) moving: Vec<Tensor>,
    /// Products of batch norms with factors that were learnt: no scaling of samples that anybody stated.
    pub(super) learnt: HashSet<Tensor>,
}

/// Tensors that broadcast against each other, the order of their axes, and the shape of what an elementwise function makes of them.
pub(super) type Aligned = (Vec<Tensor>, Vec<usize>, Vec<usize>);

impl Builder {
    /// Takes room for a constant of this shape.
    pub(super) fn take_room(&mut self, dims: &[usize]) -> Result<(), Refusal> {
        let len = bounded(dims)?;
        match self.room.checked_sub(len) {
            Some(rest) => {
                self.room = rest;
                Ok(())
            }
            None => Err(format!("constants that take far more room than the file: shape {dims:?}")),
        }
    }

    /// Whether a tensor depends on an input that an attack may move.
    pub(super) fn moves(&self, tensor: Tensor) -> bool {
        self.graph.reachable(&[tensor], &HashSet::new()).iter().any(|node| self.moving.contains(node))
    }

    /// A traced value whose axes lie as in the file.
    pub(super) fn plain(&self, tensor: Tensor, like: &Traced) -> Traced {
        let dims = self.graph.dims(tensor).to_vec();
        Traced { tensor, order: (0..dims.len()).collect(), dims, kind: like.kind }
    }

    /// The value as a tensor of the graph; a constant is the same in all lanes.
    pub(super) fn traced(&mut self, value: &Value) -> Result<Traced, Refusal> {
        match value {
            Value::Traced(traced) => Ok(traced.clone()),
            Value::Constant(constant) => {
                elements(&constant.dims)?;
                let order: Vec<usize> = (0..constant.dims.len()).collect();
                let tensor = self.lift(constant, &order, false);
                Ok(Traced { tensor, dims: constant.dims.clone(), order, kind: constant.kind() })
            }
        }
    }

    /// A constant in the graph, its axes in this order; without those of length 1 in front if `trimmed`.
    pub(super) fn lift(&mut self, constant: &Constant, order: &[usize], trimmed: bool) -> Tensor {
        let mut dims: Vec<usize> = order.iter().map(|&axis| constant.dims[axis]).collect();
        if trimmed {
            if let Some(value) = constant.single() {
                return self.graph.scalar((value as f32).clamp(-LARGE, LARGE));
            }
            let ones = dims.iter().take_while(|&&size| size == 1).count();
            dims.drain(..ones);
        }
        let long: Vec<usize> = order.iter().copied().filter(|&axis| constant.dims[axis] != 1).collect();
        let address = match &constant.data {
            Data::Float(values) => Arc::as_ptr(values) as usize,
            Data::Int(values) | Data::Bool(values) => Arc::as_ptr(values) as usize,
        };
        let key = (address, [&constant.dims, &[usize::MAX][..], &long].concat());
        // The entry keeps the source alive, so that its address names it.
        let (_, data) = self.lifted.entry(key).or_insert_with(|| {
            let arranged = constant.permuted(order);
            let data = match &arranged.data {
                Data::Float(values) if values.iter().all(|v| v.is_finite()) => values.clone(),
                Data::Float(values) => Arc::new(values.iter().map(|v| v.clamp(-LARGE, LARGE)).collect()),
                Data::Int(values) | Data::Bool(values) => {
                    Arc::new(values.iter().map(|&v| v as f32).collect())
                }
            };
            (constant.data.clone(), data)
        });
        let data = data.clone();
        self.graph.constant(&data, &dims)
    }

    /// The tensor with its axes in `order`, all of them.
    pub(super) fn arrange(&mut self, value: &Traced, order: &[usize]) -> Result<Tensor, Refusal> {
        let dims: Vec<usize> = order.iter().map(|&axis| value.dims[axis]).collect();
        let long =
            |order: &[usize]| order.iter().copied().filter(|&a| value.dims[a] != 1).collect::<Vec<usize>>();
        let (from, to) = (long(&value.order), long(order));
        if from == to {
            return Ok(self.graph.reshape(value.tensor, &dims));
        }
        // Neighbours that stay neighbours are moved as one axis.
        let place = |axis: usize| to.iter().position(|&other| other == axis).unwrap_or(0);
        let mut groups: Vec<(usize, usize)> = Vec::new();
        let mut last = None;
        for &axis in &from {
            let at = place(axis);
            match groups.last_mut() {
                Some(group) if last == at.checked_sub(1) && last.is_some() => group.1 *= value.dims[axis],
                _ => groups.push((at, value.dims[axis])),
            }
            last = Some(at);
        }
        if groups.len() > AXES {
            return Err(format!("a permutation of {} axes, shape {:?}", groups.len(), value.dims));
        }
        let sizes: Vec<usize> = groups.iter().map(|group| group.1).collect();
        let mut axes: Vec<usize> = (0..groups.len()).collect();
        axes.sort_by_key(|&group| groups[group].0);
        let merged = self.graph.reshape(value.tensor, &sizes);
        let moved = self.graph.permute(merged, &axes, &vec![false; axes.len()]);
        Ok(self.graph.reshape(moved, &dims))
    }

    /// The value with its axes lying as in the file.
    pub(super) fn natural(&mut self, value: &Traced) -> Result<Tensor, Refusal> {
        let order: Vec<usize> = (0..value.dims.len()).collect();
        self.arrange(value, &order)
    }

    /// Operands of an elementwise function.
    pub(super) fn align(&mut self, values: &[&Value]) -> Result<Aligned, Refusal> {
        let mut dims = Vec::new();
        for value in values {
            dims = super::value::broadcast(&dims, value.dims())?;
        }
        elements(&dims)?;
        let rank = dims.len();
        let widened: Vec<Value> = values.iter().map(|value| widen(value, rank)).collect();
        // The largest operand stays where it lies.
        let mut order: Vec<usize> = (0..rank).collect();
        let mut largest = 0;
        for value in &widened {
            if let Value::Traced(traced) = value {
                let len = traced.dims.iter().product();
                if len > largest {
                    (largest, order) = (len, traced.order.clone());
                }
            }
        }
        let mut tensors = Vec::with_capacity(values.len());
        for value in &widened {
            let tensor = match value {
                Value::Constant(constant) => self.lift(constant, &order, true),
                Value::Traced(traced) => self.arrange(traced, &order)?,
            };
            tensors.push(tensor);
        }
        if rank > AXES {
            self.merge(&widened, &order, &dims, &mut tensors)?;
        }
        Ok((tensors, order, dims))
    }

    /// Fewer axes for operands of an elementwise function: neighbours along which all are broadcast alike become one.
    fn merge(
        &mut self,
        values: &[Value],
        order: &[usize],
        dims: &[usize],
        tensors: &mut [Tensor],
    ) -> Result<(), Refusal> {
        let pattern =
            |axis: usize| values.iter().map(|value| value.dims()[axis] == dims[axis]).collect::<Vec<bool>>();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for &axis in order.iter().filter(|&&axis| dims[axis] != 1) {
            match groups.last_mut() {
                Some(group) if pattern(group[0]) == pattern(axis) => group.push(axis),
                _ => groups.push(vec![axis]),
            }
        }
        if groups.len() > AXES {
            return Err(format!("elements of {} axes, shape {dims:?}", groups.len()));
        }
        for (tensor, value) in tensors.iter_mut().zip(values) {
            let sizes = groups.iter().map(|group| group.iter().map(|&axis| value.dims()[axis]).product());
            let sizes: Vec<usize> = sizes.collect();
            if self.graph.dims(*tensor).is_empty() {
                continue;
            }
            *tensor = self.graph.reshape(*tensor, &sizes);
        }
        Ok(())
    }

    /// The result of an elementwise function of aligned operands.
    pub(super) fn spread(
        &mut self,
        tensor: Tensor,
        order: Vec<usize>,
        dims: Vec<usize>,
        kind: super::constant::Kind,
    ) -> Traced {
        let physical: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
        let tensor = self.graph.reshape(tensor, &physical);
        Traced { tensor, dims, order, kind }
    }

    /// A function of one value, element by element.
    pub(super) fn each(
        &mut self,
        value: &Traced,
        function: impl FnOnce(&mut Graph, Tensor) -> Tensor,
    ) -> Traced {
        let dims = self.graph.dims(value.tensor).to_vec();
        let wide = dims.len() > AXES;
        let x = if wide { self.graph.reshape(value.tensor, &[dims.iter().product()]) } else { value.tensor };
        let y = function(&mut self.graph, x);
        let tensor = if wide { self.graph.reshape(y, &dims) } else { y };
        Traced { tensor, ..value.clone() }
    }

    /// The tensor with lanes, as ops need it that do not broadcast.
    pub(super) fn with_lanes(&mut self, tensor: Tensor) -> Tensor {
        self.graph.in_lanes(tensor)
    }
}

/// The value with axes of length 1 in front.
fn widen(value: &Value, rank: usize) -> Value {
    let missing = rank - value.rank();
    let dims = [vec![1; missing], value.dims().to_vec()].concat();
    match value {
        Value::Constant(constant) => constant.with_dims(dims).into(),
        Value::Traced(traced) => {
            let order = (0..missing).chain(traced.order.iter().map(|axis| axis + missing)).collect();
            Traced { tensor: traced.tensor, dims, order, kind: traced.kind }.into()
        }
    }
}
