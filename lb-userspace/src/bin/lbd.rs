//! The daemon.

use std::process::ExitCode;

use clap::Parser;
use lb_userspace::daemon::{self, Options};

fn main() -> ExitCode {
    match daemon::run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
