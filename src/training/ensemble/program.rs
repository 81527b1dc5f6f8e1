//! The program that trains members: a step whose minibatch is drawn on the device.

use std::sync::Arc;

use percuss_kernels::Device;

use super::{Course, Workshop};
use crate::Result;
use crate::data::Dataset;
use crate::graph::{Compiled, Executable, Graph, Phase, Shape, State, Tensor, Uploads};
use crate::models::Declared;
use crate::training::trainer::{Descent, Step, descend, parameter_states};

/// Bytes of members that a CPU worker keeps at once, and how many at most: what its cache holds.
const CPU_BLOCK: (u64, usize) = (4 << 20, 32);
/// The same of a GPU.
const GPU_BLOCK: (u64, usize) = (2 << 30, 4096);

/// A training step whose minibatch is drawn on the device.
pub(super) struct Program {
    pub(super) graph: Graph,
    pub(super) phase: [Phase; 1],
    pub(super) parameters: Vec<(Declared, State)>,
    pub(super) memory: Vec<State>,
    /// Rows with values of the member's own `[own, sample]`; numbered after the base's.
    pub(super) own: Option<State>,
    /// The rows of an epoch `[steps, batch]`.
    pub(super) rows: State,
    /// Their labels `[steps, batch]` (findings: `[steps, batch * outputs]`).
    pub(super) labels: State,
    /// The rates of its steps `[steps, 3]`.
    pub(super) rates: State,
    /// The step of the epoch `[]`.
    pub(super) step: State,
    pub(super) losses: State,
    pub(super) batch: usize,
}

impl Program {
    pub(super) fn new(course: &Course) -> Self {
        let Course { config, recipe, base, .. } = *course;
        let batch = recipe.batch.min(base.len());
        let steps = base.len() / batch;
        let mut graph = Graph::new();
        let parameters = parameter_states(&mut graph, config);
        let label_dims = recipe.rule.loss.label_dims(batch, config.classes());
        let mut state = |name: &str, dims: &[usize]| graph.state(name, Shape::lanes(dims));
        let rows = state("rows", &[steps, batch]);
        let labels = state("labels", &[steps, label_dims.iter().product()]);
        let rates = state("rates", &[steps, 3]);
        let (step, losses) = (state("step", &[]), state("losses", &[]));
        let own = (course.own_values > 0).then(|| {
            let dims = [&[course.own_values], base.shape.as_slice()].concat();
            state("own values", &dims)
        });
        let at = graph.load(step);
        let drawn = row_of(&mut graph, rows, at, &[batch]);
        let x = minibatch(&mut graph, base, own, drawn);
        let x = graph.reshape(x, &[&[batch], config.input_shape().as_slice()].concat());
        let wanted = row_of(&mut graph, labels, at, &label_dims);
        let rate = row_of(&mut graph, rates, at, &[3]);
        let rate = [0, 1, 2].map(|i| {
            let one = graph.slice(rate, 0, i..i + 1);
            graph.reshape(one, &[])
        });
        let mut phase = Phase::new();
        let given = Step { x, labels: wanted, rates: rate };
        let Descent { loss, memory } =
            descend(&mut graph, &mut phase, config, &recipe.rule, &parameters, given);
        let before = graph.load(losses);
        let sum = graph.add(before, loss);
        phase.assign(&mut graph, losses, sum);
        let next = graph.shift(at, 1.0);
        phase.assign(&mut graph, step, next);
        Self { graph, phase: [phase], parameters, memory, own, rows, labels, rates, step, losses, batch }
    }

    /// Members of a block.
    pub(super) fn lanes(&self, workshop: &Workshop, wanted: usize) -> usize {
        if let Some(lanes) = workshop.lanes {
            return lanes.max(1);
        }
        let (budget, most) = if workshop.device.is_cpu() { CPU_BLOCK } else { GPU_BLOCK };
        let bytes = |lanes| Compiled::sketch(&self.graph, &self.phase, lanes).bytes();
        let each = (bytes(9) - bytes(1)) / 8;
        ((budget / each.max(1)) as usize).clamp(1, most).min(wanted.max(1))
    }

    pub(super) fn open(&self, device: &Device, lanes: usize) -> Result<Executable> {
        let mut uploads = Uploads::default();
        let compiled = Compiled::on(device, &mut uploads, &self.graph, &self.phase, lanes)?;
        compiled.instantiate(device, &mut uploads, 1)
    }
}

/// Row `at` of a table that each lane has: `dims`.
fn row_of(graph: &mut Graph, table: State, at: Tensor, dims: &[usize]) -> Tensor {
    let table = graph.load(table);
    let at = graph.reshape(at, &[1]);
    let row = graph.gather(table, at);
    graph.reshape(row, dims)
}

/// Samples by row `[batch]`: the base's, and after them the lane's own.
fn minibatch(graph: &mut Graph, base: &Dataset, own: Option<State>, rows: Tensor) -> Tensor {
    let n = base.len();
    let table = graph.constant(&Arc::new(base.values.clone()), &[&[n], base.shape.as_slice()].concat());
    let Some(own) = own else { return graph.gather(table, rows) };
    let last = graph.scalar((n - 1) as f32);
    let shared = graph.min(rows, last);
    let shared = graph.gather(table, shared);
    let beyond = graph.shift(rows, -(n as f32));
    let first = graph.scalar(0.0);
    let beyond = graph.max(beyond, first);
    let own = graph.load(own);
    let own = graph.gather(own, beyond);
    let end = graph.scalar(n as f32);
    let is_base = graph.less(rows, end);
    let column = [graph.dims(rows), &vec![1; base.shape.len()]].concat();
    let is_base = graph.reshape(is_base, &column);
    graph.select(is_base, shared, own)
}
