//! What a reader says about the data that it read: what it assumed, left out or changed.

use serde::Serialize;

/// One thing that a reader has to say. `eval`, `plan`, `data check`, `train` and `inspect` print every one; none is ever dropped in silence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Remark {
    /// The flag that all cells on these data get, if numbers from them may mislead; `None` for what is good to know.
    pub flag: Option<&'static str>,
    /// One sentence: what, how many, where.
    pub text: String,
}

impl Remark {
    /// Good to know: an assumption, a count.
    pub fn note(text: impl Into<String>) -> Self {
        Self { flag: None, text: text.into() }
    }

    /// A reason to distrust numbers from these data; `flag` is the word for it in the `flags` column.
    pub fn warning(flag: &'static str, text: impl Into<String>) -> Self {
        Self { flag: Some(flag), text: text.into() }
    }
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.flag {
            Some(flag) => write!(f, "warning ({flag}): {}", self.text),
            None => write!(f, "note: {}", self.text),
        }
    }
}
