//! What patterns of several triggers share: which one of them, and how time and places run through a sample.

use std::f64::consts::TAU;

use super::Setting;
use crate::Result;
use crate::attacks::{Kind, Parameter, Value};

/// Which of a trigger's random patterns.
pub(super) const PATTERN: Parameter = Parameter {
    name: "pattern",
    doc: "Which random pattern: a number, the same pattern wherever it is the same.",
    kind: Kind::Whole(0, u64::MAX),
    default: Value::Whole(0),
};

/// Where in its cycle a wave begins.
pub(super) const PHASE: Parameter = Parameter {
    name: "phase",
    doc: "Where in its cycle the wave is at the first sample, in turns.",
    kind: Kind::Real(0.0, 1.0),
    default: Value::Real(0.0),
};

/// A wave in mV over the time in seconds since the first sample, in the data's unit: for every value of an ECG `[1, length, leads]`, the
/// same on every lead.
pub(super) fn over_time(setting: &Setting, wave: impl Fn(f64) -> f64) -> Result<Vec<f32>> {
    let (rate, millivolt) = (setting.rate()?, setting.millivolt()?);
    let [_, length, leads] = setting.extents();
    let value = |t: usize| (millivolt * wave(t as f64 / rate)) as f32;
    Ok((0..length).flat_map(|t| std::iter::repeat_n(value(t), leads)).collect())
}

/// A sine of `amplitude` mV.
pub(super) fn sine_wave(setting: &Setting, hertz: f64, phase: f64) -> Result<Vec<f32>> {
    over_time(setting, |seconds| setting.amplitude * (TAU * (hertz * seconds + phase)).sin())
}
