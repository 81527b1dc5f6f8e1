//! Reading chosen parameters: the study's check has made sure of their types.

use super::{Chosen, Value};

/// The real number called `name`.
pub(crate) fn real(get: Chosen, name: &str) -> f64 {
    match get(name) {
        Value::Real(value) => value,
        Value::Whole(value) => value as f64,
        other => unreachable!("{name} = {other} was checked to be a number"),
    }
}

/// The whole number called `name`.
pub(crate) fn whole(get: Chosen, name: &str) -> u64 {
    match get(name) {
        Value::Whole(value) => value,
        other => unreachable!("{name} = {other} was checked to be a whole number"),
    }
}

/// The whole number called `name`, `None` where a word such as `any` takes its place.
pub(crate) fn whole_if_set(get: Chosen, name: &str) -> Option<u64> {
    match get(name) {
        Value::Word(_) => None,
        Value::Whole(value) => Some(value),
        other => unreachable!("{name} = {other} was checked to be a whole number"),
    }
}

/// The word called `name`.
pub(crate) fn word(get: Chosen, name: &str) -> &'static str {
    match get(name) {
        Value::Word(value) => value,
        other => unreachable!("{name} = {other} was checked to be a word"),
    }
}
