//! Hyper-parameters that several membership attacks share, and how their values are read.

use crate::attacks::{Kind, Parameter, Value};

/// Which shadow models there are.
pub(super) const MODE: Parameter = Parameter {
    name: "mode",
    doc: "online: shadow models trained with and without each candidate; offline: only those without are looked at.",
    kind: Kind::Choice(&["online", "offline"]),
    default: Value::Word("online"),
};

/// Whether classes have thresholds of their own.
pub(super) const THRESHOLD: Parameter = Parameter {
    name: "threshold",
    doc: "shared: one threshold for all candidates, the score is the statistic itself; class: the score is how far the statistic lies \
          above the threshold of its class, which is the one of best balanced accuracy on the shadow models.",
    kind: Kind::Choice(&["shared", "class"]),
    default: Value::Word("shared"),
};

/// How often each candidate is asked.
pub(super) const QUERIES: Parameter = Parameter {
    name: "queries",
    doc: "How many variants of each candidate every model is asked: itself, then small shifts of an image or signal, or a record with a little \
          noise; the same for all models.",
    kind: Kind::Whole(1, 64),
    default: Value::Whole(1),
};

/// The word in a value.
pub(super) fn word(value: Value) -> &'static str {
    match value {
        Value::Word(value) => value,
        other => unreachable!("{other} was checked to be a word"),
    }
}

/// The real number in a value.
pub(super) fn real(value: Value) -> f64 {
    match value {
        Value::Real(value) => value,
        other => unreachable!("{other} was checked to be a real number"),
    }
}

/// The whole number in a value.
pub(super) fn whole(value: Value) -> u64 {
    match value {
        Value::Whole(value) => value,
        other => unreachable!("{other} was checked to be a whole number"),
    }
}
