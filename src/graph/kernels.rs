//! Which nodes are computed together: chains of elementwise nodes become one launch, and a bias, a residual and a ReLU join the
//! matmul or convolution before them, and a sum and a ReLU's gate the gradient to an input.

use std::collections::{HashMap, HashSet};

use percuss_kernels::ops::{Activation, Binary};

use super::node::Tail;
use super::{Graph, NodeOp, Shape, Tensor};

/// Storage buffers that one launch may bind on every adapter (the WebGPU default).
const MAX_BUFFERS: usize = 8;

/// One launch to be.
#[derive(Clone, Debug)]
pub(crate) enum Group {
    /// An op of the device layer; `result` is the node whose value it stores (the end of its tail).
    Op { node: Tensor, tail: Tail, result: Tensor },
    /// Elementwise nodes over one shape, in order; `stored` are those that something outside needs.
    Fused { shape: Shape, nodes: Vec<Tensor>, stored: Vec<Tensor> },
}

/// The launches that compute a phase's roots, in order.
#[derive(Debug, Default)]
pub(crate) struct Grouping {
    pub(crate) groups: Vec<Group>,
    /// The launch that computes a node. Absent for leaves, scalars, views, and nodes absorbed into a tail.
    pub(crate) of: HashMap<Tensor, usize>,
}

impl Graph {
    /// Follows reshapes to the node that owns the memory.
    pub(crate) fn base(&self, mut tensor: Tensor) -> Tensor {
        while let NodeOp::Reshape = self.nodes[tensor.0].op {
            tensor = self.nodes[tensor.0].inputs[0];
        }
        tensor
    }

    /// Every node that the roots need, in order, stopping at nodes in `ready`.
    pub(crate) fn reachable(&self, roots: &[Tensor], ready: &HashSet<Tensor>) -> Vec<Tensor> {
        let mut seen = vec![false; self.nodes.len()];
        let mut stack = roots.to_vec();
        while let Some(tensor) = stack.pop() {
            if !std::mem::replace(&mut seen[tensor.0], true) && !ready.contains(&tensor) {
                stack.extend(&self.nodes[tensor.0].inputs);
            }
        }
        (0..self.nodes.len()).filter(|&i| seen[i]).map(Tensor).collect()
    }

    /// Groups what the roots need into launches. Nodes in `ready` already lie in memory.
    pub(crate) fn group(&self, roots: &[Tensor], ready: &HashSet<Tensor>) -> Grouping {
        let nodes = self.reachable(roots, ready);
        let mut users: HashMap<Tensor, Vec<Tensor>> = HashMap::new();
        for &node in nodes.iter().filter(|node| !ready.contains(node)) {
            for &input in &self.nodes[node.0].inputs {
                users.entry(input).or_default().push(node);
            }
        }
        let (tails, absorbed) = self.tails(&nodes, &users, roots, ready);
        let mut grouping = Grouping::default();
        for &node in &nodes {
            let op = &self.nodes[node.0].op;
            if ready.contains(&node)
                || op.is_stored()
                || op.is_view()
                || matches!(op, NodeOp::Scalar(_) | NodeOp::Index(_))
            {
                continue;
            }
            if let Some(&(op_node, tail)) = tails.get(&node) {
                grouping.of.insert(node, grouping.groups.len());
                grouping.groups.push(Group::Op { node: op_node, tail, result: node });
            } else if absorbed.contains(&node) {
                continue;
            } else if op.is_pointwise() {
                self.join(node, &mut grouping);
            } else {
                grouping.of.insert(node, grouping.groups.len());
                grouping.groups.push(Group::Op { node, tail: Tail::NONE, result: node });
            }
        }
        self.split_wide(&mut grouping, roots, &nodes, ready);
        grouping
    }

    /// Puts an elementwise node into the latest launch over its shape that comes no earlier than its operands, or a new one.
    fn join(&self, node: Tensor, grouping: &mut Grouping) {
        let shape = self.shape(node);
        let mut earliest = 0;
        for &input in &self.nodes[node.0].inputs {
            let base = self.base_part(input);
            if let Some(&group) = grouping.of.get(&base) {
                let same_launch = base == input
                    && matches!(&grouping.groups[group], Group::Fused { shape: other, .. } if other == shape);
                earliest = earliest.max(if same_launch { group } else { group + 1 });
            }
        }
        let candidate = (earliest..grouping.groups.len())
            .rev()
            .find(|&k| matches!(&grouping.groups[k], Group::Fused { shape: other, .. } if other == shape));
        let group = candidate.unwrap_or_else(|| {
            grouping.groups.push(Group::Fused { shape: shape.clone(), nodes: vec![], stored: vec![] });
            grouping.groups.len() - 1
        });
        if let Group::Fused { nodes, .. } = &mut grouping.groups[group] {
            nodes.push(node);
        }
        grouping.of.insert(node, group);
    }

    /// The node whose launch computes `tensor`: follows reshapes and parts.
    pub(crate) fn base_part(&self, tensor: Tensor) -> Tensor {
        let base = self.base(tensor);
        match self.nodes[base.0].op {
            NodeOp::Part(_) => self.nodes[base.0].inputs[0],
            _ => base,
        }
    }

    /// Finds the tail of every matmul and convolution; keyed by the node that ends it. Also the nodes that tails swallowed.
    fn tails(
        &self,
        nodes: &[Tensor],
        users: &HashMap<Tensor, Vec<Tensor>>,
        roots: &[Tensor],
        ready: &HashSet<Tensor>,
    ) -> (HashMap<Tensor, (Tensor, Tail)>, HashSet<Tensor>) {
        let only_user = |node: Tensor| match users.get(&node).map(Vec::as_slice) {
            Some(&[user]) if !roots.contains(&node) => Some(user),
            _ => None,
        };
        let mut tails = HashMap::new();
        let mut absorbed: HashSet<Tensor> = HashSet::new();
        // A sum of two convolutions may end the tail of one of them only.
        let mut claimed: HashSet<Tensor> = HashSet::new();
        for &node in nodes {
            let op = &self.nodes[node.0].op;
            if !(op.takes_epilogue() || op.takes_gate()) || ready.contains(&node) {
                continue;
            }
            let (mut end, mut tail) = (node, Tail::NONE);
            while let Some(user) = only_user(end) {
                if claimed.contains(&user) || !self.extend_tail(user, end, node, &mut tail, ready) {
                    break;
                }
                claimed.insert(user);
                absorbed.insert(end);
                end = user;
            }
            absorbed.remove(&end);
            tails.insert(end, (node, tail));
        }
        // A comparison that only gates ask for is not computed apart.
        let gated = |user: &Tensor| tails.get(user).is_some_and(|(_, tail)| tail.gate.is_some());
        for (&node, users) in users {
            if self.positive(node).is_some() && !roots.contains(&node) && users.iter().all(gated) {
                absorbed.insert(node);
            }
        }
        (tails, absorbed)
    }

    /// Whether `user` continues the tail of `op` that ends in `end`; if so it is recorded.
    fn extend_tail(
        &self,
        user: Tensor,
        end: Tensor,
        op: Tensor,
        tail: &mut Tail,
        ready: &HashSet<Tensor>,
    ) -> bool {
        if tail.activation != Activation::Identity
            || tail.gate.is_some()
            || self.shape(user) != self.shape(end)
        {
            return false;
        }
        if self.nodes[op.0].op.takes_gate() {
            return self.extend_gradient(user, end, op, tail);
        }
        let inputs = &self.nodes[user.0].inputs;
        match self.nodes[user.0].op {
            NodeOp::Binary(Binary::Max) if inputs[0] == end => {
                let relu = self.zero(inputs[1]);
                if relu {
                    tail.activation = Activation::Relu;
                }
                relu
            }
            NodeOp::Binary(Binary::Add) => {
                let other = if inputs[0] == end { inputs[1] } else { inputs[0] };
                let (shape, other_shape) = (self.shape(end), self.shape(other));
                let weight_lane = self.shape(self.nodes[op.0].inputs[1]).lane;
                let columns = shape.dims.last().copied().unwrap_or(1);
                if other == end || matches!(self.nodes[other.0].op, NodeOp::Scalar(_) | NodeOp::Index(_)) {
                    return false;
                }
                if tail.bias.is_none()
                    && tail.residual.is_none()
                    && other_shape.dims == [columns]
                    && other_shape.lane == weight_lane
                    // Matrices that outnumber the weight's would need the bias repeated.
                    && !(weight_lane && matches!(self.nodes[op.0].op, NodeOp::Matmul { .. }) && shape.dims.len() > 2)
                    && (self.nodes[self.base(other).0].op.is_stored() || ready.contains(&self.base(other)))
                {
                    tail.bias = Some(other);
                    true
                } else if tail.residual.is_none() && other_shape == shape {
                    tail.residual = Some(other);
                    true
                } else {
                    false
                }
            }
            _ => false,
        }
    }

    /// The same where `op` is the gradient to an input: a sum may follow, then a gate.
    fn extend_gradient(&self, user: Tensor, end: Tensor, op: Tensor, tail: &mut Tail) -> bool {
        let inputs = &self.nodes[user.0].inputs;
        let pool = matches!(self.nodes[op.0].op, NodeOp::PoolGrad(_));
        match self.nodes[user.0].op {
            NodeOp::Binary(Binary::Add) if tail.residual.is_none() && !pool => {
                let other = if inputs[0] == end { inputs[1] } else { inputs[0] };
                let whole = other != end
                    && self.shape(other) == self.shape(end)
                    && !matches!(self.nodes[other.0].op, NodeOp::Scalar(_) | NodeOp::Index(_));
                if whole {
                    tail.residual = Some(other);
                }
                whole
            }
            NodeOp::Select if inputs[1] == end && self.zero(inputs[2]) => {
                tail.gate = self.positive(inputs[0]).filter(|&gate| {
                    // A pool's gradient reads one image beside dy.
                    let own = self.base(gate) == self.base(self.nodes[op.0].inputs[0]);
                    gate != end && self.shape(gate) == self.shape(end) && (own || !pool)
                });
                tail.gate.is_some()
            }
            _ => false,
        }
    }

    fn zero(&self, tensor: Tensor) -> bool {
        matches!(self.nodes[tensor.0].op, NodeOp::Scalar(value) if value == 0.0)
    }

    /// y of `0 < y`.
    fn positive(&self, tensor: Tensor) -> Option<Tensor> {
        let node = &self.nodes[tensor.0];
        let found = matches!(node.op, NodeOp::Binary(Binary::Less)) && self.zero(node.inputs[0]);
        let y = found.then(|| node.inputs[1])?;
        (!matches!(self.nodes[y.0].op, NodeOp::Scalar(_) | NodeOp::Index(_))).then_some(y)
    }

    /// Marks what each fused launch must store, and cuts launches that would bind too many buffers.
    fn split_wide(
        &self,
        grouping: &mut Grouping,
        roots: &[Tensor],
        nodes: &[Tensor],
        ready: &HashSet<Tensor>,
    ) {
        loop {
            self.mark_stored(grouping, roots, nodes, ready);
            let Some(wide) = grouping.groups.iter().position(|group| match group {
                Group::Fused { nodes, stored, .. } => {
                    nodes.len() > 1
                        && self.external_inputs(nodes, grouping).len() + stored.len() > MAX_BUFFERS
                }
                Group::Op { .. } => false,
            }) else {
                return;
            };
            let Group::Fused { shape, nodes: members, .. } = grouping.groups[wide].clone() else { return };
            let (first, second) = members.split_at(members.len() / 2);
            let half = |nodes: &[Tensor]| Group::Fused {
                shape: shape.clone(),
                nodes: nodes.to_vec(),
                stored: vec![],
            };
            grouping.groups.splice(wide..=wide, [half(first), half(second)]);
            for group in grouping.of.values_mut().filter(|group| **group > wide) {
                *group += 1;
            }
            for &node in second {
                grouping.of.insert(node, wide + 1);
            }
        }
    }

    fn mark_stored(
        &self,
        grouping: &mut Grouping,
        roots: &[Tensor],
        nodes: &[Tensor],
        ready: &HashSet<Tensor>,
    ) {
        let mut outside: HashSet<Tensor> = roots.iter().map(|&root| self.base(root)).collect();
        for &node in nodes.iter().filter(|node| !ready.contains(node)) {
            for &input in &self.nodes[node.0].inputs {
                let same = self.nodes[node.0].op.is_pointwise()
                    && grouping.of.contains_key(&node)
                    && grouping.of.get(&input) == grouping.of.get(&node);
                if !same && !self.nodes[node.0].op.is_view() {
                    outside.insert(self.base(input));
                }
            }
        }
        for group in &mut grouping.groups {
            if let Group::Fused { nodes, stored, .. } = group {
                *stored = nodes.iter().copied().filter(|node| outside.contains(node)).collect();
            }
        }
    }

    /// The tensors that a fused launch reads from memory, by owner, without repeats.
    pub(crate) fn external_inputs(&self, members: &[Tensor], grouping: &Grouping) -> Vec<Tensor> {
        let group = grouping.of.get(&members[0]);
        let mut inputs = Vec::new();
        for &node in members {
            for &input in &self.nodes[node.0].inputs {
                let inline = matches!(self.nodes[input.0].op, NodeOp::Scalar(_) | NodeOp::Index(_))
                    || (self.nodes[input.0].op.is_pointwise()
                        && grouping.of.get(&input) == group
                        && members.contains(&input));
                if !inline && !inputs.contains(&input) {
                    inputs.push(input);
                }
            }
        }
        inputs
    }
}
