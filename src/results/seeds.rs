//! What training seeds spread: for every configuration of a threat that trains models, each metric's mean over seeds, its interval, and
//! the difference from the unpoisoned twins.

use std::collections::HashMap;

use serde_json::Value;

use super::reader::Results;
use super::records::{CellRow, MetricRow, SeedRow};
use super::table_file::write_rows;
use super::text::Text;
use crate::Result;

/// 97.5% points of Student's t distribution with 1 to 30 degrees of freedom (Student 1908).
const STUDENT: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// The 97.5% point of Student's t distribution; within 0.002 of it.
fn student(degrees: usize) -> f64 {
    match degrees {
        0 => f64::INFINITY,
        1..=30 => STUDENT[degrees - 1],
        // The first terms of its expansion around the normal distribution (Fisher and Cornish 1960).
        _ => 1.96 + 2.372 / degrees as f64 + 2.822 / (degrees * degrees) as f64,
    }
}

/// A mean with its 95% interval, by Student's t; the interval needs two values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// Both ends, where there are two values or more.
    pub interval: Option<[f64; 2]>,
}

/// The mean of `values` and its interval; `None` for none.
pub fn spread(values: &[f64]) -> Option<Spread> {
    let n = values.len();
    let mean = crate::statistics::mean(values.iter().copied())?;
    let interval = (n > 1).then(|| {
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
        let half = student(n - 1) * (variance / n as f64).sqrt();
        [mean - half, mean + half]
    });
    Some(Spread { mean, interval })
}

/// A configuration without its seed.
fn configuration(cell: &CellRow) -> String {
    match serde_json::from_str::<Value>(&cell.params) {
        Ok(Value::Object(mut map)) => {
            map.shift_remove("seed");
            Value::Object(map).to_string()
        }
        _ => cell.params.to_string(),
    }
}

/// A metric of a configuration over its seeds.
#[derive(Default)]
struct Over {
    clean: Vec<f64>,
    value: Vec<f64>,
    difference: Vec<f64>,
}

/// The rows of every configuration of a threat that trains models, in the cells' order.
pub fn over_seeds(results: &Results) -> Result<Vec<SeedRow>> {
    let mut rows: Vec<(SeedRow, Over)> = Vec::new();
    let mut index: HashMap<(String, Text, Text), usize> = HashMap::new();
    let mut trained: Vec<CellRow> = Vec::new();
    results.for_each_cell(|cell| {
        trained.extend((cell.threat != "evasion").then_some(cell));
        Ok(())
    })?;
    if trained.is_empty() {
        // Metrics of thousands of evasion cells are not read for nothing.
        return Ok(Vec::new());
    }
    let metrics = results.metrics_by_cell()?;
    for cell in &trained {
        let params = configuration(cell);
        let key = format!("{} {} {} {params}", cell.model_sha256, cell.data_sha256, cell.defense);
        for metric in metrics.get(&cell.cell_id).into_iter().flatten() {
            let place = (key.clone(), metric.metric.clone(), metric.scope.clone());
            let at = *index.entry(place).or_insert_with(|| {
                rows.push((row(cell, &params, metric), Over::default()));
                rows.len() - 1
            });
            let over = &mut rows[at].1;
            over.clean.extend(metric.value_clean);
            over.value.extend(metric.value);
            over.difference.extend(metric.value.zip(metric.value_clean).map(|(value, clean)| value - clean));
        }
    }
    Ok(rows.into_iter().map(|(row, over)| filled(row, &over)).collect())
}

fn row(cell: &CellRow, params: &str, metric: &MetricRow) -> SeedRow {
    SeedRow {
        study: cell.study.clone(),
        model: cell.model.clone(),
        model_sha256: cell.model_sha256.clone(),
        data: cell.data.clone(),
        data_sha256: cell.data_sha256.clone(),
        synthetic: cell.synthetic,
        defense: cell.defense.clone(),
        threat: cell.threat.clone(),
        attack: cell.attack.clone(),
        params: params.into(),
        classes: cell.classes.clone(),
        metric: metric.metric.clone(),
        scope: metric.scope.clone(),
        ..SeedRow::default()
    }
}

fn filled(mut row: SeedRow, over: &Over) -> SeedRow {
    row.n_seeds = over.value.len().max(over.clean.len()) as u64;
    row.value_clean = spread(&over.clean).map(|clean| clean.mean);
    if let Some(Spread { mean, interval }) = spread(&over.value) {
        row.value = Some(mean);
        (row.low, row.high) = interval.map_or((None, None), |[low, high]| (Some(low), Some(high)));
    }
    if let Some(Spread { mean, interval }) = spread(&over.difference) {
        row.difference = Some(mean);
        (row.difference_low, row.difference_high) =
            interval.map_or((None, None), |[low, high]| (Some(low), Some(high)));
    }
    row
}

/// [`over_seeds`], written to `seeds.parquet` in the folder, where there is any.
pub fn write_seeds(results: &Results) -> Result<()> {
    let rows = over_seeds(results)?;
    if rows.is_empty() { Ok(()) } else { write_rows(&results.dir().join("seeds.parquet"), &rows) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_of_three_has_the_interval_of_two_degrees_of_freedom() {
        let Some(Spread { mean, interval: Some([low, high]) }) = spread(&[1.0, 2.0, 3.0]) else {
            panic!("three values have an interval")
        };
        // The standard error is 1 / sqrt 3.
        let half = 4.303 / 3f64.sqrt();
        assert!(
            (mean - 2.0).abs() < 1e-12
                && (high - 2.0 - half).abs() < 1e-12
                && (2.0 - low - half).abs() < 1e-12
        );
        assert_eq!(spread(&[7.0]), Some(Spread { mean: 7.0, interval: None }));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn the_tail_of_the_table_goes_on_smoothly() {
        // Tabulated: 2.0395 for 31, 2.0003 for 60, 1.9799 for 120 degrees of freedom.
        for (degrees, expected) in [(31, 2.0395), (60, 2.0003), (120, 1.9799)] {
            assert!((student(degrees) - expected).abs() < 0.002, "{degrees}: {}", student(degrees));
        }
    }
}
