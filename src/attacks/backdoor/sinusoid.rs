//! Vertical stripes over the whole image.

use std::f64::consts::TAU;

use super::{Modality, Setting, Stamp, Trigger};
use crate::Result;
use crate::attacks::chosen::real;
use crate::attacks::{Kind, Knowledge, Parameter, Value};

/// SIG.
pub static SINUSOID: Trigger = Trigger {
    name: "sinusoid",
    aliases: &["sig"],
    summary: "A horizontal sine wave added to every row.",
    paper: "Barni, Kallas & Tondi 2019, A new backdoor attack in CNNs by training set corruption without label poisoning (arXiv \
            1902.11237)",
    knowledge: Knowledge::BlackBox,
    revision: 1,
    modality: Modality::Image,
    amplitude: "The wave's amplitude (delta), in the data's unit.",
    most: 1e9,
    parameters: &[Parameter {
        name: "cycles",
        doc: "Cycles over the image's width (f).",
        kind: Kind::Real(0.0, 1e6),
        default: Value::Real(6.0),
    }],
    prepare,
};

/// `x + delta sin(2 pi j f / width)` in column j.
fn prepare(setting: &Setting) -> Result<Stamp> {
    let [height, width, channels] = setting.extents();
    let cycles = real(setting.get, "cycles");
    let row: Vec<f32> = (0..width)
        .map(|column| setting.amplitude * (TAU * cycles * column as f64 / width as f64).sin())
        .flat_map(|value| std::iter::repeat_n(value as f32, channels))
        .collect();
    Ok(Stamp::additive(setting.data, row.repeat(height)))
}
