//! `percuss eval STUDY.toml`: clean metrics of every model on its data, against what was expected.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{DataArgs, DeviceArgs, print};
use crate::Result;
use crate::data::Remark;
use crate::results::table::aligned;
use crate::sweep::clean::{Part, RECALL, Rate, parts};
use crate::sweep::doubts;
use crate::sweep::resolve::{ResolvedSubject, check_expectations, resolve};
use crate::sweep::study::Study;
use crate::telling::counted;

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
    let study = Study::read(&command.study)?.within(command.data.memory);
    let device = command.device.select()?;
    let data_dir = command.data.data_dir.as_deref();
    let subjects = resolve(&study, &device, data_dir)?;
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
    let mut text = format!("{} on {} ({}{synthetic})\n", model.id, data.id, counted(samples.len(), "sample"));
    for line in samples.describe() {
        text += &format!("  {line}\n");
    }
    for remark in remarks(resolved) {
        text += &format!("  {remark}\n");
    }
    let parts = parts(&resolved.subject);
    for (name, value) in &resolved.metrics {
        text += &format!("  {name:<20} {value:.4}{}", whole(&parts, name));
        text += &match model.expect.get(name) {
            None => "\n".to_string(),
            Some([low, high]) if (low..=high).contains(&value) => {
                format!("  expected {low} to {high}: as expected\n")
            }
            Some([low, high]) => format!("  expected {low} to {high}: MISSED\n"),
        };
    }
    let shown = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.6}"));
    let thresholds: Vec<String> = thresholds(resolved).into_iter().map(shown).collect();
    if !thresholds.is_empty() {
        text += &format!("  {:<20} {}\n", "threshold", thresholds.join(" "));
    }
    text + &breakdown(&parts)
}

/// The threshold of each decision; none of a finding that no sample is labelled with.
fn thresholds(resolved: &ResolvedSubject) -> Vec<Option<f64>> {
    let subject = &resolved.subject;
    let decisions = subject.decisions();
    let own = |(at, &value): (usize, &f64)| decisions.contains(&at).then_some(value);
    subject.thresholds.iter().enumerate().map(own).collect()
}

/// The interval of a metric over all samples, of a model that decides once.
fn whole(parts: &[Part], metric: &str) -> String {
    let all = parts.iter().find(|part| part.finding.is_none() && part.subgroup.is_none());
    let rate = all.and_then(|all| all.rates.iter().find(|rate| rate.name == metric));
    let ends = rate.and_then(|rate| rate.interval);
    ends.map_or(String::new(), |[low, high]| format!(" ({low:.4} to {high:.4})"))
}

/// Tables of what the model does on each finding or class, and on each subgroup, with 95% intervals.
fn breakdown(parts: &[Part]) -> String {
    let (all, subgroups): (Vec<&Part>, Vec<&Part>) = parts.iter().partition(|part| part.subgroup.is_none());
    let mut text = String::new();
    if all.iter().any(|part| part.finding.is_some()) {
        text += &table("finding", &all);
    } else if let Some(part) = all.first() {
        text += &classes(part);
    }
    for of_column in subgroups.chunk_by(|a, b| column(a) == column(b)) {
        text += &table(column(of_column[0]), of_column);
    }
    text
}

fn column(part: &Part) -> &str {
    part.subgroup.as_ref().map_or("", |(column, _)| column)
}

/// One part of the samples a row, with the rates that are not of a class.
fn table(heading: &str, parts: &[&Part]) -> String {
    let shown = |rate: &&Rate| !rate.name.starts_with(RECALL);
    let mut names: Vec<&str> = Vec::new();
    for rate in parts.iter().flat_map(|part| &part.rates).filter(shown) {
        if !names.contains(&rate.name.as_str()) {
            names.push(&rate.name);
        }
    }
    let mut rows = vec![vec![format!("by {heading}"), "n".into()]];
    if parts.iter().any(|part| part.positives.is_some()) {
        rows[0].push("positive".into());
    }
    rows[0].extend(names.iter().map(|name| (*name).to_string()));
    for part in parts {
        let value = part.subgroup.as_ref().map(|(_, value)| match value.as_str() {
            "" => "(blank)".to_string(),
            value => value.to_string(),
        });
        let name: Vec<String> = part.finding.clone().into_iter().chain(value).collect();
        let mut row = vec![name.join(", "), part.n.to_string()];
        row.extend(part.positives.map(|positives| positives.to_string()));
        let rate = |name: &&str| part.rates.iter().find(|rate| rate.name == **name);
        row.extend(names.iter().map(|name| rate(name).map_or("-".into(), shown_rate)));
        rows.push(row);
    }
    aligned(&rows, usize::MAX).join("\n") + "\n"
}

/// The recall of each class, of a decision between several.
fn classes(part: &Part) -> String {
    let own: Vec<(&str, &Rate)> =
        part.rates.iter().filter_map(|rate| Some((rate.name.strip_prefix(RECALL)?, rate))).collect();
    if own.is_empty() {
        return String::new();
    }
    let mut rows = vec![["by class", "n", "recall"].map(String::from).to_vec()];
    rows.extend(own.into_iter().map(|(name, rate)| vec![name.into(), rate.n.to_string(), shown_rate(rate)]));
    aligned(&rows, usize::MAX).join("\n") + "\n"
}

fn shown_rate(rate: &Rate) -> String {
    let ends = rate.interval.map(|[low, high]| format!(" ({low:.3}-{high:.3})"));
    format!("{:.3}{}", rate.value, ends.unwrap_or_default())
}

/// What reading the data has to say, and what is doubtful in the model's clean answers.
fn remarks(resolved: &ResolvedSubject) -> Vec<Remark> {
    let subject = &resolved.subject;
    subject.data.remarks.iter().cloned().chain(doubts::of_all_answers(subject)).collect()
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
        "thresholds": thresholds(resolved),
        "metrics": resolved.metrics,
        "parts": parts(&resolved.subject),
        "remarks": remarks(resolved),
        "outputs": data.classes,
        "expect": model.expect,
    })
}
