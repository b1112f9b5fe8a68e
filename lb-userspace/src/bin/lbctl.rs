//! `lbctl`: the operator's end of the control socket; see [`lb_userspace::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    lb_userspace::cli::run(std::env::args_os())
}
