//! Clean metrics of a classifier, from its logits: what early stopping watches and a training summary states.

use serde::Serialize;

use super::loss::Loss;
use crate::data::{Dataset, Labels, UNLABELLED};
use crate::models::Head;
use crate::statistics::auroc;

/// A metric by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The loss that training descends, over the whole split, without smoothing.
    Loss,
    /// Share of right answers.
    Accuracy,
    /// Mean recall of the classes that occur.
    BalancedAccuracy,
    /// Mean F1 of the classes that occur or are predicted.
    MacroF1,
    /// Area under the ROC curve.
    Auroc,
}

impl Metric {
    /// Names, in the order in which messages list them.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("auroc", Self::Auroc),
        ("balanced_accuracy", Self::BalancedAccuracy),
        ("macro_f1", Self::MacroF1),
        ("accuracy", Self::Accuracy),
        ("loss", Self::Loss),
    ];

    /// The metric called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(other, _)| *other == name).map(|&(_, metric)| metric)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, other)| *other == self).map_or("", |(name, _)| name)
    }

    /// Its value; none where it is not defined (AUROC of a split with one class).
    pub fn of(self, metrics: &Metrics) -> Option<f64> {
        match self {
            Self::Loss => Some(metrics.loss),
            Self::Accuracy => Some(metrics.accuracy),
            Self::BalancedAccuracy => Some(metrics.balanced_accuracy),
            Self::MacroF1 => Some(metrics.macro_f1),
            Self::Auroc => metrics.auroc,
        }
    }

    /// Whether `a` is better than `b`.
    pub fn better(self, a: f64, b: f64) -> bool {
        if self == Self::Loss { a < b } else { a > b }
    }
}

/// All metrics of one split. Shares are from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Samples.
    pub n: usize,
    /// See [`Metric::Loss`].
    pub loss: f64,
    /// Softmax: the largest logit (of equal ones the first) is the label. Sigmoid: logit above 0, mean over findings, as `percuss eval` has it.
    pub accuracy: f64,
    /// Softmax and single-logit models: mean recall of the classes that occur. Several findings: mean of (sensitivity +
    /// specificity) / 2.
    pub balanced_accuracy: f64,
    /// Mean F1 of the classes that occur or are predicted; of the findings.
    pub macro_f1: f64,
    /// Two classes: of class 1. More: mean over one-against-rest (Hand & Till's unweighted macro average) of the classes that
    /// occur. Findings: mean over those with both answers.
    pub auroc: Option<f64>,
    /// Each class's (finding's) recall, null where it does not occur.
    pub recall: Vec<Option<f64>>,
    /// Each class's (finding's) precision, null where it is never predicted.
    pub precision: Vec<Option<f64>>,
}

/// Counts of one class against the rest.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    hit: usize,
    missed: usize,
    false_alarm: usize,
    rest: usize,
}

impl Counts {
    fn add(&mut self, truth: bool, said: bool) {
        *match (truth, said) {
            (true, true) => &mut self.hit,
            (true, false) => &mut self.missed,
            (false, true) => &mut self.false_alarm,
            (false, false) => &mut self.rest,
        } += 1;
    }

    fn recall(self) -> Option<f64> {
        share(self.hit, self.hit + self.missed)
    }

    fn precision(self) -> Option<f64> {
        share(self.hit, self.hit + self.false_alarm)
    }

    fn specificity(self) -> Option<f64> {
        share(self.rest, self.rest + self.false_alarm)
    }

    fn f1(self) -> Option<f64> {
        share(2 * self.hit, 2 * self.hit + self.missed + self.false_alarm)
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, count) = values.flatten().fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

impl Metrics {
    /// Measures logits `[n, outputs]` against the labels of `dataset`.
    pub fn measure(logits: &[f32], dataset: &Dataset, loss: &Loss) -> Self {
        let outputs = logits.len() / dataset.len().max(1);
        match (&dataset.labels, loss.head) {
            (Labels::Class(labels), Head::Softmax) => classes(logits, labels, outputs, loss),
            (Labels::Class(labels), Head::Sigmoid) => {
                let truth: Vec<Option<bool>> = labels.iter().map(|&label| Some(label > 0)).collect();
                let mut metrics = findings(logits, &truth, 1, loss);
                // The answer "no" is a class, too.
                let flipped: Vec<f32> = logits.iter().map(|logit| -logit).collect();
                let other: Vec<Option<bool>> = truth.iter().map(|truth| truth.map(|truth| !truth)).collect();
                let no = findings(&flipped, &other, 1, loss);
                metrics.macro_f1 = 0.5 * (metrics.macro_f1 + no.macro_f1);
                metrics
            }
            (Labels::Findings(labels), _) => {
                let truth: Vec<Option<bool>> =
                    labels.iter().map(|&label| (label != UNLABELLED).then_some(label == 1)).collect();
                findings(logits, &truth, outputs, loss)
            }
        }
    }
}

fn classes(logits: &[f32], labels: &[u32], outputs: usize, loss: &Loss) -> Metrics {
    let mut counts = vec![Counts::default(); outputs];
    let (mut right, mut total, mut weight) = (0, 0.0, 0.0);
    for (row, &label) in logits.chunks_exact(outputs).zip(labels) {
        let label = label as usize;
        let said = largest(row);
        right += usize::from(said == label);
        counts.iter_mut().enumerate().for_each(|(class, counts)| counts.add(class == label, class == said));
        let own = loss.weights.get(label).map_or(1.0, |&weight| f64::from(weight));
        total += own * (log_sum_exp(row) - f64::from(row[label]));
        weight += own;
    }
    let score = |class: usize| -> Vec<f64> {
        let own = |row: &[f32]| match outputs {
            // Order-preserving in the probability, without its rounding near 1.
            2 => f64::from(row[1]) - f64::from(row[0]),
            _ => f64::from(row[class]) - log_sum_exp(row),
        };
        logits.chunks_exact(outputs).map(own).collect()
    };
    let of_class = |class: usize| {
        let truth: Vec<bool> = labels.iter().map(|&label| label as usize == class).collect();
        auroc(&score(class), &truth)
    };
    Metrics {
        n: labels.len(),
        loss: total / weight,
        accuracy: right as f64 / labels.len() as f64,
        balanced_accuracy: mean(counts.iter().map(|counts| counts.recall())).unwrap_or(0.0),
        macro_f1: mean(counts.iter().map(|counts| counts.f1())).unwrap_or(0.0),
        auroc: if outputs == 2 { of_class(1) } else { mean((0..outputs).map(of_class)) },
        recall: counts.iter().map(|counts| counts.recall()).collect(),
        precision: counts.iter().map(|counts| counts.precision()).collect(),
    }
}

/// Of what is labelled alone.
fn findings(logits: &[f32], truth: &[Option<bool>], outputs: usize, loss: &Loss) -> Metrics {
    let mut counts = vec![Counts::default(); outputs];
    let mut total = 0.0;
    for (i, (&logit, &truth)) in logits.iter().zip(truth).enumerate() {
        let Some(truth) = truth else { continue };
        counts[i % outputs].add(truth, logit > 0.0);
        let z = f64::from(if truth { -logit } else { logit });
        let weight =
            if truth { loss.weights.get(i % outputs).map_or(1.0, |&weight| f64::from(weight)) } else { 1.0 };
        total += weight * (z.max(0.0) + (-z.abs()).exp().ln_1p());
    }
    let of_finding = |k: usize| {
        let own = logits.iter().zip(truth).skip(k).step_by(outputs);
        let labelled = own.filter_map(|(&logit, &truth)| Some((f64::from(logit), truth?)));
        let (score, truth): (Vec<f64>, Vec<bool>) = labelled.unzip();
        auroc(&score, &truth)
    };
    let labelled = truth.iter().flatten().count() as f64;
    let right = |counts: &Counts| {
        share(counts.hit + counts.rest, counts.hit + counts.rest + counts.missed + counts.false_alarm)
    };
    let balanced = |counts: &Counts| mean([counts.recall(), counts.specificity()].into_iter());
    Metrics {
        n: truth.len() / outputs,
        loss: total / labelled,
        accuracy: mean(counts.iter().map(right)).unwrap_or(0.0),
        balanced_accuracy: mean(counts.iter().map(balanced)).unwrap_or(0.0),
        macro_f1: mean(counts.iter().map(|counts| counts.f1())).unwrap_or(0.0),
        auroc: mean((0..outputs).map(of_finding)),
        recall: counts.iter().map(|counts| counts.recall()).collect(),
        precision: counts.iter().map(|counts| counts.precision()).collect(),
    }
}

fn largest(row: &[f32]) -> usize {
    let better = |best: usize, (i, &value): (usize, &f32)| if value > row[best] { i } else { best };
    row.iter().enumerate().fold(0, better)
}

fn log_sum_exp(row: &[f32]) -> f64 {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::from(top) + row.iter().map(|&z| f64::from(z - top).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_measured_by_hand() {
        // Predictions 0, 1, 1, 0, 2 for labels 0, 1, 2, 1, 2.
        let logits = [2., 0., 0., 0., 3., 0., 0., 1., 0., 1., 0., 0., 0., 0., 5.];
        let metrics = classes(&logits, &[0, 1, 2, 1, 2], 3, &Loss::plain(Head::Softmax));
        assert!((metrics.accuracy - 0.6).abs() < 1e-12);
        assert_eq!(metrics.recall, [Some(1.0), Some(0.5), Some(0.5)]);
        assert_eq!(metrics.precision, [Some(0.5), Some(0.5), Some(1.0)]);
        assert!((metrics.balanced_accuracy - 2.0 / 3.0).abs() < 1e-12);
        // F1: 2/3, 1/2, 2/3.
        assert!((metrics.macro_f1 - 11.0 / 18.0).abs() < 1e-12, "{}", metrics.macro_f1);
    }

    #[test]
    fn a_class_that_never_occurs_is_left_out_of_the_means() {
        let metrics = classes(&[1., 0., 0., 1., 0., 0.], &[0, 0], 3, &Loss::plain(Head::Softmax));
        assert_eq!((metrics.balanced_accuracy, metrics.macro_f1), (1.0, 1.0));
        assert_eq!(metrics.recall[2], None);
        assert_eq!(metrics.auroc, None);
    }

    #[test]
    fn findings_are_measured_by_hand() {
        let truth = [true, false, true, true].map(Some);
        let metrics = findings(&[1.0, -1.0, -1.0, 2.0], &truth, 2, &Loss::plain(Head::Sigmoid));
        assert_eq!(metrics.recall, [Some(0.5), Some(1.0)]);
        assert_eq!(metrics.accuracy, 0.75);
        // The first finding is always there: only its sensitivity counts; the second is perfect.
        assert!((metrics.balanced_accuracy - 0.75).abs() < 1e-12);
        let by_hand = ((-1f64).exp().ln_1p() * 2.0 + 1f64.exp().ln_1p() + (-2f64).exp().ln_1p()) / 4.0;
        assert!((metrics.loss - by_hand).abs() < 1e-12);
        // Rows and entries without a label change nothing, whatever the logits are there.
        let gaps = [truth[0], None, truth[1], truth[2], truth[3], None, None, None];
        let logits = [1.0, 9.0, -1.0, -1.0, 2.0, -9.0, 9.0, 9.0];
        let apart = |at: [usize; 4]| {
            let mut own = [(0.0, None); 6];
            at.iter().zip([0, 2, 3, 4]).for_each(|(&at, from)| own[at] = (logits[from], gaps[from]));
            let (logits, truth): (Vec<f32>, Vec<Option<bool>>) = own.into_iter().unzip();
            findings(&logits, &truth, 2, &Loss::plain(Head::Sigmoid))
        };
        let partly = apart([0, 1, 2, 5]);
        assert_eq!((partly.n, partly.accuracy, &partly.recall), (3, 0.75, &metrics.recall));
        assert!((partly.loss - metrics.loss).abs() < 1e-12);
        assert_eq!((partly.auroc, partly.balanced_accuracy), (metrics.auroc, metrics.balanced_accuracy));
    }
}
