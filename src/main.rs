//! The `percuss` program.

use std::io::{ErrorKind, stdout};
use std::process::ExitCode;

use clap::Parser;
use percuss::Error;
use percuss::cli::{Cli, run};

fn main() -> ExitCode {
    match run(Cli::parse(), &mut stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has had enough of it.
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("percuss: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
