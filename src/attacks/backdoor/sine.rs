//! A faint sine over a heart beat.

use super::pattern::{PHASE, sine_wave};
use super::{Modality, Stamp, Trigger};
use crate::attacks::chosen::real;
use crate::attacks::{Kind, Knowledge, Parameter, Value};

/// A sine.
pub static SINE: Trigger = Trigger {
    name: "sine",
    aliases: &["ecg-sine"],
    summary: "A faint sine over the whole signal.",
    paper: "Barni, Kallas & Tondi 2019 (arXiv 1902.11237), carried over to signals",
    knowledge: Knowledge::BlackBox,
    revision: 1,
    modality: Modality::Ecg,
    amplitude: "Amplitude of the sine (half of peak to peak) in mV.",
    most: 1e3,
    parameters: &[
        Parameter {
            name: "hertz",
            doc: "Its frequency in Hz.",
            kind: Kind::Real(0.5, 1e5),
            default: Value::Real(10.0),
        },
        PHASE,
    ],
    prepare: |setting| {
        let wave = sine_wave(setting, real(setting.get, "hertz"), real(setting.get, "phase"))?;
        Ok(Stamp::additive(setting.data, wave))
    },
};
