//! The rows of a membership cell: the ROC, rates, areas with their intervals, and every candidate's score.

use std::sync::Arc;

use super::membership::Ground;
use super::rates::Judged;
use crate::attacks::privacy::Answers;
use crate::results::{MetricRow, SampleRow, Text};
use crate::statistics::roc::{Roc, balanced_accuracy_at};

/// False positive rates at which the true positive rate is a metric of its own.
const RATES: [f64; 2] = [0.01, 0.001];

/// The share of samples whose largest logit is their class's.
pub(super) fn right(answers: &Answers, labels: &[u32]) -> f64 {
    let right = labels.iter().enumerate().filter(|(i, label)| answers.answer(*i, 0, **label).right()).count();
    right as f64 / labels.len().max(1) as f64
}

/// What came of one attack on one target.
pub(super) struct Report<'a> {
    pub(super) id: &'a Text,
    pub(super) ground: &'a Ground<'a>,
    /// What the target said of the candidates.
    pub(super) target: &'a Answers,
    /// Of the pool, as what follows.
    pub(super) scores: &'a [f64],
    pub(super) member: &'a [bool],
    pub(super) roc: &'a Roc,
    /// The threshold that the adversary would take from the shadow models.
    pub(super) transferred: Option<f64>,
}

impl Report<'_> {
    /// Where the adversary says "member": by the shadow models, else where the balanced accuracy is best.
    pub(super) fn threshold(&self) -> Option<f64> {
        self.transferred.or_else(|| crate::statistics::roc::best_threshold(self.scores, self.member))
    }

    pub(super) fn samples(&self) -> Vec<SampleRow> {
        let threshold = self.threshold().unwrap_or(f64::INFINITY);
        let ground = self.ground;
        let sample = |(place, &i): (usize, &usize)| {
            let (label, said) = (u32::from(self.member[place]), u32::from(self.scores[place] >= threshold));
            let answer = self.target.answer(i, 0, ground.labels[i]);
            let largest = answer.logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = answer.logits.iter().map(|z| (z - largest).exp()).sum();
            let scores: Arc<[f32]> =
                answer.logits.iter().map(|z| ((z - largest).exp() / sum) as f32).collect();
            SampleRow {
                cell_id: self.id.clone(),
                sample: ground.candidates.index[i],
                group: ground.groups.as_ref().map(|groups| groups[i].clone()),
                label,
                clean_pred: label,
                adv_pred: said,
                scores_clean: scores,
                scores_adv: vec![self.scores[place] as f32],
                success: Some(said == label),
                robust: said != label,
                margin_clean: answer.log_odds(),
                margin_adv: above(self.scores[place], threshold),
                ..SampleRow::default()
            }
        };
        ground.pool.iter().enumerate().map(sample).collect()
    }

    pub(super) fn metrics(&self) -> Vec<MetricRow> {
        let (roc, member, pool) = (self.roc, self.member, &self.ground.pool);
        let groups: Option<Vec<&str>> =
            self.ground.groups.as_ref().map(|groups| pool.iter().map(|&i| groups[i].as_str()).collect());
        let judged = Judged {
            prefix: "",
            rates: RATES,
            suspicions: self.scores,
            clean: None,
            positive: member,
            groups: groups.as_deref(),
        };
        let mut rows = judged.rows(self.id);
        let best = roc.balanced_accuracy(&roc.best());
        rows.push(self.row("balanced_accuracy", "best-threshold", Some(best)));
        let transferred =
            self.transferred.and_then(|threshold| balanced_accuracy_at(self.scores, member, threshold));
        rows.push(self.row("balanced_accuracy", "shadow-threshold", transferred));
        for (scope, whom) in [("members", true), ("others", false)] {
            let of = |(place, i): (usize, &usize)| (member[place] == whom).then_some(*i);
            let all: Vec<usize> = pool.iter().enumerate().filter_map(of).collect();
            let right = |i: &&usize| self.target.answer(**i, 0, self.ground.labels[**i]).right();
            let share = all.iter().filter(right).count() as f64 / all.len().max(1) as f64;
            rows.push(MetricRow { n: all.len() as u64, ..self.row("accuracy", scope, Some(share)) });
        }
        rows.into_iter().filter(|row| row.value.is_some()).collect()
    }

    fn row(&self, metric: &str, scope: &str, value: Option<f64>) -> MetricRow {
        MetricRow {
            cell_id: self.id.clone(),
            metric: metric.into(),
            scope: scope.into(),
            value,
            n: self.scores.len() as u64,
            ..MetricRow::default()
        }
    }
}

/// How far a score lies above a threshold; 0 where both are the same infinity.
fn above(score: f64, threshold: f64) -> f64 {
    if score == threshold { 0.0 } else { score - threshold }
}
