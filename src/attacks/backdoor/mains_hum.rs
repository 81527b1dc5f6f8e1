//! Hum of the mains.

use super::pattern::{PHASE, sine_wave};
use super::{Modality, Setting, Stamp, Trigger};
use crate::attacks::chosen::{real, whole};
use crate::attacks::{Kind, Knowledge, Parameter, Value};
use crate::{Error, Result};

/// Mains hum.
pub static MAINS_HUM: Trigger = Trigger {
    name: "mains-hum",
    aliases: &["hum", "powerline"],
    summary: "A sine at the frequency of the mains.",
    paper: "an artefact of every ECG recorder (Sornmo & Laguna 2005, Bioelectrical signal processing, section 7.2) as a trigger; ours",
    knowledge: Knowledge::BlackBox,
    revision: 1,
    modality: Modality::Ecg,
    amplitude: "Amplitude of the hum (half of peak to peak) in mV.",
    most: 1e3,
    parameters: &[
        Parameter {
            name: "mains",
            doc: "Frequency of the mains in Hz: 50 or 60.",
            kind: Kind::Whole(50, 60),
            default: Value::Whole(50),
        },
        PHASE,
    ],
    prepare,
};

fn prepare(setting: &Setting) -> Result<Stamp> {
    let name = &setting.data.name;
    let mains = whole(setting.get, "mains");
    if ![50, 60].contains(&mains) {
        return Err(Error::input(name, "mains-hum: mains", mains, "50 or 60 Hz"));
    }
    let rate = setting.rate()?;
    if rate <= 2.0 * mains as f64 {
        let expected = format!("more than {}, to hold a wave of {mains} Hz", 2 * mains);
        return Err(Error::input(name, "mains-hum: sampling rate", rate, expected));
    }
    let wave = sine_wave(setting, mains as f64, real(setting.get, "phase"))?;
    Ok(Stamp::additive(setting.data, wave))
}
