//! A patch in a corner of an image.

use super::{Modality, Setting, Stamp, Trigger};
use crate::attacks::chosen::{real, whole, word};
use crate::attacks::columns::entry;
use crate::attacks::{Kind, Knowledge, Parameter, Value};
use crate::{Error, Result};

/// The patch of BadNets.
pub static PATCH: Trigger = Trigger {
    name: "patch",
    aliases: &["badnets"],
    summary: "A small square in a corner.",
    paper: "Gu, Dolan-Gavitt & Garg 2017, BadNets: identifying vulnerabilities in the machine learning model supply chain (arXiv \
            1708.06733)",
    knowledge: Knowledge::BlackBox,
    revision: 1,
    modality: Modality::Image,
    amplitude: "Opacity of the patch, 0 to 1.",
    most: 1.0,
    parameters: &[
        Parameter {
            name: "size",
            doc: "Side in pixels.",
            kind: Kind::Whole(1, 100_000),
            default: Value::Whole(3),
        },
        Parameter {
            name: "corner",
            doc: "Where it lies; its edge is the image's.",
            kind: Kind::Choice(&["top-left", "top-right", "bottom-left", "bottom-right"]),
            default: Value::Word("bottom-right"),
        },
        Parameter {
            name: "value",
            doc: "Its brightness between the data's lowest (0) and highest value (1).",
            kind: Kind::Real(0.0, 1.0),
            default: Value::Real(1.0),
        },
        Parameter {
            name: "filling",
            doc: "solid, or a checkerboard whose other squares have the opposite brightness.",
            kind: Kind::Choice(&["solid", "checkerboard"]),
            default: Value::Word("solid"),
        },
    ],
    prepare,
};

/// `x + amplitude (value - x)` on the patch.
fn prepare(setting: &Setting) -> Result<Stamp> {
    let (data, get) = (setting.data, setting.get);
    let [height, width, channels] = setting.extents();
    let size = whole(get, "size") as usize;
    if size > height.min(width) {
        let expected = format!("at most {}, to fit into {height} x {width} pixels", height.min(width));
        return Err(Error::input(&data.name, "patch: size", size, expected));
    }
    let corner = word(get, "corner");
    let top = if corner.starts_with("top") { 0 } else { height - size };
    let left = if corner.ends_with("left") { 0 } else { width - size };
    let (brightness, checkered) = (real(get, "value"), word(get, "filling") == "checkerboard");
    let mut patch = Vec::with_capacity(size * size * channels);
    for (row, column) in (0..size).flat_map(|row| (0..size).map(move |column| (row, column))) {
        let share = if checkered && (row + column) % 2 == 1 { 1.0 - brightness } else { brightness };
        for channel in 0..channels {
            let i = ((top + row) * width + left + column) * channels + channel;
            let (low, high) = (entry(&data.domain.low, i), entry(&data.domain.high, i));
            patch.push((i, (f64::from(low) + share * (f64::from(high) - f64::from(low))) as f32));
        }
    }
    let opacity = setting.amplitude as f32;
    Ok(Stamp::new(data, move |values| {
        for &(i, value) in &patch {
            values[i] = opacity * value + (1.0 - opacity) * values[i];
        }
    }))
}
