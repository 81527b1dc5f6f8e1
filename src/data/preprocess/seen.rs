//! Which rows a model has seen: fingerprints in a file beside its folder, `MODEL.seen.json`, since whoever has a row and its fingerprint knows
//! that the row was trained on. The folder, which is passed on, holds none.

use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::Preprocess;
use crate::data::{Dataset, draw};
use crate::{Error, Result};

/// What the file says of itself.
const ABOUT: &str = "fingerprints of the rows that the model was trained on or chosen by: keep this file with the data, do not pass it on";

/// Fingerprints of the samples that a model has learnt from or was chosen by, 48 bits each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Sorted and distinct.
    prints: Vec<u64>,
}

impl Seen {
    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.prints.is_empty()
    }

    /// How many of these samples were seen.
    pub fn of(&self, data: &Dataset) -> usize {
        (0..data.len()).filter(|i| self.prints.binary_search(&print(data.sample(*i))).is_ok()).count()
    }
}

fn print(sample: &[f32]) -> u64 {
    // Negative zero is zero.
    sample.iter().fold(0, |hash, value| draw::mix(hash, u64::from((value + 0.0).to_bits()))) >> 16
}

/// The file beside a model's folder.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Beside {
    about: String,
    /// SHA-256 of the `preprocess.json` that it belongs to.
    preprocess_sha256: String,
    seen: Seen,
}

/// Where the rows that a model has seen are kept: beside its folder, not in it.
pub fn seen_file(model: &Path) -> PathBuf {
    // A folder may be called `.`: what stands beside it goes by its real name.
    let whole = model.canonicalize().unwrap_or_else(|_| model.to_path_buf());
    let mut name = whole.file_name().unwrap_or_default().to_os_string();
    name.push(".seen.json");
    whole.with_file_name(name)
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Preprocess {
    /// Remembers the samples of `data` as such that the model has learnt from or was chosen by.
    pub fn remember(&mut self, data: &Dataset) {
        self.seen.prints.extend((0..data.len()).map(|i| print(data.sample(i))));
        self.seen.prints.sort_unstable();
        self.seen.prints.dedup();
        self.seen_rows += data.len() as u64;
    }

    /// Whether rows of this table are nearly all different, so that two equal ones are one.
    pub(super) fn tells_rows_apart(&self) -> bool {
        self.seen.prints.len() as u64 * 10 >= self.seen_rows * 9
    }

    /// Writes what the model in the folder `model` has seen beside it; nothing where it has seen nothing.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save_seen(&self, model: &Path) -> Result<()> {
        if self.seen.is_empty() {
            return Ok(());
        }
        let own = model.join("preprocess.json");
        let preprocess_sha256 = sha256(&crate::files::read_text(&own)?);
        let beside = Beside { about: ABOUT.into(), preprocess_sha256, seen: self.seen.clone() };
        let text = serde_json::to_string_pretty(&beside).map_err(|error| Error::Failed(error.to_string()))?;
        let path = seen_file(model);
        std::fs::write(&path, text + "\n").map_err(Error::io(&path))
    }

    /// Reads what the model has seen, whose `preprocess.json` at `own` is `text`; a file of another training says nothing.
    pub(super) fn recall(&mut self, own: &Path, text: &str) -> Result<()> {
        let folder = match own.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let path = seen_file(folder);
        if !self.seen.is_empty() || !path.is_file() {
            return Ok(());
        }
        let beside: Beside = serde_json::from_str(&crate::files::read_text(&path)?).map_err(|error| {
            Error::input(path.display(), "JSON", error, "a file that percuss wrote, or none")
        })?;
        if beside.preprocess_sha256 == sha256(text) {
            self.seen = beside.seen;
        }
        Ok(())
    }

    /// Whether it is not known which rows the model has seen, though it has seen some: the file beside its folder stayed behind.
    pub(super) fn forgot(&self) -> bool {
        self.seen.is_empty() && self.seen_rows > 0
    }
}

impl Serialize for Seen {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.prints.iter().map(|print| format!("{print:012x}")).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let print = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.len() == 12);
            digits.and_then(|digits| u64::from_str_radix(digits, 16).ok())
        };
        let prints: Option<Vec<u64>> = text.as_bytes().chunks(12).map(print).collect();
        match prints {
            Some(prints) if prints.windows(2).all(|pair| pair[0] < pair[1]) => Ok(Self { prints }),
            _ => Err(D::Error::custom("fingerprints are ascending numbers of 12 hexadecimal digits each")),
        }
    }
}
