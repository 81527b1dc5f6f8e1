//! Which arrays of an archive are samples and labels, and of which split.

use super::array_options::ArrayOptions;
use super::npz::Npz;
use crate::{Error, Result};

/// Splits in their order, with the names that files give them.
const SPLITS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("val", &["val", "valid", "validation", "dev"]),
    ("test", &["test", "testing"]),
];
/// What samples and labels are called where the study does not say.
const SAMPLES: [&str; 2] = ["images", "x"];
const LABELS: [&str; 2] = ["labels", "y"];

/// One split of an archive.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    /// `train`, `val`, `test`, or `all` of an archive without splits.
    pub split: &'static str,
    /// The arrays of samples: one, or one for each of `inputs`.
    pub samples: Vec<String>,
    /// The array of labels.
    pub labels: String,
}

impl Member {
    /// The archive's name for `column` of this split.
    pub fn column(&self, npz: &Npz, column: &str) -> Option<String> {
        let arrays: Vec<String> = npz.names().to_vec();
        arrays.into_iter().find(|array| self.column_of(array) == Some(column))
    }

    /// What the array is called without its split; `None` of another split's arrays and of samples and labels.
    pub fn column_of<'a>(&self, array: &'a str) -> Option<&'a str> {
        if self.samples.iter().any(|own| own == array) || self.labels == array {
            return None;
        }
        match SPLITS.iter().find(|(split, _)| *split == self.split) {
            None => Some(array),
            Some((_, names)) => names.iter().find_map(|name| without(array, name)),
        }
    }
}

/// `images` of `train_images`, `images_train` and `Train_images`.
fn without<'a>(array: &'a str, split: &str) -> Option<&'a str> {
    let lower = array.to_ascii_lowercase();
    if lower.starts_with(&format!("{split}_")) {
        return array.get(split.len() + 1..);
    }
    lower.ends_with(&format!("_{split}")).then(|| array.get(..array.len() - split.len() - 1)).flatten()
}

/// The splits of an archive, in their order; one called `all` of an archive without.
///
/// # Errors
/// Samples or labels that are not there or are there twice, with the line that names them.
pub(super) fn members(npz: &Npz, options: &ArrayOptions, inputs: &[String]) -> Result<Vec<Member>> {
    let fixed = |name: &Option<String>, usual: &[&'static str]| match name {
        Some(name) => vec![name.clone()],
        None => usual.iter().map(|name| name.to_string()).collect(),
    };
    let labels = fixed(&options.y, &LABELS);
    let samples = match inputs {
        [] => vec![fixed(&options.x, &SAMPLES)],
        inputs => inputs.iter().map(|name| vec![name.clone()]).collect(),
    };
    let mut found = Vec::new();
    for (split, aliases) in SPLITS {
        let of = |names: &[String]| {
            one(npz, |array| {
                aliases.iter().any(|alias| without(array, alias).is_some_and(|rest| is_one(rest, names)))
            })
        };
        let own = samples.iter().map(|names| of(names)).collect::<Result<Option<Vec<String>>>>()?;
        if let (Some(samples), Some(labels)) = (own, of(&labels)?) {
            found.push(Member { split, samples, labels });
        }
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let of = |names: &[String]| one(npz, |array| is_one(array, names));
    let own = samples.iter().map(|names| of(names)).collect::<Result<Option<Vec<String>>>>()?;
    match (own, of(&labels)?) {
        (Some(samples), Some(labels)) => Ok(vec![Member { split: "all", samples, labels }]),
        _ => Err(Error::input(
            npz.path().display(),
            "arrays",
            format!("the arrays {}", npz.names().join(", ")),
            match inputs {
                [] => "samples called x or images and labels called y or labels (of splits: train_images, x_train, ...), or \
                       arrays = { x = \"NAME\", y = \"NAME\" } in the [[data]] table"
                    .to_string(),
                inputs => format!(
                    "{} and labels called y or labels (of splits: {}_train, y_train, ...), or arrays = {{ y = \"NAME\" }} in the [[data]] table",
                    inputs.join(", "),
                    inputs[0]
                ),
            },
        )),
    }
}

/// An exact name, or one that differs in case alone.
fn is_one(name: &str, names: &[String]) -> bool {
    names.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// The only array of which this is true; an exact answer is no guess, two are.
fn one(npz: &Npz, is: impl Fn(&str) -> bool) -> Result<Option<String>> {
    let found: Vec<&String> = npz.names().iter().filter(|name| is(name)).collect();
    match found[..] {
        [] => Ok(None),
        [name] => Ok(Some(name.clone())),
        [first, second, ..] => Err(Error::input(
            npz.path().display(),
            "arrays",
            format!("both `{first}` and `{second}`"),
            "one of them named in the [[data]] table: arrays = { x = \"NAME\", y = \"NAME\" }",
        )),
    }
}
