//! Optimisers as expressions: SGD with momentum and AdamW, step for step what PyTorch computes.

use percuss_kernels::ops::Unary;

use crate::graph::{Graph, Phase, Shape, State, Tensor};

/// What turns gradients into updates. Weight decay acts on every parameter, as in PyTorch where all are in one group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// `g += decay p; b = momentum b + g; p -= rate (nesterov ? g + momentum b : b)` (Sutskever et al. 2013, in PyTorch's form).
    Sgd {
        /// 0 or more, below 1.
        momentum: f64,
        /// Nesterov's form of momentum.
        nesterov: bool,
        /// Added to the gradient, times the parameter.
        weight_decay: f64,
    },
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2): the decay is multiplied by the learning rate.
    AdamW {
        /// Decay rates of the first and second moment.
        betas: [f64; 2],
        /// Added to the root of the second moment.
        epsilon: f64,
        /// Taken off the parameter, times the learning rate.
        weight_decay: f64,
    },
}

impl Optimizer {
    /// How many tensors of a parameter's shape it keeps.
    pub fn slots(&self) -> usize {
        match self {
            Self::Sgd { momentum, .. } => usize::from(*momentum > 0.0),
            Self::AdamW { .. } => 2,
        }
    }

    /// The numbers that a step's expressions read: see [`Rates`]. `step` counts from 1.
    pub fn rates(&self, rate: f64, step: u64) -> [f32; 3] {
        match *self {
            Self::Sgd { .. } => [rate as f32, 0.0, 1.0],
            Self::AdamW { betas, weight_decay, .. } => {
                let step = i32::try_from(step).unwrap_or(i32::MAX);
                let corrections = betas.map(|beta| 1.0 - beta.powi(step));
                [
                    (rate / corrections[0]) as f32,
                    (1.0 - rate * weight_decay) as f32,
                    corrections[1].sqrt() as f32,
                ]
            }
        }
    }

    /// Assigns the parameter's new value and that of its slots; the last argument is what [`Optimizer::rates`] says of the step.
    pub fn update(
        &self,
        graph: &mut Graph,
        phase: &mut Phase,
        parameter: State,
        gradient: Tensor,
        slots: &[State],
        [rate, keep, root]: [Tensor; 3],
    ) {
        let p = graph.load(parameter);
        match *self {
            Self::Sgd { momentum, nesterov, weight_decay } => {
                let mut g = gradient;
                if weight_decay > 0.0 {
                    let decay = graph.scale(p, weight_decay as f32);
                    g = graph.add(g, decay);
                }
                if let Some(&slot) = slots.first() {
                    let before = graph.load(slot);
                    let kept = graph.scale(before, momentum as f32);
                    let velocity = graph.add(kept, g);
                    phase.assign(graph, slot, velocity);
                    g = if nesterov {
                        let ahead = graph.scale(velocity, momentum as f32);
                        graph.add(g, ahead)
                    } else {
                        velocity
                    };
                }
                let change = graph.mul(g, rate);
                let moved = graph.sub(p, change);
                phase.assign(graph, parameter, moved);
            }
            Self::AdamW { betas, epsilon, .. } => {
                let (first, second) = (graph.load(slots[0]), graph.load(slots[1]));
                let first = blend(graph, first, gradient, betas[0]);
                let square = graph.mul(gradient, gradient);
                let second = blend(graph, second, square, betas[1]);
                phase.assign(graph, slots[0], first);
                phase.assign(graph, slots[1], second);
                let deviation = graph.unary(Unary::Sqrt, second);
                let deviation = graph.div(deviation, root);
                let deviation = graph.shift(deviation, epsilon as f32);
                let direction = graph.div(first, deviation);
                let change = graph.mul(direction, rate);
                let decayed = graph.mul(p, keep);
                let moved = graph.sub(decayed, change);
                phase.assign(graph, parameter, moved);
            }
        }
    }
}

/// Per-step numbers, one a member: the step's size, what weight decay leaves of a parameter, the root of the second
/// moment's bias correction.
#[derive(Clone, Copy, Debug)]
pub struct Rates(pub [State; 3]);

impl Rates {
    /// Declares their states.
    pub fn declare(graph: &mut Graph) -> Self {
        Self(["rate", "keep", "root"].map(|name| graph.state(name, Shape::lanes(&[]))))
    }

    /// Their values.
    pub fn load(&self, graph: &mut Graph) -> [Tensor; 3] {
        self.0.map(|state| graph.load(state))
    }
}

/// `beta old + (1 - beta) new`.
pub(super) fn blend(graph: &mut Graph, old: Tensor, new: Tensor, beta: f64) -> Tensor {
    let kept = graph.scale(old, beta as f32);
    let added = graph.scale(new, (1.0 - beta) as f32);
    graph.add(kept, added)
}

/// Gradients scaled down so that the norm of all of them together is at most `limit` in every lane, as PyTorch's
/// `clip_grad_norm_` does.
pub fn clip(graph: &mut Graph, gradients: &[Tensor], limit: f64) -> Vec<Tensor> {
    let mut total = graph.scalar(0.0);
    for &gradient in gradients {
        let square = graph.mul(gradient, gradient);
        let sum = graph.sum_lane(square);
        total = graph.add(total, sum);
    }
    let norm = graph.unary(Unary::Sqrt, total);
    let safe = graph.shift(norm, 1e-6);
    let limit = graph.scalar(limit as f32);
    let ratio = graph.div(limit, safe);
    let one = graph.scalar(1.0);
    let factor = graph.min(ratio, one);
    gradients.iter().map(|&gradient| graph.mul(gradient, factor)).collect()
}
