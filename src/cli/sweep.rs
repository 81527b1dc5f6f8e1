//! `percuss sweep STUDY.toml`: runs a study, or what is left of it.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::report::{retired, swept};
use super::{DataArgs, DeviceArgs, PrecisionArgs, print};
use crate::Result;
use crate::sweep::options::SweepOptions;
use crate::sweep::study::Study;
use crate::telling::counted;

/// Arguments of `percuss sweep`.
#[derive(Args, Debug)]
pub struct SweepCommand {
    /// The study file
    pub study: PathBuf,
    /// The results folder [default: results/NAME of the study]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where to compute.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// In what the attacks compute.
    #[command(flatten)]
    pub precision: PrecisionArgs,
    /// The I-th of N parts of the study, from 1; all parts may share a results folder
    #[arg(long, value_name = "I/N", default_value = "1/1", value_parser = shard)]
    pub shard: (usize, usize),
    /// Finish so many cells, then stop; the same command again continues
    #[arg(long, value_name = "N")]
    pub limit_cells: Option<usize>,
    /// Lanes that run at once on a worker [default: as many as the device's memory holds]
    #[arg(long, value_name = "N")]
    pub lanes: Option<std::num::NonZeroUsize>,
    /// Run every cell by itself; its rows are the same, it only takes longer
    #[arg(long)]
    pub no_sharing: bool,
    /// Print nothing but errors
    #[arg(long)]
    pub quiet: bool,
    /// Print progress and the report as lines of JSON
    #[arg(long)]
    pub json: bool,
    /// Where data are.
    #[command(flatten)]
    pub data: DataArgs,
}

impl SweepCommand {
    /// What the sweep reads of it.
    pub fn options(&self) -> SweepOptions {
        SweepOptions {
            out: self.out.clone(),
            device: self.device.device.clone(),
            shard: self.shard,
            limit_cells: self.limit_cells,
            threads: self.device.threads.map(usize::from),
            lanes: self.lanes.map(usize::from),
            sharing: !self.no_sharing,
            tune: !self.device.no_tune,
            quiet: self.quiet,
            json: self.json,
            data_dir: self.data.data_dir.clone(),
        }
    }
}

/// `I/N` with 1 <= I <= N.
fn shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parts {
        Some((i, n)) if 1 <= i && i <= n && n <= u32::MAX as usize => Ok((i, n)),
        _ => Err("expected I/N with I from 1 to N".into()),
    }
}

/// Runs it, and prints what `percuss demo` prints, too: the table, the flags, and what was done.
///
/// # Errors
/// As [`sweep`](crate::sweep::run::sweep).
pub fn run(command: &SweepCommand, out: &mut dyn Write) -> Result<()> {
    let study =
        Study::read(&command.study)?.within(command.data.memory).in_precision(command.precision.precision);
    let report = crate::sweep::run::sweep(&study, &command.options())?;
    if command.quiet {
        return Ok(());
    }
    let text = if command.json {
        serde_json::json!({
            "out": report.out.display().to_string(),
            "cells": report.cells,
            "found": report.found,
            "done": report.done,
            "retired": report.retired,
            "seconds": report.seconds,
            "loading_seconds": report.loading_seconds,
            "device": report.device,
            "complete": report.complete,
        })
        .to_string()
    } else {
        let left = match (report.complete, report.done) {
            (true, 0) => "; nothing was left to do",
            (true, _) => "",
            (false, 0) => "; --limit-cells 0 leaves nothing to do: without it the same command continues",
            (false, _) => "; the same command again continues",
        };
        let table = swept(&report)?;
        let gap = if table.is_empty() { "" } else { "\n" };
        format!(
            "{table}{gap}{}{}: {} of {} done in {:.1} s on {}, {} were there{left}",
            retired(&report),
            report.out.display(),
            report.done,
            counted(report.cells as usize, "cell"),
            report.seconds,
            report.device,
            report.found
        )
    };
    print(out, &text)
}
