//! What a study says of labels that are no answer, and of findings that are not labelled.

use toml::Value;

use super::labels::same;

/// What a label that is no answer counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// As 1.
    Positive,
    /// As 0.
    Negative,
    /// The sample is left out.
    Drop,
    /// The finding is left out of this sample, whose others count; of one class a sample, the sample is.
    Ignore,
}

impl Policy {
    /// All names.
    pub const NAMES: [&'static str; 4] = ["positive", "negative", "drop", "ignore"];

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "positive" => Self::Positive,
            "negative" => Self::Negative,
            "drop" => Self::Drop,
            "ignore" => Self::Ignore,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Positive => "positive",
            Self::Negative => "negative",
            Self::Drop => "drop",
            Self::Ignore => "ignore",
        }
    }

    /// What becomes of so many labels of a kind: `2 uncertain labels count as positive`.
    pub(super) fn told(self, count: usize, kind: &str) -> String {
        let one = count == 1;
        let labels = if one { "label" } else { "labels" };
        let became = match self {
            Self::Drop if one => "leaves its sample out".to_string(),
            Self::Drop => "leave their samples out".to_string(),
            Self::Ignore if one => "leaves its finding out, not the sample".to_string(),
            Self::Ignore => "leave their finding out, not its sample".to_string(),
            other => format!("{} as {}", if one { "counts" } else { "count" }, other.name()),
        };
        format!("{count} {kind} {labels} {became}")
    }
}

/// The keys of `[[data]]` (and of a TRAIN.toml's `[data]`) that are about labels, but for `classes`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelOptions {
    /// What an uncertain label (-1, as CheXpert and MIMIC-CXR have it) counts as.
    pub uncertain: Option<Policy>,
    /// What a missing label counts as.
    pub missing: Option<Policy>,
    /// The findings that the data are labelled with, as they call them; empty where nobody says it. In the order of an array's columns.
    pub findings: Vec<String>,
    /// Whether an image that several rows list (a row a box, a row a reader) is one sample; else each row is.
    pub once: bool,
}

impl LabelOptions {
    /// All keys.
    pub const KEYS: [&'static str; 4] = ["uncertain", "missing", "findings", "repeated"];

    /// Reads `key`, one of [`LabelOptions::KEYS`].
    ///
    /// # Errors
    /// What was found, and what is expected.
    pub fn set(&mut self, key: &str, value: &Value) -> Result<(), (String, String)> {
        match key {
            "uncertain" => self.uncertain = Some(policy(value)?),
            "missing" => self.missing = Some(policy(value)?),
            "findings" => self.findings = findings(value)?,
            _ => {
                self.once = match value.as_str() {
                    Some("once") => true,
                    Some("each") => false,
                    _ => {
                        return Err((
                            value.to_string(),
                            "\"once\", a sample an image, or \"each\", a sample a row".into(),
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// The keys that are given.
    pub fn given(&self) -> impl Iterator<Item = &'static str> {
        let given = [self.uncertain.is_some(), self.missing.is_some(), !self.findings.is_empty(), self.once];
        Self::KEYS.into_iter().zip(given).filter(|(_, given)| *given).map(|(key, _)| key)
    }
}

fn policy(value: &Value) -> Result<Policy, (String, String)> {
    let policy = value.as_str().and_then(Policy::named);
    policy.ok_or_else(|| (value.to_string(), format!("one of {}", Policy::NAMES.join(", "))))
}

fn findings(value: &Value) -> Result<Vec<String>, (String, String)> {
    let bad = || {
        (value.to_string(), "a list of findings, each once: [\"Edema\", \"Pleural Effusion\"]".to_string())
    };
    let names: Option<Vec<String>> =
        value.as_array().and_then(|list| list.iter().map(|name| name.as_str().map(str::to_string)).collect());
    let names = names.filter(|names| !names.is_empty()).ok_or_else(bad)?;
    let twice = names.iter().enumerate().any(|(at, name)| names[..at].iter().any(|other| same(other, name)));
    if twice { Err(bad()) } else { Ok(names) }
}
