//! A cell as the engine wants it, and what came of one sample under it.

use std::sync::Arc;

use super::subject::{Subject, margin, prediction};
use crate::attacks::evasion::Settings;

/// What counts as success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Goal {
    /// Any other class than the true one, on samples of every class.
    Any,
    /// As `Any`, on samples of this class only.
    AnyFrom(u32),
    /// This class, on samples of the others.
    Target(u32),
}

/// A budget with the step size that goes with it, in the data's scaled units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rung {
    /// The budget.
    pub eps: f64,
    /// Length of a step.
    pub step_size: f64,
}

/// Jobs on a subject.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    /// The model with its data.
    pub subject: &'a Subject,
    /// What is asked of it.
    pub jobs: &'a [Job],
}

/// One cell, resolved for the engine.
#[derive(Clone, Debug)]
pub struct Job {
    /// What its lanes must have in common.
    pub settings: Settings,
    /// Budget in the data's scaled units.
    pub eps: f64,
    /// Step size in the same units.
    pub step_size: f64,
    /// Budgets of the inputs that move beside (`settings.beside`), in their scaled units.
    pub beside: Arc<[f64]>,
    /// Steps at most.
    pub steps: u64,
    /// Runs of a sample.
    pub restarts: u64,
    /// Whether runs start at random.
    pub random_start: bool,
    /// Whether a lane ends at its first success.
    pub stop_on_success: bool,
    /// What counts as success.
    pub goal: Goal,
    /// The finding that is attacked, 0 for other heads.
    pub finding: usize,
    /// Real parameters of the attack, by name.
    pub parameters: Vec<(&'static str, f32)>,
    /// The name of its stream of random numbers.
    pub stream: Arc<str>,
    /// The seed of the stream.
    pub seed: u64,
    /// Budgets, ascending, among which each sample's smallest breaking one is found by bisection; this job's is one of them. `None`: this
    /// job's own budget is run.
    pub bisected: Option<Arc<[Rung]>>,
    /// Whether the inputs that its lanes come to are wanted.
    pub keeps_inputs: bool,
}

/// What came of one sample under one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The adversarial (the clean input where nothing was attacked); empty unless the job keeps inputs.
    pub x: Vec<f32>,
    /// Its raw logits by the judge.
    pub logits: Vec<f32>,
    /// Whether the sample counts as attacked: right when clean; if targeted, of another class and not called the target when clean.
    pub attacked: bool,
    /// Whether the judge found the aim reached.
    pub success: bool,
    /// Features that changed.
    pub l0: u64,
    /// l1, l2, linf norms of the change, in scaled units.
    pub norms: [f64; 3],
    /// Steps taken, over all restarts.
    pub steps_used: u64,
    /// Forward passes.
    pub forward_calls: u64,
    /// Gradients.
    pub gradient_calls: u64,
    /// Sum over the steps of the share of zero gradient entries.
    pub zero_gradients: f64,
    /// Whether the loss still rose at the end of its run: more steps may find more.
    pub rising: bool,
    /// Its share of the device's time.
    pub seconds: f64,
    /// Not computed at this budget: it follows from other budgets of a ladder that was bisected.
    pub inferred: bool,
}

impl Job {
    /// Its budget and step size.
    pub(super) fn rung(&self) -> Rung {
        Rung { eps: self.eps, step_size: self.step_size }
    }

    /// A copy of an input, if anybody looks at it later: who stores it, or the next run of a search, which starts there.
    pub(super) fn kept(&self, x: &[f32]) -> Vec<f32> {
        if self.keeps_inputs || self.bisected.is_some() { x.to_vec() } else { Vec::new() }
    }

    /// Whether it is one gradient at the clean input, whatever the budget.
    pub(super) fn leaps(&self) -> bool {
        self.steps == 1 && !self.random_start
    }

    /// What a sample is to this job: whether it counts as attacked, and whether a lane is needed.
    pub(super) fn role(&self, subject: &Subject, sample: usize) -> (bool, bool) {
        if !subject.labelled(sample, self.finding) {
            return (false, false);
        }
        let label = subject.label(sample, self.finding);
        let deciding = subject.deciding(subject.clean_logits(sample), self.finding);
        let answer = prediction(&deciding);
        // A finding that is taken for another one is still seen, so that it can be hidden.
        let (meant, unbroken) = match self.goal {
            Goal::Any => (true, answer == label),
            Goal::AnyFrom(class) => (label == class, answer == label),
            Goal::Target(class) => (label != class, answer != class),
        };
        // Run to the end, a sample that needs no attack is attacked as well: the attack may even correct it.
        (unbroken && meant, meant && (unbroken || !self.stop_on_success))
    }

    /// Whether these logits of a sample reach the aim. NaN answers nothing: it breaks an untargeted sample and hits no target.
    fn succeeds(&self, subject: &Subject, sample: usize, deciding: &[f32]) -> bool {
        match self.goal {
            Goal::Any | Goal::AnyFrom(_) => prediction(deciding) != subject.label(sample, self.finding),
            Goal::Target(class) => prediction(deciding) == class,
        }
    }

    /// How far the aim is reached by these logits of a sample: positive exactly where the prediction is a success. The margin only
    /// orders outcomes: it is 0 at a tie, which the prediction decides, and NaN comes last of its kind.
    pub(super) fn reach(&self, subject: &Subject, sample: usize, logits: &[f32]) -> f32 {
        let deciding = subject.deciding(logits, self.finding);
        let by = match self.goal {
            Goal::Any | Goal::AnyFrom(_) => -margin(&deciding, subject.label(sample, self.finding)),
            Goal::Target(class) => margin(&deciding, class),
        };
        if self.succeeds(subject, sample, &deciding) {
            by.max(f32::MIN_POSITIVE)
        } else if by.is_nan() {
            f32::NEG_INFINITY
        } else {
            by.min(0.0)
        }
    }
}
