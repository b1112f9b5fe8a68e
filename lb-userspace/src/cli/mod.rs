//! The commands of `lbctl`: arguments become one call, its answer becomes text.
//!
//! One file a noun: `service`, `backend`, `blocklist`, `config`. `output` draws the tables, `script` the
//! shell script of `backend-setup`, `failure` knows the
//! exit codes. Answers go to standard output, warnings and errors to standard error.

mod argument;
mod backend;
mod blocklist;
mod config;
mod failure;
mod output;
mod script;
mod service;

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    path::PathBuf,
    process::ExitCode,
    time::SystemTime,
};

use clap::{Parser, Subcommand};

use self::{
    backend::{BackendCommand, Setup},
    blocklist::BlocklistCommand,
    config::ConfigCommand,
    failure::{Exit, Failure},
    output::View,
    service::ServiceCommand,
};
use crate::control::{
    client::{Client, DEFAULT_SOCKET},
    protocol::{Call, Checked, NoParams},
};

/// Steers lbd, the load balancer's daemon, over its control socket.
#[derive(Debug, Parser)]
#[command(name = "lbctl", version, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 invalid configuration, \
    4 daemon not reachable, 5 not allowed"
)]
struct Arguments {
    /// The daemon's control socket
    #[arg(long, global = true, env = "LB_SOCKET", value_name = "PATH", default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
    /// Print the protocol's own answer
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of them, for as long as it takes to read a command line"
)]
enum Command {
    /// Versions of lbctl, the daemon, the protocol and the kernel
    Version,
    /// Interfaces, services and the health of every backend
    Status,
    /// Packets by outcome, and traffic of services and backends
    Stats {
        /// Outcomes that no packet had, too
        #[arg(long)]
        all: bool,
    },
    /// Services: what clients address
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Backends: who answers
    #[command(subcommand)]
    Backend(BackendCommand),
    /// Print what a backend's host needs for its mode, as a shell script to be run there
    BackendSetup(Setup),
    /// The blocklist: sources whose packets are dropped
    #[command(subcommand)]
    Blocklist(BlocklistCommand),
    /// The configuration as a whole
    #[command(subcommand)]
    Config(ConfigCommand),
}

impl Command {
    /// The call that the command makes; `input` is read if a file is named `-`.
    fn call(self, input: &mut dyn Read) -> Result<Call, Failure> {
        Ok(match self {
            Self::Version => Call::Version(NoParams {}),
            Self::Status => Call::Status(NoParams {}),
            Self::Stats { .. } => Call::Stats(NoParams {}),
            Self::Service(command) => command.call(),
            Self::Backend(command) => command.call(),
            Self::BackendSetup(setup) => setup.call(),
            Self::Blocklist(command) => command.call(),
            Self::Config(command) => command.call(input)?,
        })
    }
}

/// Where a command reads and writes, and what time it is.
struct Terminal<'a> {
    input: &'a mut dyn Read,
    output: &'a mut dyn Write,
    errors: &'a mut dyn Write,
    now: SystemTime,
}

/// Runs `lbctl` with these arguments, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut terminal = Terminal {
        input: &mut io::stdin(),
        output: &mut io::stdout(),
        errors: &mut io::stderr(),
        now: SystemTime::now(),
    };
    ExitCode::from(execute(arguments, &mut terminal) as u8)
}

fn execute(arguments: impl IntoIterator<Item = OsString>, terminal: &mut Terminal<'_>) -> Exit {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => {
            // Whoever closed standard error does not want to know.
            drop(write!(terminal.errors, "{}", error.render()));
            return Exit::Usage;
        }
        Err(help) => {
            let printed = write!(terminal.output, "{}", help.render());
            return printed.map_or_else(|error| Failure::Print(error).exit(), |()| Exit::Done);
        }
    };
    let json = arguments.json;
    perform(arguments, terminal).unwrap_or_else(|failure| {
        drop(failure.print(terminal.errors, json));
        failure.exit()
    })
}

/// Makes the call and prints its answer.
fn perform(arguments: Arguments, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let view = View {
        all_outcomes: matches!(arguments.command, Command::Stats { all: true }),
        now: terminal.now,
    };
    let call = arguments.command.call(terminal.input)?;
    let mut client = Client::connect(&arguments.socket)?;
    let answer = client.call(&call)?;
    let is_invalid = matches!(call, Call::ConfigCheck(_))
        && serde_json::from_value(answer.clone()).is_ok_and(|Checked { valid, .. }| !valid);
    if arguments.json {
        writeln!(terminal.output, "{answer:#}").map_err(Failure::Print)?;
    } else {
        let text = output::text(&call, answer, view).map_err(Failure::Answer)?;
        terminal
            .output
            .write_all(text.answer.as_bytes())
            .map_err(Failure::Print)?;
        for remark in text.remarks {
            drop(writeln!(terminal.errors, "lbctl: {remark}"));
        }
    }
    terminal.output.flush().map_err(Failure::Print)?;
    Ok(if is_invalid {
        Exit::InvalidConfig
    } else {
        Exit::Done
    })
}

#[cfg(test)]
mod tests;
