//! Hyper-parameters that several attacks share.

use crate::attacks::{Kind, Parameter, Value};

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
    doc: "Length of a step in the attack's norm: a number in the data's units, or { rel = R } times eps.",
    kind: Kind::StepSize,
    default: Value::Relative(0.1),
};

/// Whether to start at random.
pub(super) const RANDOM_START: Parameter = Parameter {
    name: "random_start",
    doc: "Start from a uniformly random point of the ball, cut to the data's bounds, instead of the clean input.",
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

/// The whole number in a value.
pub(super) fn whole(value: Value) -> u64 {
    match value {
        Value::Whole(value) => value,
        other => unreachable!("{other} was checked to be a whole number"),
    }
}
