//! The commands, one file each.

pub mod attacks;
pub mod data;
pub mod demo;
pub mod devices;
pub mod eval;
pub mod inspect;
mod inspect_data;
mod inspect_private;
mod inspect_results;
pub mod plan;
mod report;
pub mod sweep;
pub mod train;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use percuss_kernels::{Device, Precision};

use crate::Result;
use crate::sweep::options::threads;

/// Puts medical AI models through thousands of attack configurations in one run.
#[derive(Parser, Debug)]
#[command(name = "percuss", version, about, max_term_width = 120)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Clean metrics of every model of a study on its data, against what the study expects
    Eval(eval::EvalCommand),
    /// What a study asks for: cells, lanes, gradients, budgets in both units, warnings
    Plan(plan::PlanCommand),
    /// Run a study, or what is left of it
    Sweep(sweep::SweepCommand),
    /// Train a model: from data to safetensors
    Train(train::TrainCommand),
    /// The attacks there are, or one attack's parameters, defaults and paper
    Attacks(attacks::AttacksCommand),
    /// Named data sets: list them, fetch one from its origin, say where one lies
    Data(data::DataCommand),
    /// What is in a model, a data set or a result
    Inspect(inspect::InspectCommand),
    /// Adapters, their features, and a measured rate
    Devices(devices::DevicesCommand),
    /// A real sweep of over 1,000 cells on embedded data, with its table and picture
    Demo(demo::DemoCommand),
}

/// Where a command computes.
#[derive(Args, Clone, Debug)]
pub struct DeviceArgs {
    /// auto (a GPU if there is one, else cpu), cpu, gpu, gpu:N, or part of an adapter's name
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub device: String,
    /// CPU threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Do not time the ways to compute a product on a GPU: take what is likely the fastest
    #[arg(long)]
    pub no_tune: bool,
}

/// In what a command's attacks compute.
#[derive(Args, Clone, Copy, Debug)]
pub struct PrecisionArgs {
    /// f32; or f16: attacks multiply 16-bit floats on a GPU that has them, and every success is confirmed in f32
    #[arg(long, default_value = "f32", value_name = "PRECISION", value_parser = precision)]
    pub precision: Precision,
}

fn precision(text: &str) -> Result<Precision, String> {
    let known = [Precision::F32, Precision::F16];
    known.into_iter().find(|precision| precision.name() == text).ok_or_else(|| "expected f32 or f16".into())
}

/// Where a command looks for data.
#[derive(Args, Clone, Debug)]
pub struct DataArgs {
    /// A folder of data sets that is looked in before PERCUSS_DATA and the cache
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl DeviceArgs {
    /// CPU threads.
    pub fn threads(&self) -> usize {
        threads(self.threads.map(usize::from))
    }

    /// The device.
    ///
    /// # Errors
    /// No such device.
    pub fn select(&self) -> Result<Device> {
        crate::device::open(&self.device, self.threads(), !self.no_tune)
    }
}

/// Runs a command; its answer goes to `out`, progress to standard error.
///
/// # Errors
/// Whatever the command fails with; [`crate::Error::exit_code`] is the process's exit code.
pub fn run(cli: Cli, out: &mut dyn Write) -> Result<()> {
    match cli.command {
        Command::Eval(command) => eval::run(&command, out),
        Command::Plan(command) => plan::run(&command, out),
        Command::Sweep(command) => sweep::run(&command, out),
        Command::Train(command) => train::run(&command, out),
        Command::Attacks(command) => attacks::run(&command, out),
        Command::Data(command) => data::run(command, out),
        Command::Inspect(command) => inspect::run(&command, out),
        Command::Devices(command) => devices::run(&command, out),
        Command::Demo(command) => demo::run(&command, out),
    }
}

/// Writes a command's answer.
fn print(out: &mut dyn Write, text: &str) -> Result<()> {
    writeln!(out, "{}", text.trim_end()).map_err(crate::Error::io("standard output"))
}
