//! A graph copied into another.

use std::collections::{HashMap, HashSet};

use super::layers::BatchNorm;
use super::{Graph, NodeOp, Tensor};

impl Graph {
    /// Copies what `wanted` of `other` need, with tensors of this graph in the place of some of other's: where `wanted` are here.
    ///
    /// `places` pairs a tensor of `other` with one of this graph, of its shape. No state of `other` is copied: one that is needed has a place.
    pub(crate) fn splice(
        &mut self,
        other: &Graph,
        places: &[(Tensor, Tensor)],
        wanted: &[Tensor],
    ) -> Vec<Tensor> {
        let mut known: HashMap<Tensor, Tensor> = places.iter().copied().collect();
        let ready: HashSet<Tensor> = known.keys().copied().collect();
        for tensor in other.reachable(wanted, &ready) {
            if known.contains_key(&tensor) {
                continue;
            }
            let node = &other.nodes[tensor.0];
            let copy = match node.op {
                NodeOp::State(_) => unreachable!("a state has a place"),
                NodeOp::Constant(index) => self.constant(&other.constants[index], &node.shape.dims),
                ref op => {
                    let inputs: Vec<Tensor> = node.inputs.iter().map(|input| known[input]).collect();
                    self.push(op.clone(), &inputs, node.shape.clone())
                }
            };
            known.insert(tensor, copy);
            if let Some(&BatchNorm { x, weight, bias, deviation, unit }) = other.norms.get(&tensor) {
                let [x, weight, bias, deviation, unit] =
                    [x, weight, bias, deviation, unit].map(|one| known[&one]);
                self.norms.insert(copy, BatchNorm { x, weight, bias, deviation, unit });
            }
        }
        wanted.iter().map(|tensor| known[tensor]).collect()
    }

    /// How many nodes under `wanted` move elements to other places.
    pub(crate) fn permutations(&self, wanted: &[Tensor]) -> usize {
        let nodes = self.reachable(wanted, &HashSet::new());
        nodes.iter().filter(|node| matches!(self.nodes[node.0].op, NodeOp::Permute { .. })).count()
    }
}
