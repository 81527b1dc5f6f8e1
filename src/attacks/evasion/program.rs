//! An attack's program: one step of every lane as a graph, whole or in two phases; and the program of the judge.

use std::sync::Arc;

use percuss_kernels::ops::Unary;

use super::ball::Region;
use super::{Settings, loss, parts};
use crate::graph::{Graph, Phase, Shape, State, Tensor};
use crate::models::{Head, Model, Reading};

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
    /// Radius and step size of every input that moves beside.
    pub beside: Vec<[State; 2]>,
    /// Steps left; 0 is an idle lane.
    pub remaining: State,
    /// 1 where the lane ends at its first success.
    pub stop: State,
    /// 1 once the lane ended early.
    pub done: State,
    /// Sum over the steps of the share of the gradient's entries that were exactly zero.
    pub zero_gradients: State,
    /// What the ascent has come to.
    pub ascent: Ascent,
    /// Real parameters of the attack.
    pub parameters: Vec<(&'static str, State)>,
    /// The attack's own memory, to be zeroed for a new lane.
    pub memory: Vec<State>,
}

/// A lane's loss over its steps.
#[derive(Clone, Copy, Debug)]
pub struct Ascent {
    /// Steps taken.
    pub taken: State,
    /// The loss at the first of them.
    pub first: State,
    /// The largest loss so far.
    pub best: State,
    /// 1 where the loss still rises: the last step's rise above all before it is more than a [`STILL`]th of the mean rise of a step.
    pub rising: State,
}

/// See [`Ascent::rising`].
const STILL: f32 = 4.0;

/// An attack on every lane, as a graph.
#[derive(Debug)]
pub struct EvasionProgram {
    /// The graph.
    pub graph: Graph,
    /// [`EvasionProgram::STEP`] alone, or [`EvasionProgram::LOOK`] and [`EvasionProgram::LEAP`].
    pub phases: Vec<Phase>,
    /// The lanes' places.
    pub slots: Slots,
}

/// What a step knows of the model at the iterate.
pub(super) struct View {
    /// The ascended loss, one a lane.
    pub(super) loss: Tensor,
    /// Its gradient, times a power of 2 that is the lane's own.
    pub(super) gradient: Tensor,
    /// That by the embeddings of a text's words, where there is a text.
    pub(super) words: Option<Tensor>,
    /// What the text is read as.
    pub(super) reading: Option<Reading>,
    /// 1 where the aim is reached there.
    success: Tensor,
}

impl EvasionProgram {
    /// The phase of a whole step.
    pub const STEP: usize = 0;
    /// The phase that keeps the gradient at the iterate.
    pub const LOOK: usize = 0;
    /// The phase that steps from the iterate along the kept gradient.
    pub const LEAP: usize = 1;

    /// The program that attacks `model` under `settings`, of one phase: each step asks for a gradient.
    pub fn new(model: &Model, settings: &Settings) -> Self {
        let (mut graph, slots, view) = look(model, settings);
        let (step, slots) = leap(&mut graph, slots, view, model, settings);
        Self { graph, phases: vec![step], slots }
    }

    /// As [`Self::new`], of two phases, for attacks of a single step: one look at a clean sample serves any number of leaps.
    pub fn in_two(model: &Model, settings: &Settings) -> Self {
        let (mut graph, slots, view) = look(model, settings);
        let gradient = graph.state("gradient", Shape::lanes(&model.config.input_shape()));
        let success = graph.state("success", Shape::lanes(&[]));
        let mut look = Phase::new();
        look.assign(&mut graph, gradient, view.gradient);
        look.assign(&mut graph, success, view.success);
        let loss = graph.state("loss", Shape::lanes(&[]));
        look.assign(&mut graph, loss, view.loss);
        let words = view.words.map(|words| {
            let shape = graph.shape(words).clone();
            let kept = graph.state("words' gradient", shape);
            look.assign(&mut graph, kept, words);
            graph.load(kept)
        });
        let kept = View {
            loss: graph.load(loss),
            gradient: graph.load(gradient),
            success: graph.load(success),
            words,
            reading: view.reading,
        };
        let (leap, slots) = leap(&mut graph, slots, kept, model, settings);
        Self { graph, phases: vec![look, leap], slots }
    }
}

/// The model at the iterate.
fn look(model: &Model, settings: &Settings) -> (Graph, Slots, View) {
    let mut graph = Graph::new();
    let slots = Slots::new(&mut graph, &model.config.input_shape(), settings);
    let x = graph.load(slots.x);
    let (logits, reading) = decide(&mut graph, model, x, slots.finding, slots.threshold);
    let label = graph.load(slots.label);
    let target = settings.targeted.then(|| graph.load(slots.target));
    let ascended = loss::ascended(&mut graph, settings.loss, logits, label, target);
    let by: Vec<Tensor> =
        [Some(x), reading.as_ref().map(|reading| reading.embedded)].into_iter().flatten().collect();
    let gradients = loss::gradients(&mut graph, settings.precision, ascended, &by);
    let success = success(&mut graph, logits, label, target);
    let words = gradients.get(1).copied();
    (graph, slots, View { loss: ascended.value, gradient: gradients[0], words, reading, success })
}

/// From the iterate to the next one, within budget and bounds, for every lane that takes a step.
fn leap(
    graph: &mut Graph,
    mut slots: Slots,
    view: View,
    model: &Model,
    settings: &Settings,
) -> (Phase, Slots) {
    let dims = model.config.input_shape();
    let running = running(graph, &slots, view.success);
    let x = graph.load(slots.relaxed.unwrap_or(slots.x));
    let region = Region {
        x0: graph.load(slots.x0),
        low: graph.load(slots.low),
        high: graph.load(slots.high),
        scale: scale_tensor(graph, &settings.scale, &dims),
        radius: graph.load(slots.radius),
    };
    let parts::Next { x, relaxed, memory } = parts::next(graph, &mut slots, settings, x, &view, region);

    let mut phase = Phase::new();
    let wide = graph.expand(running, dims.len());
    let mut keep = |graph: &mut Graph, state: State, value: Tensor| {
        let before = graph.load(state);
        let value = graph.select(wide, value, before);
        phase.assign(graph, state, value);
    };
    keep(graph, slots.x, x);
    if let Some(state) = slots.relaxed {
        keep(graph, state, relaxed);
    }
    for (state, value) in memory {
        keep(graph, state, value);
    }
    let attacked = parts::attacked_gradient(graph, settings, &view);
    count(graph, &mut phase, &slots, running, view.success, attacked);
    climb(graph, &mut phase, slots.ascent, running, view.loss);
    (phase, slots)
}

/// The deciding logits of `x`, and what a text in it is read as.
fn decide(
    graph: &mut Graph,
    model: &Model,
    x: Tensor,
    finding: State,
    threshold: State,
) -> (Tensor, Option<Reading>) {
    let (logits, reading) = model.read(graph, x);
    let (finding, threshold) = (graph.load(finding), graph.load(threshold));
    let sigmoid = model.config.head == Head::Sigmoid;
    (loss::decision_logits(graph, logits, sigmoid, finding, threshold), reading)
}

/// 1 where the model says something else than the label, or the target.
fn success(graph: &mut Graph, logits: Tensor, label: Tensor, target: Option<Tensor>) -> Tensor {
    let margin = match target {
        None => loss::margin(graph, logits, label),
        Some(target) => {
            let short = loss::margin(graph, logits, target);
            graph.unary(Unary::Neg, short)
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

/// Advances the counters; `gradient` is that of the attacked values.
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
    // What is no number leads nowhere either.
    let sizes = graph.unary(Unary::Abs, gradient);
    let leads = graph.less(zero, sizes);
    let leading = graph.sum_lane(leads);
    let share = graph.scale(leading, -1.0 / entries as f32);
    let share = graph.shift(share, 1.0);
    let counted = graph.mul(share, running);
    let zeros = graph.load(slots.zero_gradients);
    let zeros = graph.add(zeros, counted);
    step.assign(graph, slots.zero_gradients, zeros);
}

/// Notes how far the loss has risen.
fn climb(graph: &mut Graph, step: &mut Phase, ascent: Ascent, running: Tensor, loss: Tensor) {
    let [taken, first, best] = [ascent.taken, ascent.first, ascent.best].map(|state| graph.load(state));
    let zero = graph.scalar(0.0);
    let fresh = graph.equal(taken, zero);
    let from = graph.select(fresh, loss, first);
    let before = graph.select(fresh, loss, best);
    let top = graph.max(before, loss);
    let rise = graph.sub(top, before);
    let all = graph.sub(top, from);
    let many = graph.add(taken, running);
    let pace = graph.mul(rise, many);
    let pace = graph.scale(pace, STILL);
    let rises = graph.less(all, pace);
    let still = graph.load(ascent.rising);
    for (state, now, was) in
        [(ascent.first, from, first), (ascent.best, top, best), (ascent.rising, rises, still)]
    {
        let kept = graph.select(running, now, was);
        step.assign(graph, state, kept);
    }
    step.assign(graph, ascent.taken, many);
}

/// The scale of every value, one each.
pub(super) fn every_scale(graph: &mut Graph, scale: &[f32], dims: &[usize]) -> Tensor {
    let len = dims.iter().product();
    let each = if scale.len() == len { scale.to_vec() } else { vec![scale[0]; len] };
    scale_tensor(graph, &each, dims)
}

fn scale_tensor(graph: &mut Graph, scale: &[f32], dims: &[usize]) -> Tensor {
    if scale.len() == 1 { graph.scalar(scale[0]) } else { graph.constant(&Arc::new(scale.to_vec()), dims) }
}

impl Slots {
    fn new(graph: &mut Graph, dims: &[usize], settings: &Settings) -> Self {
        let mut sample = |name: &str| graph.state(name, Shape::lanes(dims));
        let (x, x0, low, high) = (sample("x"), sample("x0"), sample("low"), sample("high"));
        let relaxed = (!settings.one_hot.is_empty()).then(|| sample("relaxed"));
        let mut number = |name: &str| graph.state(name, Shape::lanes(&[]));
        let beside = settings.beside.iter().map(|_| [number("radius"), number("step size")]).collect();
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
            beside,
            remaining: number("remaining"),
            stop: number("stop"),
            done: number("done"),
            zero_gradients: number("zero gradients"),
            ascent: Ascent {
                taken: number("steps taken"),
                first: number("first loss"),
                best: number("best loss"),
                rising: number("rising"),
            },
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
