//! `percuss demo`: a real sweep on embedded data, on any machine.

use std::path::PathBuf;

use clap::Args;

use super::{DataArgs, DeviceArgs};
use crate::sweep::options::SweepOptions;

/// Arguments of `percuss demo`.
#[derive(Args, Debug)]
pub struct DemoCommand {
    /// The results folder
    #[arg(long, value_name = "DIR", default_value = "results/demo")]
    pub out: PathBuf,
    /// Where to compute.
    #[command(flatten)]
    pub device: DeviceArgs,
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
            out: Some(self.out.clone()),
            device: self.device.device.clone(),
            threads: self.device.threads.map(usize::from),
            quiet: self.quiet,
            data_dir: self.data.data_dir.clone(),
            ..SweepOptions::default()
        }
    }
}
