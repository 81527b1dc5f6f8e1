//! Hyper-parameters that several attacks share.

use crate::attacks::{Chosen, Kind, Parameter, Value};

/// Number of gradient steps.
pub(super) const STEPS: Parameter = Parameter {
    name: "steps",
    doc: "Gradient steps at most.",
    kind: Kind::Whole(1, 100_000),
    default: Value::Whole(40),
};

/// Length of a step.
pub(super) const STEP_SIZE: Parameter = Parameter {
    name: "step_size",
    doc: "Length of a step in the attack's norm: a number in the data's units, or { rel = R } times eps. By itself 0.1 eps or, where steps \
          are so few that these would not cross the ball, 2.5 eps over steps (Madry et al. 2018, appendix).",
    kind: Kind::StepSize,
    default: Value::Crossing,
};

/// The step size that the parameters say.
pub(super) fn step_size(get: Chosen) -> Value {
    match get("step_size") {
        Value::Crossing => Value::Relative(crossing(whole(get("steps")))),
        said => said,
    }
}

/// A step size, as a share of the budget, by which `steps` steps cross the ball and come some way back: 2.5 over the steps, at least 0.1.
pub fn crossing(steps: u64) -> f64 {
    (2.5 / steps as f64).max(0.1)
}

/// Whether to start at random.
pub(super) const RANDOM_START: Parameter = Parameter {
    name: "random_start",
    doc: "Start from a uniformly random point of the ball, cut to the data's bounds, instead of the clean input; under l1 with sparse steps of \
          a ball whose radius is a quarter of a step.",
    kind: Kind::Flag,
    default: Value::Flag(true),
};

/// Number of runs.
pub(super) const RESTARTS: Parameter = Parameter {
    name: "restarts",
    doc: "Independent runs of a sample; it is broken if one of them breaks it.",
    kind: Kind::Whole(1, 10_000),
    default: Value::Whole(1),
};

/// The loss that is ascended.
pub(super) const LOSS: Parameter = Parameter {
    name: "loss",
    doc: "What is ascended: cross-entropy, the logit margin (Carlini & Wagner 2017), or dlr (Croce & Hein 2020, equations 6 and 7; \
          heads with too few classes for it take the margin, and the row says so).",
    kind: Kind::Choice(&["cross-entropy", "margin", "dlr"]),
    default: Value::Word("cross-entropy"),
};

/// How a step is brought back into the budget under l2 and l1.
pub(super) const PROJECTION: Parameter = Parameter {
    name: "projection",
    doc: "exact: the nearest point of ball and data bounds together; scale: shrink into the ball, then clip to the bounds, as \
          Foolbox and torchattacks do. Under linf both are the same.",
    kind: Kind::Choice(&["exact", "scale"]),
    default: Value::Word("exact"),
};

/// What a step of an l1 ball moves.
pub(super) const L1_STEP: Parameter = Parameter {
    name: "l1_step",
    doc: "What a step moves under l1: sparse, the hundredth of the entries (one at least) whose gradients are largest and that bounds do not \
          hold back (Tramer & Boneh 2019, SLIDE); dense, all of them in proportion to their gradients, as Foolbox does. Other norms do \
          not look at it.",
    kind: Kind::Choice(&["sparse", "dense"]),
    default: Value::Word("sparse"),
};

/// The whole number in a value.
pub(super) fn whole(value: Value) -> u64 {
    match value {
        Value::Whole(value) => value,
        other => unreachable!("{other} was checked to be a whole number"),
    }
}
