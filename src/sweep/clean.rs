//! What a model does on clean samples, with intervals: each finding or class by its name, each subgroup by its value.

use serde::Serialize;

use super::resolve::positive_score;
use super::subject::{Subject, prediction};
use crate::results::range_start;
use crate::statistics::roc::area_interval;
use crate::statistics::{Interval, auroc, mean, share_interval};

/// What the name of a class follows in the name of a rate.
pub const RECALL: &str = "recall of ";

/// A rate with its 95% interval.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// `accuracy`, `sensitivity`, `specificity`, `auroc` or `recall of CLASS`.
    pub name: String,
    /// The rate, from 0 to 1.
    pub value: f64,
    /// How many samples it is over.
    pub n: usize,
    /// Both ends of the interval, where the samples give one.
    pub interval: Option<[f64; 2]>,
}

/// Samples that belong together, under one decision of the model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// The finding, of a model of several.
    pub finding: Option<String>,
    /// The column that parts the samples, with the value that these have; `None` for all samples.
    pub subgroup: Option<(String, String)>,
    /// How many samples.
    pub n: usize,
    /// Of these the positives, of a decision between two classes.
    pub positives: Option<usize>,
    /// What the model does on them; what is undefined there (a sensitivity without positives) is absent.
    pub rates: Vec<Rate>,
}

/// All samples that are labelled, for each finding if there are several; then every subgroup of each.
pub fn parts(subject: &Subject) -> Vec<Part> {
    let findings = subject.decisions();
    let all: Vec<usize> = (0..subject.data.len()).collect();
    let mut parts: Vec<Part> = findings.iter().map(|&finding| part(subject, finding, None, &all)).collect();
    for (column, values) in &subject.data.subgroups {
        let mut known: Vec<&String> = values.iter().collect();
        known.sort_by(|a, b| range_start(a).total_cmp(&range_start(b)).then(a.cmp(b)));
        known.dedup();
        for value in known {
            let own: Vec<usize> = all.iter().copied().filter(|&i| values[i] == *value).collect();
            let subgroup = Some((column.clone(), value.clone()));
            parts.extend(findings.iter().map(|&finding| part(subject, finding, subgroup.clone(), &own)));
        }
    }
    parts
}

fn part(subject: &Subject, finding: usize, subgroup: Option<(String, String)>, samples: &[usize]) -> Part {
    let samples: Vec<usize> = samples.iter().copied().filter(|&i| subject.labelled(i, finding)).collect();
    let labels: Vec<u32> = samples.iter().map(|&i| subject.label(i, finding)).collect();
    let said = |&i: &usize| prediction(&subject.deciding(subject.clean_logits(i), finding));
    let said: Vec<u32> = samples.iter().map(said).collect();
    let groups = subject.data.group.as_ref();
    let groups: Option<Vec<&str>> =
        groups.map(|groups| samples.iter().map(|&i| groups[i].as_str()).collect());
    let sample = Decided { labels: &labels, said: &said, groups: groups.as_deref() };
    let mut rates: Vec<Rate> = sample.share("accuracy", |_| true).into_iter().collect();
    let two = subject.classes() == 2;
    if two {
        rates.extend(sample.share("sensitivity", |label| label == 1));
        rates.extend(sample.share("specificity", |label| label == 0));
        let score = |&i: &usize| positive_score(subject, subject.clean_logits(i), finding);
        rates.extend(sample.area(&samples.iter().map(score).collect::<Vec<f64>>()));
    } else {
        for class in 0..subject.classes() as u32 {
            let name = subject.class_name(class);
            rates.extend(sample.share(&format!("{RECALL}{name}"), |label| label == class));
        }
    }
    let several = subject.sigmoid() && subject.outputs() > 1;
    Part {
        finding: several.then(|| subject.class_name(finding as u32)),
        subgroup,
        n: samples.len(),
        positives: two.then(|| labels.iter().filter(|label| **label == 1).count()),
        rates,
    }
}

/// True classes and decisions of some samples.
struct Decided<'a> {
    labels: &'a [u32],
    said: &'a [u32],
    groups: Option<&'a [&'a str]>,
}

impl Decided<'_> {
    /// The share that is right of the samples whose label is `among` those asked for.
    fn share(&self, name: &str, among: impl Fn(u32) -> bool) -> Option<Rate> {
        let own: Vec<usize> = (0..self.labels.len()).filter(|&i| among(self.labels[i])).collect();
        let hits: Vec<bool> = own.iter().map(|&i| self.said[i] == self.labels[i]).collect();
        let groups: Option<Vec<&str>> = self.groups.map(|groups| own.iter().map(|&i| groups[i]).collect());
        let value = mean(hits.iter().map(|&hit| f64::from(u8::from(hit))))?;
        Some(rate(name, value, hits.len(), share_interval(&hits, groups.as_deref())))
    }

    fn area(&self, scores: &[f64]) -> Option<Rate> {
        let positive: Vec<bool> = self.labels.iter().map(|&label| label == 1).collect();
        let value = auroc(scores, &positive)?;
        Some(rate("auroc", value, scores.len(), area_interval(scores, &positive, self.groups)))
    }
}

fn rate(name: &str, value: f64, n: usize, interval: Option<Interval>) -> Rate {
    Rate { name: name.into(), value, n, interval: interval.map(|interval| [interval.low, interval.high]) }
}
