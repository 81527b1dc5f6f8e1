//! What depends on constants alone: computed once, uploaded once, shared by all programs of a model.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use percuss_kernels::{Device, SharedArena};

use super::compile::{Compiled, Phase};
use super::{Graph, NodeOp, Tensor};
use crate::Result;

/// Data and its copy on the device.
type Upload = (Arc<Vec<f32>>, SharedArena);

/// Constants, computed and uploaded once, so that programs of one model share them.
#[derive(Debug, Default)]
pub struct Uploads {
    known: HashMap<(usize, usize), Upload>,
    /// Numbers of constant expressions, by what they are made of.
    expressions: HashMap<String, usize>,
    /// Values of expressions that were computed, by their numbers.
    values: HashMap<usize, Arc<Vec<f32>>>,
    /// Data that expressions name by address.
    sources: Vec<Arc<Vec<f32>>>,
}

impl Uploads {
    /// The number of a constant expression: equal in all graphs that compute the same from the same data.
    fn number(&mut self, graph: &Graph, tensor: Tensor, known: &mut HashMap<Tensor, usize>) -> usize {
        if let Some(&number) = known.get(&tensor) {
            return number;
        }
        let node = &graph.nodes[tensor.0];
        let what = match node.op {
            NodeOp::Constant(index) => {
                let data = &graph.constants[index];
                self.sources.push(data.clone());
                format!("data {:p} {}", Arc::as_ptr(data), data.len())
            }
            ref op => format!("{op:?}"),
        };
        let inputs: Vec<usize> = node.inputs.iter().map(|&input| self.number(graph, input, known)).collect();
        let next = self.expressions.len();
        let number = *self.expressions.entry(format!("{what} {:?} {inputs:?}", node.shape)).or_insert(next);
        known.insert(tensor, number);
        number
    }

    /// The values of constant expressions, computed where no earlier graph asked for them.
    pub(super) fn values(
        &mut self,
        graph: &Graph,
        wanted: &[Tensor],
    ) -> Result<Vec<(Tensor, Arc<Vec<f32>>)>> {
        let mut known = HashMap::new();
        let numbers: Vec<usize> =
            wanted.iter().map(|&tensor| self.number(graph, tensor, &mut known)).collect();
        let missing: Vec<Tensor> = wanted
            .iter()
            .zip(&numbers)
            .filter(|(_, number)| !self.values.contains_key(number))
            .map(|(&tensor, _)| tensor)
            .collect();
        for (tensor, value) in graph.evaluate_constants(&missing)? {
            self.values.insert(known[&tensor], value);
        }
        Ok(wanted
            .iter()
            .zip(numbers)
            .map(|(&tensor, number)| (tensor, self.values[&number].clone()))
            .collect())
    }

    pub(super) fn get(&mut self, device: &Device, data: &Arc<Vec<f32>>) -> Result<SharedArena> {
        // The entry keeps the data alive, so its address names it.
        let key = (Arc::as_ptr(data) as usize, data.len());
        if let Some((_, arena)) = self.known.get(&key) {
            return Ok(arena.clone());
        }
        let arena = device.share(data)?;
        self.known.insert(key, (data.clone(), arena.clone()));
        Ok(arena)
    }
}

impl Graph {
    /// The nodes worth computing once: they depend on constants alone, and something that does not uses them.
    pub(super) fn constant_nodes(&self, nodes: &[Tensor], roots: &[Tensor]) -> Vec<Tensor> {
        let mut constant = vec![false; self.nodes.len()];
        let mut used: HashSet<Tensor> = roots.iter().map(|&root| self.base(root)).collect();
        for &tensor in nodes {
            let node = &self.nodes[tensor.0];
            constant[tensor.0] = !node.shape.lane
                && !matches!(node.op, NodeOp::State(_))
                && node.inputs.iter().all(|input| constant[input.0]);
            if !constant[tensor.0] {
                used.extend(node.inputs.iter().map(|&input| self.base(input)));
            }
        }
        nodes
            .iter()
            .copied()
            .filter(|&tensor| {
                let op = &self.nodes[tensor.0].op;
                let leaf =
                    op.is_stored() || matches!(op, NodeOp::Scalar(_) | NodeOp::Index(_) | NodeOp::Reshape);
                constant[tensor.0] && !leaf && used.contains(&tensor)
            })
            .collect()
    }

    fn evaluate_constants(&self, wanted: &[Tensor]) -> Result<Vec<(Tensor, Arc<Vec<f32>>)>> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let mut graph = Graph {
            nodes: self.nodes.clone(),
            states: Vec::new(),
            constants: self.constants.clone(),
            interned: HashMap::new(),
            norms: HashMap::new(),
            // Constants are computed in f32, whatever is done with them.
            precision: percuss_kernels::Precision::F32,
        };
        let mut states = Vec::new();
        let mut assigns = Vec::new();
        for &tensor in wanted {
            let state = graph.state("constant", self.shape(tensor).clone());
            states.push(state);
            // Not through `assign`, which would call for a copy of a constant.
            assigns.push((state, tensor));
        }
        let compiled = Compiled::with_constants(&graph, &[Phase::of(assigns)], 1, usize::MAX, Vec::new());
        let device = Device::Cpu { threads: 1 };
        let mut executable = compiled.instantiate(&device, &mut Uploads::default(), 1)?;
        executable.run(0, 1)?;
        wanted
            .iter()
            .zip(states)
            .map(|(&tensor, state)| Ok((tensor, Arc::new(executable.read(state)?))))
            .collect()
    }
}
