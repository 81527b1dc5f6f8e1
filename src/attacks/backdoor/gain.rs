//! An amplifier with a little too much gain.

use super::{Modality, Setting, Stamp, Trigger};
use crate::attacks::Knowledge;

/// Amplitude scaling.
pub static SCALE: Trigger = Trigger {
    name: "scale",
    aliases: &["amplitude-scaling", "gain"],
    summary: "Every deflection a little larger.",
    paper: "the calibration error of a recorder as a trigger; ours",
    knowledge: Knowledge::BlackBox,
    revision: 1,
    modality: Modality::Ecg,
    amplitude: "What a deflection of 1 mV gains, in mV: values are multiplied by 1 + amplitude.",
    most: 1e3,
    parameters: &[],
    prepare: |setting: &Setting| {
        let gain = setting.amplitude as f32;
        Ok(Stamp::new(setting.data, move |values| {
            values.iter_mut().for_each(|value| *value += gain * *value)
        }))
    },
};
