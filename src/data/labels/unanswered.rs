//! Labels of which some are no answer: -1 (uncertain), NaN or nothing (missing). What becomes of them the study says.

use std::collections::HashSet;

use super::{Known, Outputs, Place, Written, Yes, same};
use crate::data::{LabelOptions, Policy, Remark, UNLABELLED};
use crate::{Error, Result};

/// Labels of the samples that are left.
pub struct Answered {
    /// Theirs.
    pub written: Written,
    /// Positions of these samples among all, ascending.
    pub kept: Vec<usize>,
    /// What was left out or counted as a class.
    pub remarks: Vec<Remark>,
}

/// A label, or why it is none.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Answer,
    Uncertain,
    Missing,
}

/// Takes out labels that are no answer, or counts them as the class that `options` say.
///
/// # Errors
/// Labels that are no answer and no word on them, with the line; `"positive"` or `"negative"` where nothing says which class that is; nothing
/// that is left.
pub fn answered(written: Written, options: &LabelOptions, known: &Known, place: &Place) -> Result<Answered> {
    let kinds = kinds(&written, options, known);
    let all = kinds.len();
    if kinds.iter().all(|kind| *kind == Kind::Answer) {
        return Ok(Answered { written, kept: (0..all).collect(), remarks: Vec::new() });
    }
    let two = known.outputs.map_or(known.names.len() <= 2, |outputs: Outputs| outputs.classes() == 2);
    let mut numbers = numbers(&written);
    let binary = (0..all).all(|at| kinds[at] != Kind::Answer || matches!(numbers[at], Some(0.0 | 1.0)));
    let counted = two && binary && Yes::of(known) != Yes::Unclear;
    let mut stays = vec![true; all];
    let mut remarks = Vec::new();
    for (kind, what, found, policy) in [
        (Kind::Uncertain, "uncertain", "-1, an uncertain label", options.uncertain),
        (Kind::Missing, "missing", "no label", options.missing),
    ] {
        let own: Vec<usize> = (0..all).filter(|&at| kinds[at] == kind).collect();
        let Some(&first) = own.first() else { continue };
        let ways = if counted { ", or \"negative\" or \"positive\" (counts as that class)" } else { "" };
        let class = match policy {
            Some(Policy::Drop | Policy::Ignore) => None,
            Some(Policy::Positive) if counted => Some(1.0),
            Some(Policy::Negative) if counted => Some(0.0),
            Some(policy) => {
                let expected =
                    format!("{what} = \"drop\": nothing says which class of {} that would be", place.column);
                return Err(Error::input(place.file, what, format!("{:?}", policy.name()), expected));
            }
            None => {
                let named = if kind == Kind::Uncertain {
                    "; or `classes` with -1 among the names, if it is a class"
                } else {
                    ""
                };
                let expected = format!(
                    "a class by its number or name, or a line in [[data]]: {what} = \"drop\" (leaves the sample out){ways}{named}"
                );
                return Err(place.error_at(first, format!("{found} ({} of {all})", own.len()), expected));
            }
        };
        let policy = policy.filter(|policy| *policy != Policy::Ignore).unwrap_or(Policy::Drop);
        remarks.push(Remark::note(format!("{}: {}", place.column, policy.told(own.len(), what))));
        for at in own {
            stays[at] = class.is_some();
            numbers[at] = class.or(numbers[at]);
        }
    }
    let kept: Vec<usize> = (0..all).filter(|&at| stays[at]).collect();
    if kept.is_empty() {
        return Err(place.error(format!("all {all} samples left out"), "samples whose labels are an answer"));
    }
    let written = match written {
        Written::Texts(texts) if !counted => {
            Written::Texts(kept.iter().map(|&at| texts[at].clone()).collect())
        }
        Written::Truths(truths) => Written::Truths(kept.iter().map(|&at| truths[at]).collect()),
        _ => Written::Numbers(kept.iter().filter_map(|&at| numbers[at]).collect()),
    };
    Ok(Answered { written, kept, remarks })
}

/// Labels as numbers, where they are some.
fn numbers(written: &Written) -> Vec<Option<f64>> {
    match written {
        Written::Numbers(values) => values.iter().copied().map(Some).collect(),
        Written::Texts(texts) => texts.iter().map(|text| text.trim().parse().ok()).collect(),
        Written::Truths(truths) => truths.iter().map(|&truth| Some(f64::from(u8::from(truth)))).collect(),
    }
}

fn kinds(written: &Written, options: &LabelOptions, known: &Known) -> Vec<Kind> {
    let numbers = numbers(written);
    let named = |text: &str| known.names.iter().any(|name| same(name, text));
    let missing = |at: usize| match written {
        Written::Numbers(values) => values[at].is_nan(),
        Written::Texts(texts) => {
            ["", "nan"].contains(&&*texts[at].trim().to_lowercase()) && !named(&texts[at])
        }
        Written::Truths(_) => false,
    };
    // -1 and 1 alone may be two classes; -1, 0 and 1 three.
    let distinct =
        numbers.iter().flatten().filter(|n| !n.is_nan()).map(|n| n.to_bits()).collect::<HashSet<_>>().len();
    let classes = known.outputs.map(Outputs::classes);
    let graded = options.uncertain.is_some() || numbers.contains(&Some(0.0)) && classes != Some(distinct);
    let minus = graded && !named("-1") && !named("-1.0");
    (0..numbers.len())
        .map(|at| match numbers[at] {
            _ if missing(at) => Kind::Missing,
            Some(-1.0) if minus => Kind::Uncertain,
            _ => Kind::Answer,
        })
        .collect()
}

/// Stands for a label that leaves its sample out.
pub const LEFT_OUT: u8 = UNLABELLED + 1;

/// Values that are findings, and those of them that count as the study says: -1 and NaN.
pub struct FindingAnswers<'a> {
    options: &'a LabelOptions,
    counts: [usize; 2],
}

impl<'a> FindingAnswers<'a> {
    /// As these options say.
    pub fn new(options: &'a LabelOptions) -> Self {
        Self { options, counts: [0; 2] }
    }

    /// 0, 1, [`UNLABELLED`] or [`LEFT_OUT`].
    ///
    /// # Errors
    /// What was found, and what is expected.
    pub fn label(&mut self, value: f64) -> Result<u8, (String, String)> {
        let (kind, policy) = match value {
            0.0 => return Ok(0),
            1.0 => return Ok(1),
            -1.0 => (0, self.options.uncertain),
            value if value.is_nan() => (1, self.options.missing),
            value if (0.0..1.0).contains(&value) => {
                let expected = "0 or 1 for every finding or class: probabilities become labels by `y >= 0.5`, or by \
                                `np.eye(k)[y.argmax(1)]` where classes exclude each other";
                return Err((value.to_string(), expected.into()));
            }
            value => return Err((value.to_string(), "0 or 1 for every finding or class".into())),
        };
        let (key, what) = [("uncertain", "-1, an uncertain label"), ("missing", "NaN, no label")][kind];
        let expected = format!(
            "0 or 1, or a line in [[data]] that says what it counts as: {key} = \"negative\", \"positive\", \"drop\" (leaves the sample out) or \"ignore\" \
             (leaves out this finding of it)"
        );
        let label = match policy {
            Some(Policy::Positive) => 1,
            Some(Policy::Negative) => 0,
            Some(Policy::Ignore) => UNLABELLED,
            Some(Policy::Drop) => LEFT_OUT,
            None => return Err((what.into(), expected)),
        };
        self.counts[kind] += 1;
        Ok(label)
    }

    /// How many were no answer, and what became of them.
    pub fn remarks(&self) -> Vec<Remark> {
        let policies = [("uncertain", self.options.uncertain), ("missing", self.options.missing)];
        let told = policies.into_iter().zip(self.counts).filter(|(_, count)| *count > 0);
        told.map(|((what, policy), count)| Remark::note(policy.unwrap_or(Policy::Ignore).told(count, what)))
            .collect()
    }
}
