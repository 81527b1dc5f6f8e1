//! `percuss demo`: a real sweep on embedded data, on any machine.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::demo_models;
use super::report::{retired, swept};
use super::{DataArgs, DeviceArgs, PrecisionArgs, print};
use crate::Result;
use crate::data::registry;
use crate::sweep::options::SweepOptions;
use crate::sweep::run::sweep;
use crate::sweep::study::Study;
use crate::telling::counted;

/// The study, its paths relative to its own folder.
const STUDY: &str = include_str!("../../experiments/demo/study.toml");
/// Where the study lies in a checkout.
const PLACE: &str = "experiments/demo/study.toml";
/// A generator and its model, and the real data set and model that take their places once the set has been fetched.
const REAL: [[&str; 4]; 2] = [
    ["cxr-phantom", "cxr-phantom-cnn", "pneumoniamnist", "pneumoniamnist-cnn"],
    ["ecg-synthetic", "ecg-synthetic-resnet1d", "mitbih_beats", "mitbih-resnet1d"],
];

/// Arguments of `percuss demo`.
#[derive(Args, Debug)]
pub struct DemoCommand {
    /// The results folder [default: results/demo, with the names of the real sets that are at hand]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where to compute.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// In what the attacks compute.
    #[command(flatten)]
    pub precision: PrecisionArgs,
    /// Where data are; sets that are not there give way to embedded ones.
    #[command(flatten)]
    pub data: DataArgs,
    /// Print nothing but errors
    #[arg(long)]
    pub quiet: bool,
}

impl DemoCommand {
    /// What its sweep reads of it.
    pub fn options(&self) -> SweepOptions {
        SweepOptions {
            out: self.out.clone(),
            device: self.device.device.clone(),
            threads: self.device.threads.map(usize::from),
            tune: !self.device.no_tune,
            quiet: self.quiet,
            data_dir: self.data.data_dir.clone(),
            ..SweepOptions::default()
        }
    }
}

/// Runs it: the sweep, its table, and where the rows and the picture lie.
///
/// # Errors
/// As [`sweep`]; a results folder that cannot be written.
pub fn run(command: &DemoCommand, out: &mut dyn Write) -> Result<()> {
    let mut study = study(command.data.data_dir.as_deref())?.in_precision(command.precision.precision);
    let results = command.out.clone().unwrap_or_else(|| Path::new("results").join(&study.name));
    demo_models::unpack(&mut study, &results.join("models"))?;
    let report = sweep(&study, &command.options())?;
    if command.quiet {
        return Ok(());
    }
    print(out, &swept(&report)?)?;
    let folder = report.out.display();
    print(
        out,
        &format!(
            "\n{}{} ({} now) in {:.1} s on {}\nrows:    {folder}/cells-*.parquet, samples-*, metrics-*, curves.parquet\npicture: {folder}/robustness.svg",
            retired(&report),
            counted(report.cells as usize, "cell"),
            report.done,
            report.seconds,
            report.device
        ),
    )
}

/// What the demo sweeps, paths relative to the working directory: a checkout.
///
/// # Errors
/// None that a user could cause: the text is part of the program.
pub fn study(data_dir: Option<&Path>) -> Result<Study> {
    Study::parse(&with_real_data(data_dir), Path::new(PLACE))
}

/// The text of the study, with the real sets that are at hand in the places of their generators.
fn with_real_data(data_dir: Option<&Path>) -> String {
    let mut text = STUDY.to_string();
    let mut name = String::from("demo");
    for [generator, twin, real, model] in REAL {
        if registry::locate(real, data_dir).is_ok() {
            // The longer name first: it begins with the shorter one.
            text = text.replace(twin, model).replace(&format!("\"{generator}\""), &format!("\"{real}\""));
            name += &format!("-{real}");
        }
    }
    // Another study has another folder.
    text.replace("name = \"demo\"", &format!("name = \"{name}\""))
}
