//! How the cells of a table are to be read: what its author says, and what is known without being said.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::forms::Decimal;
use crate::memory::Room;

/// Codes of missing values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Missing {
    /// In every feature: `[-1, "?"]`. The columns of the outcome and identifiers keep theirs.
    Everywhere(Vec<Code>),
    /// In single columns: `{ chol = [0] }`.
    Columns(BTreeMap<String, Vec<Code>>),
}

impl Default for Missing {
    fn default() -> Self {
        Self::Everywhere(Vec::new())
    }
}

/// A code of missing values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Code {
    /// This number, however it is written.
    Number(f64),
    /// This text.
    Text(String),
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text}"),
        }
    }
}

/// What a column of numbers may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Numbers {
    /// Also thousands, per cents and decimal commas where they can mean one thing alone, and signs of missing values; all of it is told.
    #[default]
    Told,
    /// Numbers as programs write them, empty cells, `NA` and its kin, and the codes of `missing`; anything else is refused.
    Strict,
}

/// What a limit of measurement (`<0.5`, `>300`) becomes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Limits {
    /// The limit itself: `<0.5` is 0.5.
    Value,
    /// Half of a lower limit: `<0.5` is 0.25; an upper one as it is.
    Half,
    /// A missing value.
    Missing,
}

/// What `12%` becomes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Percent {
    /// 12.
    Number,
    /// 0.12.
    Share,
}

/// How cells become numbers, categories and missing values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// As percuss read tables when it wrote `preprocess.json` in format 1: a text among numbers made categories of all.
    pub first_format: bool,
    /// Codes of missing values.
    pub missing: Missing,
    /// Columns that a list of codes for all columns leaves alone: the outcome's, identifiers.
    pub spared: Vec<String>,
    /// What a column of numbers may hold.
    pub numbers: Numbers,
    /// What limits of measurement become; absent: they are refused.
    pub limits: Option<Limits>,
    /// What per cents become; absent: their number where all of a column are per cents, else they are refused.
    pub percent: Option<Percent>,
    /// The decimal mark; absent: by what the file shows.
    pub decimal: Option<Decimal>,
    /// Columns that are categories whatever they look like.
    pub categories: Vec<String>,
    /// Whether `True` and `False` of a feature are 1 and 0. In a list of images or recordings they are words.
    pub truths: bool,
    /// What its text and cells may take of memory.
    pub room: Room,
}

impl Reading {
    /// The codes of missing values that hold in a column.
    pub fn codes(&self, column: &str) -> &[Code] {
        match &self.missing {
            Missing::Everywhere(codes) if !self.spared.iter().any(|name| name == column) => codes,
            Missing::Everywhere(_) => &[],
            Missing::Columns(columns) => columns.get(column).map_or(&[], Vec::as_slice),
        }
    }
}

/// Texts that mean a missing value in any column, besides the empty one.
const ALWAYS: [&str; 11] = ["NA", "N/A", "NaN", "nan", "null", "NULL", "n/a", "#N/A", "<NA>", "NaT", "#NA"];
/// Those of them that the first format knew.
const FIRST: [&str; 6] = ["NA", "N/A", "NaN", "nan", "null", "NULL"];
/// Texts that mean a missing value among numbers; in a column of texts they may be an answer (`None`, `-`).
const AMONG_NUMBERS: [&str; 31] = [
    // Of spreadsheets, Windows, databases.
    "#div/0!",
    "#value!",
    "#num!",
    "#ref!",
    "#name?",
    "#null!",
    "#n/a n/a",
    "-nan",
    "-1.#ind",
    "1.#qnan",
    "(null)",
    "nil",
    "\\n",
    "...",
    "…",
    "–",
    "—",
    "?",
    ".",
    "-",
    "--",
    "none",
    "missing",
    "unknown",
    "unk",
    "na",
    "n.a.",
    "nan",
    "null",
    "not available",
    "not done",
];

/// Whether the text stands for a missing value whatever the column holds.
pub(super) fn is_missing(text: &str, first_format: bool) -> bool {
    // Most cells are numbers, and no number is such a text.
    if text.as_bytes().first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    text.is_empty() || if first_format { FIRST.contains(&text) } else { ALWAYS.contains(&text) }
}

/// Whether the text stands for a missing value in a column of numbers.
pub(in crate::data) fn is_missing_among_numbers(text: &str) -> bool {
    text.len() <= 16 && AMONG_NUMBERS.contains(&text.to_lowercase().as_str())
}
