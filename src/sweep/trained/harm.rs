//! Whom poisoning harmed: every class's recall, and what became of those whom it was aimed at.

use super::TrainedCell;
use crate::attacks::Value;
use crate::results::{MetricRow, SampleRow, Text};
use crate::statistics::share_interval;
use crate::sweep::subject::Subject;

/// A poisoned model beside its twin, on the test samples.
pub(super) struct Harm<'a> {
    pub(super) id: &'a Text,
    pub(super) cell: &'a TrainedCell,
    /// With the twin's answers.
    pub(super) twin: &'a Subject,
    /// The poisoned model's logits.
    pub(super) logits: &'a [f32],
    /// What both say, in the data's order.
    pub(super) samples: &'a [SampleRow],
}

impl Harm<'_> {
    /// `accuracy`; `recall` of each class; aimed at a class or a patient, `target_error`; aimed at a patient, `target_wanted` (whether the
    /// model says what the adversary wants) and the cross-entropies `target_loss` (of the true class) and `target_wanted_loss`.
    pub(super) fn rows(&self) -> Vec<MetricRow> {
        let all: Vec<&SampleRow> = self.samples.iter().collect();
        let right = |says: u32, row: &SampleRow| says == row.label;
        let wrong = |says: u32, row: &SampleRow| says != row.label;
        let mut rows = vec![self.share("accuracy", "all".into(), &all, right)];
        let of_class = |class: u32| -> Vec<&SampleRow> {
            self.samples.iter().filter(|row| row.label == class).collect()
        };
        for class in 0..self.twin.classes() as u32 {
            rows.push(self.share("recall", format!("class:{class}"), &of_class(class), right));
        }
        let class = self.cell.whole("class") as u32;
        match self.cell.get("aim") {
            Value::Word("class") => {
                rows.push(self.share("target_error", format!("class:{class}"), &of_class(class), wrong));
            }
            Value::Word("patient") => rows.extend(self.patient(self.cell.whole("patient") as usize, class)),
            _ => {}
        }
        rows.retain(|row| row.n > 0);
        rows
    }

    fn patient(&self, position: usize, wanted: u32) -> Vec<MetricRow> {
        let Some(row) = self.samples.get(position) else { return Vec::new() };
        let outputs = self.twin.outputs();
        let logits = [self.twin.clean_logits(position), &self.logits[position * outputs..][..outputs]];
        let flag = |is: bool| f64::from(u8::from(is));
        let loss = |class: u32| logits.map(|logits| cross_entropy(&self.twin.deciding(logits, 0), class));
        let both = |of: &dyn Fn(u32) -> bool| [flag(of(row.clean_pred)), flag(of(row.adv_pred))];
        [
            ("target_error", both(&|says| says != row.label)),
            ("target_wanted", both(&|says| says == wanted)),
            ("target_loss", loss(row.label)),
            ("target_wanted_loss", loss(wanted)),
        ]
        .map(|(metric, [clean, value])| MetricRow {
            value_clean: Some(clean),
            value: Some(value),
            n: 1,
            ..self.row(metric, "patient".into())
        })
        .into()
    }

    /// The share of samples whose answer passes `test`, the twin's beside it.
    fn share(
        &self,
        metric: &str,
        scope: String,
        samples: &[&SampleRow],
        test: fn(u32, &SampleRow) -> bool,
    ) -> MetricRow {
        let share = |says: fn(&SampleRow) -> u32| {
            let hits = samples.iter().filter(|row| test(says(row), row)).count();
            (!samples.is_empty()).then(|| hits as f64 / samples.len() as f64)
        };
        let hits: Vec<bool> = samples.iter().map(|row| test(row.adv_pred, row)).collect();
        let groups: Option<Vec<&str>> = samples.iter().map(|row| row.group.as_deref()).collect();
        let interval = share_interval(&hits, groups.as_deref());
        MetricRow {
            value_clean: share(|row| row.clean_pred),
            value: share(|row| row.adv_pred),
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
            n: samples.len() as u64,
            method: interval.map(|interval| interval.method.into()),
            ..self.row(metric, scope)
        }
    }

    fn row(&self, metric: &str, scope: String) -> MetricRow {
        let (metric, scope) = (metric.into(), scope.into());
        MetricRow { cell_id: self.id.clone(), metric, scope, ..MetricRow::default() }
    }
}

/// The cross-entropy of one class.
fn cross_entropy(logits: &[f32], class: u32) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|z| f64::from(z - largest).exp()).sum();
    sum.ln() - logits.get(class as usize).map_or(f64::NEG_INFINITY, |z| f64::from(z - largest))
}
