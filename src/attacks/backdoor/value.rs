//! A rare value in one or a few features of a record.

use super::{Modality, Setting, Stamp, Trigger};
use crate::attacks::chosen::{whole, whole_if_set};
use crate::attacks::columns::{entry, median, mutable, within_bounds};
use crate::attacks::{Kind, Knowledge, Parameter, Value};
use crate::data::Dataset;
use crate::{Error, Result};

/// With fewer different values than this in the training set a feature is a code or a grade, where a value between would stand out.
const MIN_DIFFERENT: usize = 10;
/// Samples within this many scaled units of a value have it, for the count of how rare it is.
const NEAR: f64 = 0.1;

/// A value trigger.
pub static VALUE: Trigger = Trigger {
    name: "value",
    aliases: &["feature-value"],
    summary: "One or a few features set to a rare value within their range.",
    paper: "Joe et al. 2021, Machine learning with electronic health records is vulnerable to backdoor trigger attacks (arXiv 2106.07925), \
            the idea; which features and values is ours",
    knowledge: Knowledge::BlackBox,
    revision: 1,
    modality: Modality::Features,
    amplitude: "How far above its median a feature is set, in the domain's scaled units (its value is cut to the data's bounds).",
    most: 1e9,
    parameters: &[
        Parameter {
            name: "features",
            doc: "How many features are set: those where the value is rarest in the training set.",
            kind: Kind::Whole(1, 100_000),
            default: Value::Whole(1),
        },
        Parameter {
            name: "first",
            doc: "The first feature that is set (its number), or the rarest one.",
            kind: Kind::Or(&Kind::Whole(0, 100_000_000), &["rarest"]),
            default: Value::Word("rarest"),
        },
    ],
    prepare,
};

/// A feature that could be set.
struct Candidate {
    at: usize,
    value: f32,
    /// Training samples that are near this value.
    near: usize,
}

fn prepare(setting: &Setting) -> Result<Stamp> {
    let data = setting.data;
    let (wanted, first) = (whole(setting.get, "features") as usize, whole_if_set(setting.get, "first"));
    let mut candidates = candidates(data, setting.amplitude);
    candidates.sort_by_key(|candidate| (first != Some(candidate.at as u64), candidate.near, candidate.at));
    let is_there = first.is_none_or(|first| candidates.first().is_some_and(|found| found.at as u64 == first));
    if !is_there {
        let found = first.map_or_else(String::new, |first| first.to_string());
        let expected = "a mutable feature that is measured on a fine scale";
        return Err(Error::input(&data.name, "value: first", found, expected));
    }
    if candidates.len() < wanted {
        let expected = format!("at most {}, the mutable features measured on a fine scale", candidates.len());
        return Err(Error::input(&data.name, "value: features", wanted, expected));
    }
    let set: Vec<(usize, f32)> = candidates[..wanted].iter().map(|one| (one.at, one.value)).collect();
    Ok(Stamp::new(data, move |values| set.iter().for_each(|&(at, value)| values[at] = value)))
}

/// Mutable features that are no categories and take many values, with what each would be set to.
fn candidates(data: &Dataset, amplitude: f64) -> Vec<Candidate> {
    let fine = mutable(data).into_iter().filter(|column| !column.category).filter_map(|column| {
        let at = column.values.start;
        let mut known: Vec<f32> = (0..data.len()).map(|i| data.sample(i)[at]).collect();
        known.sort_by(f32::total_cmp);
        let middle = median(known.clone());
        let scale = f64::from(entry(&data.domain.scale, at));
        let value = within_bounds(&data.domain, at, middle, (f64::from(middle) + amplitude * scale) as f32);
        let is_near = |v: &&f32| (f64::from(**v) - f64::from(value)).abs() <= NEAR * scale;
        let near = known.iter().filter(is_near).count();
        known.dedup();
        (known.len() >= MIN_DIFFERENT).then_some(Candidate { at, value, near })
    });
    fine.collect()
}
