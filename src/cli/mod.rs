//! The commands, one file each.

pub mod attacks;
pub mod data;
pub mod demo;
mod demo_models;
pub mod devices;
pub mod eval;
pub mod inspect;
mod inspect_data;
mod inspect_private;
mod inspect_private_model;
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

/// Exit codes, below the help of every command.
const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 bad usage or bad input (nothing was run), 130 interrupted (what is finished is kept)";

/// Attack medical AI models in thousands of configurations, in one run
#[derive(Parser, Debug)]
#[command(name = "percuss", version, max_term_width = 120, after_help = EXIT_CODES)]
pub struct Cli {
    /// The command
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Measure every model of a study on its clean data, and compare with what the study expects
    #[command(after_help = EXIT_CODES)]
    Eval(eval::EvalCommand),
    /// Show what a study will run: cells, models to train, time, budgets in both units, warnings
    #[command(after_help = EXIT_CODES)]
    Plan(plan::PlanCommand),
    /// Run a study, or resume it where it was interrupted
    #[command(after_help = EXIT_CODES)]
    Sweep(sweep::SweepCommand),
    /// Train a model from data and write it as safetensors
    #[command(after_help = EXIT_CODES)]
    Train(train::TrainCommand),
    /// List all attacks, or show one attack's parameters, defaults and paper
    #[command(after_help = EXIT_CODES)]
    Attacks(attacks::AttacksCommand),
    /// List the named data sets, fetch one, or show where one is stored
    #[command(after_help = EXIT_CODES)]
    Data(data::DataCommand),
    /// Describe a model, a data set or a result
    #[command(after_help = EXIT_CODES)]
    Inspect(inspect::InspectCommand),
    /// List the devices, their features and their measured speed
    #[command(after_help = EXIT_CODES)]
    Devices(devices::DevicesCommand),
    /// Run a sweep of over 1,000 cells on data that need no download, with its table and picture
    #[command(after_help = EXIT_CODES)]
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
    /// What each data set and each model's weights may take of memory, as 512MB or 4GB [default: three quarters of what is free]
    #[arg(long, value_name = "SIZE", value_parser = crate::memory::parse)]
    pub memory: Option<u64>,
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
