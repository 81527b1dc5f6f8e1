//! A data set in a few lines: what `eval`, `plan`, `data check` and `inspect` say of it.

use std::collections::BTreeSet;

use super::{Dataset, Labels};

/// More classes than this are counted, not listed.
const LISTED: usize = 20;

impl Dataset {
    /// What was read, and as what: samples, which output each class is and how many samples it has, shape, unit and range, groups.
    pub fn describe(&self) -> Vec<String> {
        let synthetic = if self.synthetic { ", synthetic" } else { "" };
        vec![
            format!("read     {} samples of split {}{synthetic}", self.len(), self.split),
            format!("{}  {}", if self.is_findings() { "findings" } else { "outputs" }, self.class_counts()),
            format!("values   {:?} in {}, {}", self.shape, self.unit, self.range()),
            format!("groups   {}", self.groups()),
        ]
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

    /// `0 is normal (234), 1 is pneumonia (390)`.
    pub fn class_counts(&self) -> String {
        let counts = self.counts();
        let one = |(class, name): (usize, &String)| match name.as_str() {
            name if name == class.to_string() => format!("{class} ({})", counts[class]),
            name => format!("{class} is {name} ({})", counts[class]),
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
