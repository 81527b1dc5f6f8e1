//! The program of a training step, for one model or an ensemble.

use std::collections::BTreeMap;

use percuss_kernels::Device;

use super::loss::Loss;
use super::optimizer::{Optimizer, Rates, blend, clip};
use crate::graph::{Compiled, Executable, Graph, Phase, Shape, State, Tensor, Uploads};
use crate::models::{Config, Declared, Model, Net, WeightTensor, from_training_layout, layout, to_layout};
use crate::{Error, Result};

/// PyTorch's default momentum of batch norm's running averages, as what is kept of the old value.
const AVERAGE_KEPT: f64 = 0.9;

/// How a step is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What it descends.
    pub loss: Loss,
    /// How.
    pub optimizer: Optimizer,
    /// Largest norm of all gradients together.
    pub clip_norm: Option<f64>,
}

/// A training step on a device: parameters, optimiser state and one minibatch for each member.
#[derive(Debug)]
pub struct Trainer {
    executable: Executable,
    parameters: Vec<(Declared, State)>,
    input: State,
    labels: State,
    rates: Rates,
    losses: State,
    optimizer: Optimizer,
    steps: u64,
}

impl Trainer {
    /// Compiles the step of `config` for `members` members with `batch` samples each; each op may spread over `threads`
    /// threads. All parameters are 0 until [`Trainer::load`].
    ///
    /// # Errors
    /// A device that has no room for it.
    pub fn new(
        config: &Config,
        rule: &Rule,
        members: usize,
        batch: usize,
        device: &Device,
        threads: usize,
    ) -> Result<Self> {
        let mut graph = Graph::new();
        let parameters = parameter_states(&mut graph, config);
        let sample = [&[batch], config.input_shape().as_slice()].concat();
        let input = graph.state("minibatch", Shape::lanes(&sample));
        let labels = graph.state("labels", Shape::lanes(&rule.loss.label_dims(batch, config.classes())));
        let losses = graph.state("losses", Shape::lanes(&[]));
        let rates = Rates::declare(&mut graph);
        let mut phase = Phase::new();
        let x = graph.load(input);
        let wanted = graph.load(labels);
        let step = Step { x, labels: wanted, rates: rates.load(&mut graph) };
        let Descent { loss, .. } = descend(&mut graph, &mut phase, config, rule, &parameters, step);
        let before = graph.load(losses);
        let sum = graph.add(before, loss);
        phase.assign(&mut graph, losses, sum);
        let mut uploads = Uploads::default();
        let compiled = Compiled::on(device, &mut uploads, &graph, &[phase], members)?;
        let executable = compiled.instantiate(device, &mut uploads, threads)?;
        let optimizer = rule.optimizer;
        Ok(Self { executable, parameters, input, labels, rates, losses, optimizer, steps: 0 })
    }

    /// Sets one member's parameters, by name and in PyTorch's layouts.
    ///
    /// # Errors
    /// A tensor that is missing or has another shape.
    pub fn load(&mut self, member: usize, tensors: &BTreeMap<String, WeightTensor>) -> Result<()> {
        load_parameters(&mut self.executable, &self.parameters, member, tensors)
    }

    /// One step for all members: inputs `[members, batch, sample]` in the data's units, labels as [`Loss::label_dims`] says.
    pub fn step(&mut self, inputs: &[f32], labels: &[f32], rate: f64) -> Result<()> {
        self.steps += 1;
        for (state, value) in self.rates.0.into_iter().zip(self.optimizer.rates(rate, self.steps)) {
            self.executable.write(state, &vec![value; self.executable.lanes()])?;
        }
        self.executable.write(self.input, inputs)?;
        self.executable.write(self.labels, labels)?;
        self.executable.run(0, 1)
    }

    /// Every member's sum of the losses before each step since this was last called.
    pub fn take_losses(&mut self) -> Result<Vec<f32>> {
        let sums = self.executable.read(self.losses)?;
        self.executable.write(self.losses, &vec![0.0; sums.len()])?;
        Ok(sums)
    }

    /// One member's parameters and running averages, by name and in PyTorch's layouts.
    pub fn weights(&mut self, member: usize) -> Result<BTreeMap<String, WeightTensor>> {
        read_parameters(&mut self.executable, &self.parameters, member)
    }
}

/// A state for every tensor of a model, a lane a member.
pub(super) fn parameter_states(graph: &mut Graph, config: &Config) -> Vec<(Declared, State)> {
    let state = |tensor: Declared| {
        let shape = Shape::lanes(&layout(tensor.role, &tensor.shape));
        let state = graph.state(&tensor.name, shape);
        (tensor, state)
    };
    Model::declare(config).into_iter().map(state).collect()
}

/// Sets one member's parameters, by name and in PyTorch's layouts.
///
/// # Errors
/// A tensor that is missing or has another shape.
pub(super) fn load_parameters(
    executable: &mut Executable,
    parameters: &[(Declared, State)],
    member: usize,
    tensors: &BTreeMap<String, WeightTensor>,
) -> Result<()> {
    for (declared, state) in parameters {
        let found = tensors.get(&declared.name);
        let Some(tensor) = found.filter(|tensor| tensor.shape == declared.shape) else {
            let found = found.map_or("no such tensor".into(), |tensor| format!("shape {:?}", tensor.shape));
            let expected = format!("shape {:?}", declared.shape);
            return Err(Error::input("the weights", format!("tensor {}", declared.name), found, expected));
        };
        let data = to_layout(declared.role, &declared.shape, &tensor.data);
        executable.write_lane(*state, member, &data)?;
    }
    Ok(())
}

/// One member's parameters and running averages, by name and in PyTorch's layouts.
pub(super) fn read_parameters(
    executable: &mut Executable,
    parameters: &[(Declared, State)],
    member: usize,
) -> Result<BTreeMap<String, WeightTensor>> {
    let mut tensors = BTreeMap::new();
    for (declared, state) in parameters {
        let data = executable.read_lane(*state, member)?;
        let data = from_training_layout(declared.role, &declared.shape, &data);
        tensors.insert(declared.name.clone(), WeightTensor { shape: declared.shape.clone(), data });
    }
    Ok(tensors)
}

/// What a step is given: inputs `[batch, sample]` in the data's units, labels as [`Loss::label_dims`] says, and what
/// [`Optimizer::rates`] says of it.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) x: Tensor,
    pub(super) labels: Tensor,
    pub(super) rates: [Tensor; 3],
}

/// What a step leaves behind besides new parameters.
pub(super) struct Descent {
    /// The loss before it: `[]`.
    pub(super) loss: Tensor,
    /// What the optimiser remembers; all 0 before the first step.
    pub(super) memory: Vec<State>,
}

/// Adds forward pass, gradients and updates to `phase`.
pub(super) fn descend(
    graph: &mut Graph,
    phase: &mut Phase,
    config: &Config,
    rule: &Rule,
    parameters: &[(Declared, State)],
    Step { x, labels, rates }: Step,
) -> Descent {
    let named: Vec<(String, State)> =
        parameters.iter().map(|(declared, state)| (declared.name.clone(), *state)).collect();
    let mut net = Net::training(graph, &named);
    let logits = config.forward(&mut net, x);
    let averages = net.into_averages();
    let loss = rule.loss.mean(graph, logits, labels);
    let trained: Vec<State> =
        parameters.iter().filter(|(declared, _)| declared.role.trained()).map(|(_, state)| *state).collect();
    let wrt: Vec<_> = trained.iter().map(|&state| graph.load(state)).collect();
    let mut gradients = graph.gradients(loss, &wrt);
    if let Some(limit) = rule.clip_norm {
        gradients = clip(graph, &gradients, limit);
    }
    let mut memory = Vec::new();
    for ((&parameter, &tensor), &gradient) in trained.iter().zip(&wrt).zip(&gradients) {
        let shape = graph.shape(tensor).clone();
        let slots: Vec<State> = (0..rule.optimizer.slots())
            .map(|slot| graph.state(format!("slot {slot}"), shape.clone()))
            .collect();
        rule.optimizer.update(graph, phase, parameter, gradient, &slots, rates);
        memory.extend(slots);
    }
    for average in averages {
        let old = graph.load(average.state);
        let new = blend(graph, old, average.batch, AVERAGE_KEPT);
        phase.assign(graph, average.state, new);
    }
    Descent { loss, memory }
}
