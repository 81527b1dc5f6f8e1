//! The ROC of suspicions as rows: area, true positive rates at fixed false positive rates, and the curve.

use crate::results::{MetricRow, Text};
use crate::statistics::Interval;
use crate::statistics::roc::{Roc, area_interval, clopper_pearson};

/// Points of the curve that are stored, at equal ratios of the false positive rate from 1e-4 to 1, and 0.
const POINTS: usize = 41;

/// What was suspected, and rightly or not.
pub(super) struct Judged<'a> {
    /// What the metrics `auc`, `tpr` and `roc` have before their names.
    pub(super) prefix: &'a str,
    /// False positive rates at which the true positive rate is a metric of its own.
    pub(super) rates: [f64; 2],
    /// Higher for what is suspected more.
    pub(super) suspicions: &'a [f64],
    /// What the unpoisoned twin gives rise to instead, where that can be asked.
    pub(super) clean: Option<&'a [f64]>,
    /// What is to be found.
    pub(super) positive: &'a [bool],
    /// Names of the groups that samples come in.
    pub(super) groups: Option<&'a [&'a str]>,
}

impl Judged<'_> {
    /// `auc`, `tpr` and `roc`; nothing where there is nothing to find, or nothing else.
    pub(super) fn rows(&self, id: &Text) -> Vec<MetricRow> {
        let Some(roc) = Roc::new(self.suspicions, self.positive) else { return Vec::new() };
        let clean = self.clean.and_then(|scores| Roc::new(scores, self.positive));
        let row =
            |metric: &str, scope: String, of: &dyn Fn(&Roc) -> f64, interval: Option<Interval>| MetricRow {
                cell_id: id.clone(),
                metric: format!("{}{metric}", self.prefix).into(),
                scope: scope.into(),
                value_clean: clean.as_ref().map(of),
                value: Some(of(&roc)),
                low: interval.map(|interval| interval.low),
                high: interval.map(|interval| interval.high),
                n: self.suspicions.len() as u64,
                method: interval.map(|interval| interval.method.into()),
                ..MetricRow::default()
            };
        let area = area_interval(self.suspicions, self.positive, self.groups);
        let mut rows = vec![row("auc", "all".into(), &Roc::area, area)];
        let at = |rate: f64| move |roc: &Roc| roc.true_positive_rate(&roc.at_false_positive_rate(rate));
        for rate in self.rates {
            let found = roc.at_false_positive_rate(rate).true_positives;
            let interval = clopper_pearson(found, roc.positives);
            rows.push(row("tpr", format!("fpr={rate}"), &at(rate), interval));
        }
        for k in 0..=POINTS {
            let exponent = -4.0 + 4.0 * (k as f64 - 1.0) / (POINTS - 1) as f64;
            let rate = if k == 0 { 0.0 } else { 10f64.powf(exponent) };
            rows.push(row("roc", format!("fpr={rate:.3e}"), &at(rate), None));
        }
        rows
    }
}
