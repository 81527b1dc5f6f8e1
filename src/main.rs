//! The `percuss` program.

use std::io::{ErrorKind, Write, stderr, stdout};
use std::process::ExitCode;

use clap::Parser;
use percuss::Error;
use percuss::cli::{Cli, run};

fn main() -> ExitCode {
    if std::env::var_os("NODEVICE_SELECT").is_none() {
        // Mesa's device-select layer complains on standard error where there is no desktop; adapters are chosen here by name.
        // SAFETY: no other thread has started.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
    match run(Cli::parse(), &mut stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has had enough of it.
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed or full; the exit code says the same.
            let _ = writeln!(stderr(), "percuss: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
