//! Evasion at inference: what gradient attacks have in common is here, what sets one apart is its file.
//!
//! A lane is one sample under one configuration. Everything that differs between configurations (budget, step size, number of
//! steps, label, target, bounds) is data of the lane, so one program serves them all; [`Settings`] is what it cannot share.

mod ball;
pub mod bim;
mod categories;
pub mod fgsm;
pub mod hotflip;
pub mod loss;
pub mod mifgsm;
mod parameters;
mod parts;
pub mod pgd;
mod program;
pub mod start;

use std::ops::Range;
use std::sync::Arc;

use percuss_kernels::Precision;

use self::ball::Region;
use self::loss::Loss;
pub use self::parameters::crossing;
pub use self::parts::Part;
pub use self::program::{EvasionProgram, JudgeProgram, Slots};
use super::{Attack, Norm};
use crate::graph::{Graph, Shape, State, Tensor};
use crate::models::Reading;

/// From an iterate and the gradient there to the next candidate, before projection.
pub type Step = fn(&mut StepContext) -> Tensor;

/// What a step is built from: a sample, or the part of it that a budget is for.
pub struct StepContext<'g> {
    /// The graph under construction.
    pub graph: &'g mut Graph,
    /// The norm of the budget.
    pub norm: Norm,
    /// The current iterate.
    pub x: Tensor,
    /// The ascended loss at the iterate, one a lane.
    loss: Tensor,
    /// Its gradient, in scaled units; of a text by its words' embeddings `[tokens, width]`.
    pub gradient: Tensor,
    region: Region,
    step_size: State,
    /// Of a text, what it is read as.
    reading: Option<Reading>,
    settings: &'g Settings,
    slots: &'g mut Slots,
    moved: Vec<(State, Tensor)>,
}

impl StepContext<'_> {
    /// A lane's own memory in the iterate's shape, zero at the lane's first step.
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
        let step_size = self.graph.load(self.step_size);
        let step_size = self.graph.expand(step_size, rank);
        let step = self.graph.mul(step_size, self.region.scale);
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
    /// The input that the budget is for, among a sample's values; `None` where that is the whole sample.
    pub input: Option<Range<usize>>,
    /// Other inputs that move, each under a budget of its own.
    pub beside: Arc<[Part]>,
    /// The loss.
    pub loss: Loss,
    /// Whether lanes have a target.
    pub targeted: bool,
    /// Exact projection, or scaling.
    pub exact: bool,
    /// Words chosen for further parameters of the attack.
    pub choices: Vec<(&'static str, &'static str)>,
    /// The data's scale of a perturbation: one value, or one a feature.
    pub scale: Arc<[f32]>,
    /// Features that stay the one-hot coding of a category each.
    pub one_hot: Arc<[Range<usize>]>,
    /// What the program's products multiply; whether a lane succeeded is decided elsewhere, in f32.
    pub precision: Precision,
}

impl Settings {
    /// Whether lanes under the other settings can run in the same program.
    pub fn shares_program(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.attack.step, other.attack.step)
            && (self.norm, self.loss, self.targeted, self.exact)
                == (other.norm, other.loss, other.targeted, other.exact)
            && (&self.choices, &self.input, &self.beside) == (&other.choices, &other.input, &other.beside)
            && self.scale == other.scale
            && self.one_hot == other.one_hot
            && self.precision == other.precision
    }
}
