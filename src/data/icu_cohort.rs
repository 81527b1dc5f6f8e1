//! A synthetic ICU cohort: 22 variables over 48 hours, drawn around the training statistics of ISeeU (MIMIC-III).
//!
//! Not patients and not a simulation of any: each variable is its training mean plus a level of the patient's own and a slow walk over the
//! hours, in units of the training deviation. Those who die are shifted along directions that intensive care scores agree on (older, more
//! urea, faster heart, lower consciousness, pressure, bicarbonate and urine output). It lets a real model be attacked where its real data
//! may not be shown.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::draw::Draw;
use super::subset::sha256;
use super::{Dataset, Domain, Labels};
use crate::{Error, Result};

/// Changes whenever the generator gives other values.
pub const VERSION: u32 = 1;
/// The seed of the data set `iseeu-cohort`.
pub const SEED: u64 = 0;
/// Patients of train, val and test.
pub const PATIENTS: [usize; 3] = [1000, 300, 600];
const HOURS: usize = 48;
const STATISTICS: &str = include_str!("../../experiments/models/iseeu/statistics.json");
/// How those who die differ, in training deviations.
const DIRECTION: [(&str, f64); 12] = [
    ("AGE", 0.5),
    ("BUN", 0.8),
    ("BILIRRUBIN", 0.4),
    ("BICARBONATE", -0.6),
    ("Fi02", 0.7),
    ("GCSEyes", -0.9),
    ("GCSMotor", -0.9),
    ("GCSVerbal", -0.9),
    ("HEART RATE", 0.6),
    ("SYSTOLIC BP", -0.6),
    ("URINE OUTPUT", -0.5),
    ("WBC", 0.3),
];

#[derive(Deserialize)]
struct Statistics {
    variables: Vec<Variable>,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    kind: String,
    constant: bool,
    mean: f64,
    std: f64,
    low: Option<f64>,
    high: Option<f64>,
}

impl Variable {
    /// Four deviations around the mean, within the physical limits.
    fn range(&self) -> [f64; 2] {
        if self.kind == "binary" {
            return [0.0, 1.0];
        }
        let low = (self.mean - 4.0 * self.std).max(self.low.unwrap_or(0.0));
        let high = (self.mean + 4.0 * self.std).min(self.high.unwrap_or(f64::INFINITY));
        [low, high]
    }
}

/// Generates a split: shape `[1, 22, 48]` (the hours are channels), in each variable's own unit; eps 1 is one training deviation. Age,
/// diagnoses and the kind of admission cannot change.
///
/// # Errors
/// A split that is not train, val, test or all.
pub fn generate(split: &str, seed: u64) -> Result<Dataset> {
    let [train, val, test] = PATIENTS;
    let numbers = match split {
        "train" => 0..train,
        "val" => train..train + val,
        "test" => train + val..train + val + test,
        "all" => 0..train + val + test,
        other => return Err(Error::input("iseeu-cohort", "split", other, "train, val, test or all")),
    };
    let statistics: Statistics = serde_json::from_str(STATISTICS).map_err(|e| {
        Error::input("experiments/models/iseeu/statistics.json", "embedded text", e, "training statistics")
    })?;
    let variables = &statistics.variables;
    let index: Vec<u64> = numbers.map(|n| n as u64).collect();
    let patients: Vec<(u32, Vec<f32>)> =
        index.iter().map(|&number| patient(variables, seed, number)).collect();
    let hourly = |value: &dyn Fn(&Variable) -> f64| -> Vec<f32> {
        variables.iter().flat_map(|v| std::iter::repeat_n(value(v) as f32, HOURS)).collect()
    };
    let group: Vec<String> = index.iter().map(|number| format!("patient-{number}")).collect();
    Ok(Dataset {
        name: "iseeu-cohort".to_string(),
        split: split.to_string(),
        synthetic: true,
        sha256: sha256(format!("iseeu-cohort version {VERSION} seed {seed}\n{STATISTICS}").as_bytes()),
        shape: vec![1, variables.len(), HOURS],
        inputs: Vec::new(),
        labels: Labels::Class(patients.iter().map(|&(label, _)| label).collect()),
        classes: vec!["survived".to_string(), "died".to_string()],
        unit: "sd".to_string(),
        subgroups: BTreeMap::new(),
        group: Some(group),
        index,
        domain: Domain {
            low: hourly(&|v| v.range()[0]),
            high: hourly(&|v| v.range()[1]),
            scale: hourly(&|v| v.std),
            immutable: variables.iter().flat_map(|v| std::iter::repeat_n(v.constant, HOURS)).collect(),
            one_hot: Vec::new(),
            features: variables
                .iter()
                .flat_map(|v| (0..HOURS).map(|hour| format!("{} at hour {hour}", v.name)))
                .collect(),
        },
        values: patients.into_iter().flat_map(|(_, values)| values).collect(),
        samples_per_second: None,
        remarks: Vec::new(),
    })
}

fn patient(variables: &[Variable], seed: u64, number: u64) -> (u32, Vec<f32>) {
    let mut draw = Draw::new(seed ^ 0x6963_7500, number);
    let died = draw.unit() < 0.5;
    let severity = if died { draw.between(0.6, 1.6) } else { draw.between(-0.8, 0.2) };
    let mut values = Vec::with_capacity(variables.len() * HOURS);
    for variable in variables {
        let direction = DIRECTION.iter().find(|(name, _)| *name == variable.name).map_or(0.0, |(_, d)| *d);
        let level = 0.7 * draw.normal() + severity * direction;
        let happens = draw.unit() < variable.mean;
        let mut walk = 0.0;
        let [low, high] = variable.range();
        for _ in 0..HOURS {
            walk = 0.9 * walk + 0.12 * draw.normal();
            let moving = if variable.constant { 0.0 } else { walk };
            let value = match variable.kind.as_str() {
                "binary" => f64::from(u8::from(happens)),
                "ordinal" => (variable.mean + variable.std * (level + moving)).round(),
                _ => variable.mean + variable.std * (level + moving),
            };
            values.push(value.clamp(low, high) as f32);
        }
    }
    (u32::from(died), values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patients_repeat_stay_in_range_and_the_dying_are_sicker() -> Result<()> {
        let cohort = generate("test", SEED)?;
        assert_eq!(cohort.values, generate("test", SEED)?.values);
        cohort.check()?;
        let Labels::Class(labels) = &cohort.labels else { panic!("one class a patient") };
        let urea = 4 * HOURS;
        let mean = |label: u32| {
            let of: Vec<f64> = (0..cohort.len())
                .filter(|&i| labels[i] == label)
                .map(|i| f64::from(cohort.sample(i)[urea]))
                .collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        assert!(mean(1) > mean(0) + 5.0, "{} {}", mean(1), mean(0));
        assert!(cohort.domain.immutable[0] && !cohort.domain.immutable[urea]);
        Ok(())
    }
}
