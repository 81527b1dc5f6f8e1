//! `percuss eval STUDY.toml`: clean metrics of every model on its data, against what was expected.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{DataArgs, DeviceArgs, print};
use crate::Result;
use crate::sweep::resolve::{ResolvedSubject, check_expectations, resolve};
use crate::sweep::study::Study;

/// Arguments of `percuss eval`.
#[derive(Args, Debug)]
pub struct EvalCommand {
    /// The study file
    pub study: PathBuf,
    /// Where to compute.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Where data are.
    #[command(flatten)]
    pub data: DataArgs,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs it: everything is printed before a missed expectation is an error.
///
/// # Errors
/// Models or data that do not load or fit; a metric outside of what the study expects.
pub fn run(command: &EvalCommand, out: &mut dyn Write) -> Result<()> {
    let study = Study::read(&command.study)?;
    let device = command.device.select()?;
    let subjects = resolve(&study, &device, command.data.data_dir.as_deref())?;
    let text = if command.json {
        let rows: Vec<_> = subjects.iter().map(|subject| json(&study, subject)).collect();
        format!("{:#}", json!(rows))
    } else {
        subjects.iter().map(|subject| lines(&study, subject)).collect()
    };
    print(out, &text)?;
    check_expectations(&study, &subjects)
}

fn lines(study: &Study, resolved: &ResolvedSubject) -> String {
    let (model, data) = (&study.models[resolved.model], &study.data[resolved.data]);
    let samples = &resolved.subject.data;
    let synthetic = if samples.synthetic { ", synthetic" } else { "" };
    let mut text = format!("{} on {} ({} samples{synthetic})\n", model.id, data.id, samples.len());
    for line in samples.describe() {
        text += &format!("  {line}\n");
    }
    for remark in &samples.remarks {
        text += &format!("  {remark}\n");
    }
    for (name, value) in &resolved.metrics {
        text += &format!("  {name:<20} {value:.4}");
        text += &match model.expect.get(name) {
            None => "\n".to_string(),
            Some([low, high]) if (low..=high).contains(&value) => {
                format!("  expected {low} to {high}: as expected\n")
            }
            Some([low, high]) => format!("  expected {low} to {high}: MISSED\n"),
        };
    }
    let thresholds: Vec<String> =
        resolved.subject.thresholds.iter().map(|value| format!("{value:.6}")).collect();
    if !thresholds.is_empty() {
        text += &format!("  {:<20} {}\n", "threshold", thresholds.join(" "));
    }
    text
}

fn json(study: &Study, resolved: &ResolvedSubject) -> serde_json::Value {
    let model = &study.models[resolved.model];
    let data = &resolved.subject.data;
    json!({
        "model": model.id,
        "model_sha256": resolved.subject.model.sha256,
        "data": study.data[resolved.data].id,
        "data_sha256": data.sha256,
        "split": data.split,
        "synthetic": data.synthetic,
        "n": data.len(),
        "thresholds": resolved.subject.thresholds,
        "metrics": resolved.metrics,
        "remarks": data.remarks,
        "outputs": data.classes,
        "expect": model.expect,
    })
}
