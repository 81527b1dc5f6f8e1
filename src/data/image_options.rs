//! What a study says of image files and the CSV that lists them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::picture::{Reading, Resize};

/// Everything that `[[data]]` may say of images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageOptions {
    /// Columns of the CSV by what they are: `path`, `split`, `patient`, or any name that results may be broken down by.
    pub columns: BTreeMap<String, String>,
    /// The columns of labels; `None` is `label`.
    pub label: Option<LabelColumns>,
    /// What stands between the findings of one text: `|` in NIH ChestX-ray14.
    pub separator: Option<String>,
    /// The folder that paths are relative to; `None` is the CSV's own.
    pub base: Option<PathBuf>,
    /// What paths begin with that is not part of them.
    pub strip: String,
    /// What stands behind every path: `.dcm`.
    pub suffix: String,
    /// How files are read that do not say it themselves.
    pub reading: Reading,
    /// The size that all images are brought to while they are read.
    pub resize: Option<Resize>,
    /// Grey or colour, whatever the files are.
    pub colours: Option<Colours>,
    /// How many bits of 16 are used.
    pub bits: Option<u32>,
    /// The keys that were given, for data that they have nothing to say about.
    pub given: Vec<&'static str>,
    /// The shape of the samples that the model takes, where there is a model and it takes images.
    pub shape: Option<Vec<usize>>,
}

/// The columns of labels.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelColumns {
    /// One class a sample, or several findings in one text.
    One(String),
    /// A column a finding: the finding's name and the column's.
    Several(Vec<(String, String)>),
}

/// Channels of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// One.
    Grey,
    /// Red, green and blue.
    Rgb,
}

impl Colours {
    /// All names.
    pub const NAMES: [&'static str; 2] = ["grey", "rgb"];

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "grey" => Self::Grey,
            "rgb" => Self::Rgb,
            _ => return None,
        })
    }
}

impl ImageOptions {
    /// The CSV's name of the column that is `role`.
    pub fn column<'o>(&'o self, role: &'o str) -> &'o str {
        self.columns.get(role).map_or(role, String::as_str)
    }
}
