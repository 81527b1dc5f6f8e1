//! `percuss train TRAIN.toml`: a model from data to safetensors.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::{DataArgs, DeviceArgs, print};
use crate::Result;
use crate::memory::Room;
use crate::sweep::interrupt;
use crate::training::command::{Options, train};

/// Arguments of `percuss train`.
#[derive(Args, Debug)]
pub struct TrainCommand {
    /// The training file
    pub file: PathBuf,
    /// The model's folder, instead of the file's own `out`
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where to compute.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// Where data are.
    #[command(flatten)]
    pub data: DataArgs,
    /// Print nothing but errors
    #[arg(long)]
    pub quiet: bool,
}

/// Runs it.
///
/// # Errors
/// As [`train`].
pub fn run(command: &TrainCommand, out: &mut dyn Write) -> Result<()> {
    interrupt::install()?;
    let options = Options {
        data_dir: command.data.data_dir.clone(),
        memory: Room::of(command.data.memory),
        out: command.out.clone(),
        progress: if command.quiet { |_| {} } else { crate::telling::tell },
        stop: interrupt::shared(),
        ..Options::new(command.device.select()?, command.device.threads())
    };
    let summary = train(&command.file, &options)?;
    if command.quiet {
        return Ok(());
    }
    let (kept, run) = (summary.epoch, summary.epochs_run);
    print(out, &format!("{}: epoch {kept} of {run} kept", summary.out.display()))
}
