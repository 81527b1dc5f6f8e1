//! What DP-SGD spent, as metrics of every cell that was trained by it.

use super::Class;
use crate::Result;
use crate::attacks::threats::Threat;
use crate::results::MetricRow;
use crate::training::private::accountant::spent;

impl Class<'_> {
    /// `dp_epsilon`, `dp_delta`, `dp_noise_multiplier`, `dp_sample_rate`, `dp_steps` and `dp_clip_norm` of the models that a cell trained, each of
    /// scope `all`; no row without DP-SGD. Epsilon is of one model: an adversary who sees several learns more.
    pub(super) fn spending_rows(&self, i: usize) -> Result<Vec<MetricRow>> {
        let Some(privacy) = self.privacy() else { return Ok(Vec::new()) };
        let cell = &self.all.cells[i];
        let samples = match cell.threat {
            Threat::Membership => cell.knows().pools(self.school)?.target.len() / 2,
            Threat::Poisoning | Threat::Backdoor => self.school.prepared.splits.train.len(),
        };
        let mechanism = self.school.mechanism(&privacy, samples)?;
        let spent = spent(&[mechanism], privacy.delta)?;
        let values = [
            ("dp_epsilon", spent.epsilon),
            ("dp_delta", privacy.delta),
            ("dp_noise_multiplier", mechanism.noise_multiplier),
            ("dp_sample_rate", mechanism.sample_rate),
            ("dp_steps", mechanism.steps as f64),
            ("dp_clip_norm", privacy.clip_norm),
        ];
        let row = |(metric, value): (&str, f64)| MetricRow {
            cell_id: self.all.ids[i].clone(),
            metric: metric.into(),
            scope: "all".into(),
            value: Some(value),
            n: samples as u64,
            method: (metric == "dp_epsilon").then(|| "renyi".into()),
            ..MetricRow::default()
        };
        Ok(values.into_iter().map(row).collect())
    }
}
