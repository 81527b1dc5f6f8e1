//! What must hold of every data set before anything is computed from it.

use super::{Dataset, Domain, Labels, UNLABELLED};
use crate::{Error, Result};

/// More classes than this in a file is taken for a mistake (an identifier read as a label).
pub const MAX_CLASSES: usize = 10_000;

impl Dataset {
    /// Checks lengths, labels, values and the domain against each other.
    ///
    /// # Errors
    /// An empty data set, a label outside the classes, a value that is NaN or infinite, or lengths that disagree:
    /// the error names the data set, the sample (by its index in the source file) and the value.
    pub fn check(&self) -> Result<()> {
        self.check_lengths()?;
        self.check_labels()?;
        if let Some(at) = self.values.iter().position(|v| !v.is_finite()) {
            let (sample, value) = (at / self.sample_len(), at % self.sample_len());
            return Err(Error::input(
                &self.name,
                format!("sample {}, value {value}", self.index[sample]),
                self.values[at],
                "a finite number",
            ));
        }
        self.domain.check(&self.name, self.sample_len())
    }

    fn check_lengths(&self) -> Result<()> {
        if self.is_empty() {
            return Err(Error::input(
                &self.name,
                format!("split {}", self.split),
                "no samples",
                "at least one",
            ));
        }
        let expect = |what: &str, found: usize, expected: usize| {
            if found == expected {
                return Ok(());
            }
            Err(Error::input(&self.name, what, format!("{found} entries"), format!("{expected}")))
        };
        if self.shape.is_empty() || self.sample_len() == 0 {
            return Err(Error::input(
                &self.name,
                "shape of a sample",
                format!("{:?}", self.shape),
                "positive extents",
            ));
        }
        expect("values", self.values.len(), self.len() * self.sample_len())?;
        if let Some(group) = &self.group {
            expect("group", group.len(), self.len())?;
        }
        self.subgroups.iter().try_for_each(|(name, values)| {
            expect(&format!("subgroup column `{name}`"), values.len(), self.len())
        })
    }

    fn check_labels(&self) -> Result<()> {
        let k = self.classes.len();
        let (found, expected) = match &self.labels {
            Labels::Class(labels) => (labels.len(), self.len()),
            Labels::Findings(labels) => (labels.len(), self.len() * k),
        };
        if found != expected {
            return Err(Error::input(
                &self.name,
                "labels",
                format!("{found} entries"),
                format!("{expected}, one a sample (times the findings)"),
            ));
        }
        let bad = match &self.labels {
            Labels::Class(labels) => labels.iter().position(|&l| l as usize >= k).map(|i| (i, labels[i])),
            Labels::Findings(labels) => {
                labels.iter().position(|&f| f > UNLABELLED).map(|at| (at / k.max(1), u32::from(labels[at])))
            }
        };
        let Some((sample, label)) = bad else { return Ok(()) };
        let expected = match self.labels {
            Labels::Class(_) => format!("a class below {k} ({})", self.classes.join(", ")),
            Labels::Findings(_) => "0, 1 or 2 (not labelled) for every finding".to_string(),
        };
        Err(Error::input(&self.name, format!("label of sample {}", self.index[sample]), label, expected))
    }
}

impl Domain {
    /// The domain of images and signals: all values alike, free to change between `low` and `high`.
    pub fn uniform(low: f32, high: f32) -> Self {
        Self {
            low: vec![low],
            high: vec![high],
            scale: vec![1.0],
            immutable: Vec::new(),
            one_hot: Vec::new(),
            features: Vec::new(),
        }
    }

    fn check(&self, name: &str, sample_len: usize) -> Result<()> {
        let fits = |len: usize| len == 1 || len == sample_len;
        let lengths_fit = fits(self.low.len())
            && fits(self.high.len())
            && fits(self.scale.len())
            && (self.immutable.is_empty() || self.immutable.len() == sample_len)
            && (self.features.is_empty() || self.features.len() == sample_len)
            && self.one_hot.iter().all(|range| range.start < range.end && range.end <= sample_len)
            && self.one_hot.windows(2).all(|pair| pair[0].end <= pair[1].start);
        if !lengths_fit {
            return Err(Error::input(
                name,
                "domain",
                "vectors of another length",
                format!("one entry or {sample_len}, as a sample has values"),
            ));
        }
        if self.scale.iter().any(|s| !(s.is_finite() && *s > 0.0)) {
            return Err(Error::input(
                name,
                "domain scale",
                "a scale that is not positive",
                "finite numbers above 0",
            ));
        }
        let bounds_fit = (0..sample_len).all(|i| {
            let (low, high) = (self.low[i.min(self.low.len() - 1)], self.high[i.min(self.high.len() - 1)]);
            low.is_finite() && high.is_finite() && low <= high
        });
        if bounds_fit {
            return Ok(());
        }
        Err(Error::input(name, "domain bounds", "low above high, or not finite", "finite low <= high"))
    }
}
