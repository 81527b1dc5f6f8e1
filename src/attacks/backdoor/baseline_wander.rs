//! A baseline that wanders as breathing makes it.

use super::pattern::{PHASE, sine_wave};
use super::{Modality, Stamp, Trigger};
use crate::attacks::chosen::real;
use crate::attacks::{Kind, Knowledge, Parameter, Value};

/// Baseline wander.
pub static BASELINE_WANDER: Trigger = Trigger {
    name: "baseline-wander",
    aliases: &["wander"],
    summary: "A slow wave under the signal, as breathing makes it.",
    paper: "an artefact of every ECG recorder (Sornmo & Laguna 2005, Bioelectrical signal processing, section 7.1) as a trigger; ours",
    knowledge: Knowledge::BlackBox,
    revision: 1,
    modality: Modality::Ecg,
    amplitude: "Amplitude of the wave (half of peak to peak, of which a short sample may hold only a part) in mV.",
    most: 1e3,
    parameters: &[
        Parameter {
            name: "hertz",
            doc: "Its frequency in Hz, at most 0.5.",
            kind: Kind::Real(0.01, 0.5),
            default: Value::Real(0.3),
        },
        PHASE,
    ],
    prepare: |setting| {
        let wave = sine_wave(setting, real(setting.get, "hertz"), real(setting.get, "phase"))?;
        Ok(Stamp::additive(setting.data, wave))
    },
};
