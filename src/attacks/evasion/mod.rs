//! Evasion at inference: what gradient attacks have in common is here, what sets one apart is its file.
//!
//! A lane is one sample under one configuration. Everything that differs between configurations (budget, step size, number of
//! steps, label, target, bounds) is data of the lane, so one program serves them all; [`Settings`] is what it cannot share.

mod ball;
pub mod bim;
mod categories;
pub mod fgsm;
pub mod loss;
pub mod mifgsm;
mod parameters;
pub mod pgd;
pub mod start;

use std::ops::Range;
use std::sync::Arc;

use self::ball::Region;
use percuss_kernels::Precision;

use self::loss::Loss;
use super::{Attack, Norm};
use crate::graph::{Graph, Phase, Shape, State, Tensor};
use crate::models::{Head, Model};

/// From an iterate and the gradient there to the next candidate, before projection.
pub type Step = fn(&mut StepContext) -> Tensor;

/// What a step is built from.
pub struct StepContext<'g> {
    /// The graph under construction.
    pub graph: &'g mut Graph,
    /// The norm of the budget.
    pub norm: Norm,
    /// The current iterate.
    pub x: Tensor,
    /// The ascended loss's gradient, in scaled units.
    pub gradient: Tensor,
    scale: Tensor,
    settings: &'g Settings,
    slots: &'g mut Slots,
    moved: Vec<(State, Tensor)>,
}

impl StepContext<'_> {
    /// A lane's own memory in the sample's shape, zero at the lane's first step.
    pub fn state(&mut self, name: &str) -> State {
        let shape = self.graph.shape(self.x).clone();
        let state = self.graph.state(name, shape);
        self.slots.memory.push(state);
        state
    }

    /// Sets a lane's memory for its next step.
    pub fn assign(&mut self, state: State, value: Tensor) {
        self.moved.push((state, value));
    }

    /// The word chosen for a parameter of the attack's own; lanes that share a program share it.
    pub fn choice(&self, name: &str) -> Option<&'static str> {
        self.settings.choices.iter().find(|(other, _)| *other == name).map(|(_, word)| *word)
    }

    /// The lane's value of a real parameter, shaped to broadcast.
    pub fn parameter(&mut self, name: &'static str) -> Tensor {
        let state = self.graph.state(name, Shape::lanes(&[]));
        self.slots.parameters.push((name, state));
        let value = self.graph.load(state);
        let rank = self.graph.dims(self.x).len();
        self.graph.expand(value, rank)
    }

    /// `x + step_size * along`, `along` in scaled units.
    pub fn advance(&mut self, along: Tensor) -> Tensor {
        let rank = self.graph.dims(self.x).len();
        let step_size = self.graph.load(self.slots.step_size);
        let step_size = self.graph.expand(step_size, rank);
        let step = self.graph.mul(step_size, self.scale);
        let change = self.graph.mul(step, along);
        self.graph.add(self.x, change)
    }
}

/// What lanes of one program have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The attack: its step.
    pub attack: &'static Attack,
    /// The norm.
    pub norm: Norm,
    /// The loss.
    pub loss: Loss,
    /// Whether lanes have a target.
    pub targeted: bool,
    /// Exact projection, or scaling.
    pub exact: bool,
    /// Words chosen for further parameters of the attack.
    pub choices: Vec<(&'static str, &'static str)>,
    /// The data's scale of a perturbation: one value, or one a feature.
    pub scale: Vec<f32>,
    /// Features that stay the one-hot coding of a category each.
    pub one_hot: Vec<Range<usize>>,
    /// What the program's products multiply; whether a lane succeeded is decided elsewhere, in f32.
    pub precision: Precision,
}

impl Settings {
    /// Whether lanes under the other settings can run in the same program.
    pub fn shares_program(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.attack.step, other.attack.step)
            && (self.norm, self.loss, self.targeted, self.exact)
                == (other.norm, other.loss, other.targeted, other.exact)
            && self.choices == other.choices
            && self.scale == other.scale
            && self.one_hot == other.one_hot
            && self.precision == other.precision
    }
}

/// A lane's places in the program's memory.
#[derive(Debug)]
pub struct Slots {
    /// The iterate, in the sample's shape.
    pub x: State,
    /// The clean input.
    pub x0: State,
    /// Lower bounds: the data's, what cannot change, and under linf the ball.
    pub low: State,
    /// Upper bounds.
    pub high: State,
    /// The iterate before one-hot features are rounded, where there are any.
    pub relaxed: Option<State>,
    /// True class.
    pub label: State,
    /// Wanted class.
    pub target: State,
    /// The finding that a sigmoid head is asked about.
    pub finding: State,
    /// Logit of the decision threshold.
    pub threshold: State,
    /// Budget in scaled units.
    pub radius: State,
    /// Step size in scaled units.
    pub step_size: State,
    /// Steps left; 0 is an idle lane.
    pub remaining: State,
    /// 1 where the lane ends at its first success.
    pub stop: State,
    /// 1 once the lane ended early.
    pub done: State,
    /// Sum over the steps of the share of the gradient's entries that were exactly zero.
    pub zero_gradients: State,
    /// Real parameters of the attack.
    pub parameters: Vec<(&'static str, State)>,
    /// The attack's own memory, to be zeroed for a new lane.
    pub memory: Vec<State>,
}

/// One step of every lane, as a graph.
#[derive(Debug)]
pub struct EvasionProgram {
    /// The graph.
    pub graph: Graph,
    /// Its one phase.
    pub step: Phase,
    /// The lanes' places.
    pub slots: Slots,
}

impl EvasionProgram {
    /// Builds the program that attacks `model` under `settings`.
    pub fn new(model: &Model, settings: &Settings) -> Self {
        let mut graph = Graph::new();
        let dims = model.config.input_shape();
        let mut slots = Slots::new(&mut graph, &dims, !settings.one_hot.is_empty());
        let x = graph.load(slots.x);
        let logits = decide(&mut graph, model, x, slots.finding, slots.threshold);
        let label = graph.load(slots.label);
        let target = settings.targeted.then(|| graph.load(slots.target));
        let value = loss::ascended(&mut graph, settings.loss, logits, label, target);
        let gradient = loss::gradient(&mut graph, settings.precision, value, x);
        let success = success(&mut graph, logits, label, target);
        let running = running(&mut graph, &slots, success);
        let scale = scale_tensor(&mut graph, &settings.scale, &dims);
        let units = if settings.scale == [1.0] { gradient } else { graph.mul(gradient, scale) };

        let start = match slots.relaxed {
            Some(relaxed) => graph.load(relaxed),
            None => x,
        };
        let mut context = StepContext {
            graph: &mut graph,
            norm: settings.norm,
            x: start,
            gradient: units,
            scale,
            settings,
            slots: &mut slots,
            moved: Vec::new(),
        };
        let candidate = (settings.attack.step)(&mut context);
        let moved = context.moved;
        let region = Region {
            x0: graph.load(slots.x0),
            low: graph.load(slots.low),
            high: graph.load(slots.high),
            scale: scale_tensor(&mut graph, &spread(&settings.scale, dims.iter().product()), &dims),
            radius: graph.load(slots.radius),
        };
        let inside = ball::project(&mut graph, settings.norm, settings.exact, candidate, region);

        let mut step = Phase::new();
        let wide = graph.expand(running, dims.len());
        let mut keep = |graph: &mut Graph, state: State, value: Tensor| {
            let before = graph.load(state);
            let value = graph.select(wide, value, before);
            step.assign(graph, state, value);
        };
        match slots.relaxed {
            Some(relaxed) => {
                keep(&mut graph, relaxed, inside);
                let rounded = categories::round(&mut graph, settings, inside, gradient, region);
                keep(&mut graph, slots.x, rounded);
            }
            None => keep(&mut graph, slots.x, inside),
        }
        for (state, value) in moved {
            keep(&mut graph, state, value);
        }
        count(&mut graph, &mut step, &slots, running, success, gradient);
        Self { graph, step, slots }
    }
}

/// The deciding logits of `x`.
fn decide(graph: &mut Graph, model: &Model, x: Tensor, finding: State, threshold: State) -> Tensor {
    let logits = model.logits(graph, x);
    let (finding, threshold) = (graph.load(finding), graph.load(threshold));
    loss::decision_logits(graph, logits, model.config.head == Head::Sigmoid, finding, threshold)
}

/// 1 where the model says something else than the label, or the target.
fn success(graph: &mut Graph, logits: Tensor, label: Tensor, target: Option<Tensor>) -> Tensor {
    let margin = match target {
        None => loss::margin(graph, logits, label),
        Some(target) => {
            let short = loss::margin(graph, logits, target);
            graph.unary(percuss_kernels::ops::Unary::Neg, short)
        }
    };
    loss::negative(graph, margin, logits)
}

/// 1 for lanes that take a step now: steps are left, and no success ends them.
fn running(graph: &mut Graph, slots: &Slots, success: Tensor) -> Tensor {
    let zero = graph.scalar(0.0);
    let (remaining, stop) = (graph.load(slots.remaining), graph.load(slots.stop));
    let busy = graph.less(zero, remaining);
    let ends = graph.mul(success, stop);
    graph.select(ends, zero, busy)
}

/// Advances the counters.
fn count(
    graph: &mut Graph,
    step: &mut Phase,
    slots: &Slots,
    running: Tensor,
    success: Tensor,
    gradient: Tensor,
) {
    let zero = graph.scalar(0.0);
    let remaining = graph.load(slots.remaining);
    let less = graph.sub(remaining, running);
    step.assign(graph, slots.remaining, less);
    let busy = graph.less(zero, remaining);
    let stop = graph.load(slots.stop);
    let ends = graph.mul(success, stop);
    let ended = graph.mul(busy, ends);
    let done = graph.load(slots.done);
    let done = graph.max(done, ended);
    step.assign(graph, slots.done, done);
    let entries = graph.shape(gradient).lane_len();
    let vanished = graph.equal(gradient, zero);
    let vanished = graph.sum_lane(vanished);
    let share = graph.scale(vanished, 1.0 / entries as f32);
    let counted = graph.mul(share, running);
    let zeros = graph.load(slots.zero_gradients);
    let zeros = graph.add(zeros, counted);
    step.assign(graph, slots.zero_gradients, zeros);
}

fn spread(scale: &[f32], len: usize) -> Vec<f32> {
    if scale.len() == len { scale.to_vec() } else { vec![scale[0]; len] }
}

fn scale_tensor(graph: &mut Graph, scale: &[f32], dims: &[usize]) -> Tensor {
    if scale.len() == 1 { graph.scalar(scale[0]) } else { graph.constant(&Arc::new(scale.to_vec()), dims) }
}

impl Slots {
    fn new(graph: &mut Graph, dims: &[usize], categories: bool) -> Self {
        let mut sample = |name: &str| graph.state(name, Shape::lanes(dims));
        let (x, x0, low, high) = (sample("x"), sample("x0"), sample("low"), sample("high"));
        let relaxed = categories.then(|| sample("relaxed"));
        let mut number = |name: &str| graph.state(name, Shape::lanes(&[]));
        Self {
            x,
            x0,
            low,
            high,
            relaxed,
            label: number("label"),
            target: number("target"),
            finding: number("finding"),
            threshold: number("threshold"),
            radius: number("radius"),
            step_size: number("step size"),
            remaining: number("remaining"),
            stop: number("stop"),
            done: number("done"),
            zero_gradients: number("zero gradients"),
            parameters: Vec::new(),
            memory: Vec::new(),
        }
    }
}

/// The program that judges stored inputs: the deciding and the raw logits of every lane, by an f32 forward pass.
#[derive(Debug)]
pub struct JudgeProgram {
    /// The graph.
    pub graph: Graph,
    /// Its one phase.
    pub judge: Phase,
    /// The input to judge.
    pub x: State,
    /// Its raw logits.
    pub logits: State,
}

impl JudgeProgram {
    /// A forward pass of `model`.
    pub fn new(model: &Model) -> Self {
        let mut graph = Graph::new();
        let x = graph.state("x", Shape::lanes(&model.config.input_shape()));
        let logits = graph.state("logits", Shape::lanes(&[model.config.classes()]));
        let input = graph.load(x);
        let value = model.logits(&mut graph, input);
        let mut judge = Phase::new();
        judge.assign(&mut graph, logits, value);
        Self { graph, judge, x, logits }
    }
}
