//! `percuss plan STUDY.toml`: what a study asks for, before anything runs.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::{DataArgs, DeviceArgs, PrecisionArgs, print};
use crate::Result;
use crate::sweep::engine::Engine;
use crate::sweep::plan::Plan;
use crate::sweep::study::Study;

/// Arguments of `percuss plan`.
#[derive(Args, Debug)]
pub struct PlanCommand {
    /// The study file
    pub study: PathBuf,
    /// Where a step of each model is timed.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// In what the attacks compute.
    #[command(flatten)]
    pub precision: PrecisionArgs,
    /// Where data are.
    #[command(flatten)]
    pub data: DataArgs,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs it: everything that is known is printed before what a sweep would refuse is an error.
///
/// # Errors
/// A study that is not well formed; one that a sweep would refuse.
pub fn run(command: &PlanCommand, out: &mut dyn Write) -> Result<()> {
    let study =
        Study::read(&command.study)?.within(command.data.memory).in_precision(command.precision.precision);
    let threads = command.device.threads();
    let engine = Engine::new(command.device.select()?, threads);
    engine.device.check_precision(study.precision)?;
    let plan = Plan::measured(&study, command.data.data_dir.as_deref(), &engine)?;
    let text = if command.json { format!("{:#}", plan.json()) } else { plan.to_string() };
    print(out, &text)?;
    plan.refusal.map_or(Ok(()), Err)
}
