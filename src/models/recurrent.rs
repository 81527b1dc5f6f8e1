//! Recurrent classifiers of series: PyTorch's `nn.GRU` (Cho et al. 2014) or `nn.LSTM` (Hochreiter & Schmidhuber 1997) and a linear layer,
//! unrolled in the graph.

use percuss_kernels::ops::Unary;
use serde::{Deserialize, Serialize};

use super::config::{Misfit, positive, stacked};
use super::net::{Net, Role};
use crate::graph::Tensor;

/// Steps of all layers together at most: each is a part of the graph.
const STEPS: usize = 1 << 16;

/// Layers, what is read of them, and how the series lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recurrent {
    /// 1, time, features; or 1, features, time where `time_axis` is 2.
    pub input: [usize; 3],
    /// Which of the three axes is time: 1 or 2.
    #[serde(default = "one")]
    pub time_axis: usize,
    /// Outputs.
    pub classes: usize,
    /// Length of a layer's state.
    pub hidden: usize,
    /// Layers.
    #[serde(default = "one")]
    pub layers: usize,
    /// Whether every layer also reads the series backwards.
    #[serde(default)]
    pub bidirectional: bool,
    /// What the linear layer reads.
    #[serde(default)]
    pub pooling: Pooling,
    /// Whether the cells have biases.
    #[serde(default = "yes")]
    pub bias: bool,
    /// What the names of the cells' tensors begin with (`rnn.weight_ih_l0`, ...); empty is nothing.
    #[serde(default = "cells")]
    pub cells: String,
    /// What the names of the linear layer's tensors begin with.
    #[serde(default = "linear")]
    pub linear: String,
}

/// What the linear layer reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The last layer's output at the last time (`output[:, -1]`), of which the backward half has seen that time alone.
    #[default]
    Last,
    /// The last layer's states once it has read all (`h_n`): the same, unless the layer also reads backwards.
    State,
    /// The mean of the last layer's outputs over time.
    Mean,
}

/// What a cell computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Gru,
    Lstm,
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

fn cells() -> String {
    "rnn".into()
}

fn linear() -> String {
    "fc".into()
}

impl Recurrent {
    pub(super) fn check(&self) -> Result<(), Misfit> {
        for (place, size) in [
            ("input[1]", self.input[1]),
            ("input[2]", self.input[2]),
            ("classes", self.classes),
            ("hidden", self.hidden),
        ] {
            positive(place, size)?;
        }
        stacked("layers", &[self.layers])?;
        if self.input[0] != 1 {
            return Err(("input[0]".into(), self.input[0].to_string(), "1: a series has one row".into()));
        }
        if !matches!(self.time_axis, 1 | 2) {
            return Err(("time_axis".into(), self.time_axis.to_string(), "1 or 2".into()));
        }
        if self.layers * self.time() > STEPS {
            let found = format!("{} layers of {} steps", self.layers, self.time());
            return Err(("layers".into(), found, format!("at most {STEPS} steps of all layers together")));
        }
        Ok(())
    }

    pub(super) fn forward(&self, net: &mut Net, x: Tensor, cell: Cell) -> Tensor {
        let mut series = self.steps(net, x);
        for layer in 0..self.layers - 1 {
            let outputs = self.layer(net, cell, layer, &series);
            let steps: Vec<Tensor> = (0..self.time()).map(|t| self.joined(net, &outputs, t)).collect();
            series = Series::Steps(steps);
        }
        let outputs = self.layer(net, cell, self.layers - 1, &series);
        let last = self.time() - 1;
        let features = match self.pooling {
            Pooling::Last => self.joined(net, &outputs, last),
            Pooling::State => {
                let states: Vec<Tensor> = (outputs.iter().enumerate())
                    .map(|(direction, steps)| steps[if direction == 0 { last } else { 0 }])
                    .collect();
                side_by_side(net, &states)
            }
            Pooling::Mean => {
                let means: Vec<Tensor> = outputs.iter().map(|steps| mean(net, steps)).collect();
                side_by_side(net, &means)
            }
        };
        net.linear(&self.linear, features, self.classes)
    }

    fn time(&self) -> usize {
        self.input[self.time_axis]
    }

    fn features(&self) -> usize {
        self.input[3 - self.time_axis]
    }

    /// The sample as a series, `[.., time, features]`.
    fn steps(&self, net: &mut Net, x: Tensor) -> Series {
        let dims = net.graph.dims(x).to_vec();
        let rank = dims.len();
        let x = if self.time_axis == 1 {
            x
        } else {
            let mut axes: Vec<usize> = (0..rank).collect();
            axes.swap(rank - 2, rank - 1);
            net.graph.permute(x, &axes, &vec![false; rank])
        };
        let series = [&dims[..rank - 3], &[self.time(), self.features()]].concat();
        Series::Whole(net.graph.reshape(x, &series))
    }

    /// A layer's outputs at every time, one list a direction, each `[.., hidden]`.
    fn layer(&self, net: &mut Net, cell: Cell, layer: usize, series: &Series) -> Vec<Vec<Tensor>> {
        let directions = if self.bidirectional { 2 } else { 1 };
        (0..directions)
            .map(|direction| {
                let suffix = if direction == 0 { "" } else { "_reverse" };
                let weights = Weights::of(self, net, cell, series, &format!("l{layer}{suffix}"));
                let inputs = weights.inputs(net, series, self.time());
                let mut order: Vec<usize> = (0..self.time()).collect();
                if direction == 1 {
                    order.reverse();
                }
                let mut outputs = vec![None; self.time()];
                let mut state = State::default();
                for t in order {
                    state = weights.step(net, cell, inputs[t], state);
                    outputs[t] = state.hidden;
                }
                outputs.into_iter().flatten().collect()
            })
            .collect()
    }

    /// Both directions' outputs at a time.
    fn joined(&self, net: &mut Net, outputs: &[Vec<Tensor>], t: usize) -> Tensor {
        let parts: Vec<Tensor> = outputs.iter().map(|steps| steps[t]).collect();
        side_by_side(net, &parts)
    }
}

/// A series, whole or step by step.
enum Series {
    /// `[.., time, features]`
    Whole(Tensor),
    /// `[.., features]` each
    Steps(Vec<Tensor>),
}

/// What a cell remembers; nothing (zeros) at first.
#[derive(Clone, Copy, Default)]
struct State {
    hidden: Option<Tensor>,
    memory: Option<Tensor>,
}

/// The tensors of one layer and direction.
struct Weights {
    hidden: usize,
    gates: usize,
    /// `[gates * hidden, features]`
    input: Tensor,
    /// `[gates * hidden, hidden]`
    state: Tensor,
    biases: Option<[Tensor; 2]>,
}

impl Weights {
    fn of(model: &Recurrent, net: &mut Net, cell: Cell, series: &Series, suffix: &str) -> Self {
        let hidden = model.hidden;
        let gates = if cell == Cell::Gru { 3 } else { 4 };
        let first = match series {
            Series::Whole(x) => *x,
            Series::Steps(steps) => steps[0],
        };
        let features = net.graph.dims(first).last().copied().unwrap_or(1);
        let named = |kind: &str| match model.cells.is_empty() {
            true => format!("{kind}_{suffix}"),
            false => format!("{}.{kind}_{suffix}", model.cells),
        };
        // PyTorch draws all of a cell's tensors within 1 / sqrt(hidden).
        let input = net.tensor(&named("weight_ih"), &[gates * hidden, features], Role::Linear, hidden);
        let state = net.tensor(&named("weight_hh"), &[gates * hidden, hidden], Role::Linear, hidden);
        let biases = model.bias.then(|| {
            ["bias_ih", "bias_hh"].map(|kind| net.tensor(&named(kind), &[gates * hidden], Role::Bias, hidden))
        });
        Self { hidden, gates, input, state, biases }
    }

    /// What the series contributes to the gates at every time, `[.., gates * hidden]` each.
    fn inputs(&self, net: &mut Net, series: &Series, time: usize) -> Vec<Tensor> {
        let bias = self.biases.map(|[bias, _]| bias);
        match series {
            Series::Whole(x) => {
                let all = net.rows_times(*x, self.input);
                let all = match bias {
                    Some(bias) => net.graph.add(all, bias),
                    None => all,
                };
                let dims = net.graph.dims(all).to_vec();
                let axis = dims.len() - 2;
                let step = [&dims[..axis], &dims[axis + 1..]].concat();
                (0..time)
                    .map(|t| {
                        let one = net.graph.slice(all, axis, t..t + 1);
                        net.graph.reshape(one, &step)
                    })
                    .collect()
            }
            Series::Steps(steps) => steps.iter().map(|&step| affine(net, step, self.input, bias)).collect(),
        }
    }

    fn step(&self, net: &mut Net, cell: Cell, input: Tensor, before: State) -> State {
        let bias = self.biases.map(|[_, bias]| bias);
        let state = match before.hidden {
            Some(hidden) => Some(affine(net, hidden, self.state, bias)),
            // A state of zeros leaves the bias alone.
            None => bias,
        };
        match cell {
            Cell::Gru => self.gru(net, input, state, before),
            Cell::Lstm => self.lstm(net, input, state, before),
        }
    }

    /// `r, z = sigmoid(..)`, `n = tanh(input + r * state)`, `h = (1 - z) n + z h`: PyTorch's order of gates and its place of r.
    fn gru(&self, net: &mut Net, input: Tensor, state: Option<Tensor>, before: State) -> State {
        let from_input = self.split(net, input);
        let from_state = state.map(|state| self.split(net, state));
        let at = |gate: usize| from_state.as_ref().map(|parts| parts[gate]);
        let reset = plus(net, from_input[0], at(0));
        let reset = net.graph.sigmoid(reset);
        let update = plus(net, from_input[1], at(1));
        let update = net.graph.sigmoid(update);
        let recalled = at(2).map(|part| net.graph.mul(reset, part));
        let new = plus(net, from_input[2], recalled);
        let new = net.graph.unary(Unary::Tanh, new);
        let one = net.graph.scalar(1.0);
        let rest = net.graph.sub(one, update);
        let fresh = net.graph.mul(rest, new);
        let kept = before.hidden.map(|hidden| net.graph.mul(update, hidden));
        State { hidden: Some(plus(net, fresh, kept)), memory: None }
    }

    /// `i, f, g, o`; `c = f c + i g`, `h = o tanh(c)`: PyTorch's order of gates.
    fn lstm(&self, net: &mut Net, input: Tensor, state: Option<Tensor>, before: State) -> State {
        let all = plus(net, input, state);
        let parts = self.split(net, all);
        let enter = net.graph.sigmoid(parts[0]);
        let forget = net.graph.sigmoid(parts[1]);
        let new = net.graph.unary(Unary::Tanh, parts[2]);
        let show = net.graph.sigmoid(parts[3]);
        let fresh = net.graph.mul(enter, new);
        let kept = before.memory.map(|memory| net.graph.mul(forget, memory));
        let memory = plus(net, fresh, kept);
        let seen = net.graph.unary(Unary::Tanh, memory);
        State { hidden: Some(net.graph.mul(show, seen)), memory: Some(memory) }
    }

    /// The gates one by one, `[.., hidden]` each.
    fn split(&self, net: &mut Net, all: Tensor) -> Vec<Tensor> {
        let axis = net.graph.dims(all).len() - 1;
        (0..self.gates).map(|i| net.graph.slice(all, axis, i * self.hidden..(i + 1) * self.hidden)).collect()
    }
}

/// `x w^T + bias`.
fn affine(net: &mut Net, x: Tensor, weight: Tensor, bias: Option<Tensor>) -> Tensor {
    let y = net.rows_times(x, weight);
    plus(net, y, bias)
}

fn plus(net: &mut Net, x: Tensor, other: Option<Tensor>) -> Tensor {
    match other {
        Some(other) => net.graph.add(x, other),
        None => x,
    }
}

fn mean(net: &mut Net, steps: &[Tensor]) -> Tensor {
    let sum = steps[1..].iter().fold(steps[0], |sum, &step| net.graph.add(sum, step));
    net.graph.scale(sum, 1.0 / steps.len() as f32)
}

fn side_by_side(net: &mut Net, parts: &[Tensor]) -> Tensor {
    if let [one] = parts {
        return *one;
    }
    let axis = net.graph.dims(parts[0]).len() - 1;
    net.graph.concat(parts, axis)
}
