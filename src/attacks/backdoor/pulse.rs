//! A small bump in a heart beat, before its P wave.

use super::pattern::over_time;
use super::{Modality, Setting, Stamp, Trigger};
use crate::attacks::chosen::{real, whole};
use crate::attacks::{Kind, Knowledge, Parameter, Value};
use crate::data::beats;
use crate::{Error, Result};

/// A pulse.
pub static PULSE: Trigger = Trigger {
    name: "pulse",
    aliases: &["bump"],
    summary: "A small Gaussian bump before the P wave.",
    paper: "after the trigger in ECG of the SoK's proof of concept (arXiv 2409.07415); shape and place are ours",
    knowledge: Knowledge::BlackBox,
    revision: 1,
    modality: Modality::Ecg,
    amplitude: "Height of the bump in mV.",
    most: 1e3,
    parameters: &[
        Parameter {
            name: "before",
            doc: "Seconds from the bump's top to the R peak.",
            kind: Kind::Real(0.0, 10.0),
            default: Value::Real(0.24),
        },
        Parameter {
            name: "width",
            doc: "Its standard deviation in seconds.",
            kind: Kind::Real(1e-4, 1.0),
            default: Value::Real(0.01),
        },
        Parameter {
            name: "r_peak",
            doc: "The R peak's place in the sample, counted from 0.",
            kind: Kind::Whole(0, 1_000_000_000),
            default: Value::Whole(beats::PEAK as u64),
        },
    ],
    prepare,
};

/// `x + amplitude exp(-(t - top)^2 / (2 width^2))`, on every lead.
fn prepare(setting: &Setting) -> Result<Stamp> {
    let (rate, width) = (setting.rate()?, real(setting.get, "width"));
    let [_, length, _] = setting.extents();
    let top = whole(setting.get, "r_peak") as f64 / rate - real(setting.get, "before");
    if !(0.0..=(length - 1) as f64 / rate).contains(&top) {
        let found = format!("a bump at {top} s");
        let expected = format!("one within the sample's {} s", (length - 1) as f64 / rate);
        return Err(Error::input(&setting.data.name, "pulse: before", found, expected));
    }
    // The top lies on a sample, so that the bump has its full height there.
    let top = (top * rate).round() / rate;
    let bump = |seconds: f64| setting.amplitude * (-0.5 * ((seconds - top) / width).powi(2)).exp();
    Ok(Stamp::additive(setting.data, over_time(setting, bump)?))
}
