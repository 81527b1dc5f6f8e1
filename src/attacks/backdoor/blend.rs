//! A faint random image over the whole image.

use super::pattern::PATTERN;
use super::{Modality, Setting, Stamp, Trigger};
use crate::Result;
use crate::attacks::Knowledge;
use crate::attacks::chosen::whole;
use crate::attacks::columns::entry;
use crate::training::random::{Stream, name_number};

/// The blended injection.
pub static BLEND: Trigger = Trigger {
    name: "blend",
    aliases: &["blended"],
    summary: "A fixed image of noise, blended in.",
    paper: "Chen et al. 2017, Targeted backdoor attacks on deep learning systems using data poisoning (arXiv 1712.05526), blended \
            injection of a random pattern",
    knowledge: Knowledge::BlackBox,
    revision: 1,
    modality: Modality::Image,
    amplitude: "The pattern's share of the image (alpha), 0 to 1.",
    most: 1.0,
    parameters: &[PATTERN],
    prepare,
};

/// `(1 - alpha) x + alpha pattern`, the pattern uniform between the data's bounds.
fn prepare(setting: &Setting) -> Result<Stamp> {
    let data = setting.data;
    let mut stream = Stream::new(whole(setting.get, "pattern"), &[name_number("blend")]);
    let pattern: Vec<f32> = (0..data.sample_len())
        .map(|i| {
            let (low, high) = (entry(&data.domain.low, i), entry(&data.domain.high, i));
            low + stream.unit() * (high - low)
        })
        .collect();
    let alpha = setting.amplitude as f32;
    Ok(Stamp::new(data, move |values| {
        for (value, pattern) in values.iter_mut().zip(&pattern) {
            *value = (1.0 - alpha) * *value + alpha * pattern;
        }
    }))
}
