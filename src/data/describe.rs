//! A data set in a few lines: what `eval`, `plan`, `data check` and `inspect` say of it.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Dataset, Labels, UNLABELLED};
use crate::telling::counted;

/// More classes than this are counted, not listed.
const LISTED: usize = 20;

impl Dataset {
    /// What was read, and as what: samples, which output each class is and how many samples it has, shape, unit and range, groups.
    pub fn describe(&self) -> Vec<String> {
        let synthetic = if self.synthetic { ", synthetic" } else { "" };
        let mut lines = vec![
            format!("read     {} of split {}{synthetic}", counted(self.len(), "sample"), self.split),
            format!("{}  {}", if self.is_findings() { "findings" } else { "outputs" }, self.class_counts()),
            format!(
                "values   {:?} in {}, {}{}",
                self.shape,
                self.unit_of_values(),
                self.range(),
                self.budgets()
            ),
            format!("groups   {}", self.groups()),
            format!("twice    {}", self.repeated()),
        ];
        lines.extend(self.listed_features().map(|list| format!("features {list}")));
        lines
    }

    /// The features in the order in which a model is fed them; none of images and signals.
    pub fn listed_features(&self) -> Option<String> {
        /// More features than these are shortened.
        const ENDS: [usize; 2] = [9, 3];
        let names = &self.domain.features;
        let all = names.len() <= ENDS[0] + ENDS[1];
        let list = match all {
            true => names.join(", "),
            false => {
                let (first, last) = (&names[..ENDS[0]], &names[names.len() - ENDS[1]..]);
                let left = names.len() - ENDS[0] - ENDS[1];
                format!("{}, ... {left} more ..., {}", first.join(", "), last.join(", "))
            }
        };
        (!names.is_empty()).then(|| format!("{list}, in this order"))
    }

    /// What values are in: the data's unit, but for tables whose budgets alone are scaled.
    fn unit_of_values(&self) -> &str {
        match self.unit.as_str() {
            "sd" => "the columns' own units",
            "mixed" => "the columns' own units, or quantiles,",
            unit => unit,
        }
    }

    /// What 1 of a budget is, where values are not in its unit.
    fn budgets(&self) -> String {
        let domain = &self.domain;
        let scaled = |i: &usize| {
            let fixed = domain.immutable.get(*i).copied().unwrap_or(false);
            !fixed && domain.category_of(*i).is_none()
        };
        let scales = (0..domain.scale.len()).filter(scaled).map(|i| domain.scale[i]);
        let (least, most) = scales.fold((f32::INFINITY, 0f32), |(l, h), scale| (l.min(scale), h.max(scale)));
        match self.unit.as_str() {
            "sd" if least.is_finite() => {
                format!("; eps is in sd: 1 is the standard deviation of a column, {least} to {most} of its own units")
            }
            "mixed" => "; eps is in what each column is scaled by: a standard deviation, the range of quantiles, or its own unit".into(),
            _ => String::new(),
        }
    }

    /// A number for the values of every sample: equal ones are the same sample.
    pub fn fingerprints(&self) -> Vec<u64> {
        let one = |position: usize| {
            let mut hash = DefaultHasher::new();
            self.sample(position).iter().for_each(|value| value.to_bits().hash(&mut hash));
            hash.finish()
        };
        (0..self.len()).map(one).collect()
    }

    /// Samples whose values were there before, and those of them that have another label.
    fn repeated(&self) -> String {
        let mut first: HashMap<u64, usize> = HashMap::new();
        let (mut again, mut otherwise) = (0, 0);
        for (position, print) in self.fingerprints().into_iter().enumerate() {
            let earlier = *first.entry(print).or_insert(position);
            again += usize::from(earlier != position);
            otherwise += usize::from(self.label(earlier) != self.label(position));
        }
        match again {
            0 => "no sample".into(),
            1 => format!("1 sample, with {} label", if otherwise == 0 { "the same" } else { "another" }),
            again => format!("{again} samples, {otherwise} of them with another label"),
        }
    }

    /// What a sample is labelled with.
    fn label(&self, position: usize) -> Vec<u32> {
        match &self.labels {
            Labels::Class(labels) => vec![labels[position]],
            Labels::Findings(labels) => {
                let width = self.classes.len();
                labels[position * width..][..width].iter().map(|&label| u32::from(label)).collect()
            }
        }
    }

    /// Whether a sample has several findings.
    pub fn is_findings(&self) -> bool {
        matches!(self.labels, Labels::Findings(_))
    }

    /// Samples of each class, or those that have each finding.
    pub fn counts(&self) -> Vec<usize> {
        let width = self.classes.len();
        let mut counts = vec![0; width];
        match &self.labels {
            Labels::Class(labels) => labels.iter().for_each(|&label| counts[label as usize] += 1),
            Labels::Findings(labels) => {
                labels
                    .iter()
                    .enumerate()
                    .for_each(|(at, &label)| counts[at % width] += usize::from(label == 1));
            }
        }
        counts
    }

    /// Samples that are labelled with each finding; of classes all.
    pub fn labelled(&self) -> Vec<usize> {
        let width = self.classes.len();
        let mut counts = vec![self.len(); width];
        if let Labels::Findings(labels) = &self.labels {
            let unlabelled = labels.iter().enumerate().filter(|(_, label)| **label == UNLABELLED);
            unlabelled.for_each(|(at, _)| counts[at % width] -= 1);
        }
        counts
    }

    /// `0 is normal (234), 1 is pneumonia (390)`; of findings that are not labelled everywhere, `2 is Edema (12 of 90 labelled)`.
    pub fn class_counts(&self) -> String {
        let (counts, labelled) = (self.counts(), self.labelled());
        let one = |(class, name): (usize, &String)| {
            let named = if *name == class.to_string() { String::new() } else { format!(" is {name}") };
            let count = match labelled[class] {
                0 => "not labelled".into(),
                all if all == self.len() => counts[class].to_string(),
                some => format!("{} of {some} labelled", counts[class]),
            };
            format!("{class}{named} ({count})")
        };
        let shown: Vec<String> = self.classes.iter().enumerate().take(LISTED).map(one).collect();
        let more = self.classes.len().saturating_sub(LISTED);
        shown.join(", ") + &if more > 0 { format!(", {more} more") } else { String::new() }
    }

    fn range(&self) -> String {
        let range = |values: &[f32]| {
            values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)))
        };
        let (low, high) = range(&self.values);
        let (least, most) = (range(&self.domain.low).0, range(&self.domain.high).1);
        format!("from {low} to {high}; an attack may go from {least} to {most}")
    }

    fn groups(&self) -> String {
        match &self.group {
            Some(groups) => format!("{}", groups.iter().collect::<BTreeSet<_>>().len()),
            None => "none: samples are taken as independent".into(),
        }
    }
}
