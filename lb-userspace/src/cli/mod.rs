//! The commands of `lbctl`: arguments become one call, its answer becomes text.
//!
//! One file a noun: `service`, `backend`, `blocklist`, `flows`, `config`. `watch` prints events; `output` draws the
//! tables, `script` the
//! shell script of `backend-setup`, `failure` knows the
//! exit codes. Answers go to standard output, warnings and errors to standard error.

mod argument;
mod backend;
mod blocklist;
mod config;
mod explain;
mod failure;
mod flows;
mod import;
mod ipvs;
mod output;
mod probe;
mod script;
mod service;
mod watch;
mod weights;

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use serde_json::Value;

use self::{
    backend::{BackendCommand, Setup},
    blocklist::BlocklistCommand,
    config::ConfigCommand,
    explain::Explain,
    failure::{Exit, Failure},
    flows::FlowsCommand,
    import::Import,
    output::View,
    service::ServiceCommand,
    watch::{Watch, watch},
};
use crate::{
    control::{
        client::{Client, ClientError, DEFAULT_SOCKET},
        protocol::{Call, NoParams, schema::schema},
    },
    manual,
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
enum Command {
    #[command(flatten)]
    Ask(Box<Question>),
    /// Print events as they happen: health, publications, attachments, changes, errors
    Watch(Watch),
    /// Services and backends in the shape of `ipvsadm -Ln`
    Ipvsadm,
    /// Turn another balancer's configuration into one for lbd
    #[command(subcommand)]
    Import(Import),
    /// Print the JSON Schema of the control socket and of the configuration file
    Schema,
    /// Print what a shell completes this program's commands by
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print this program's man page, or write the pages of all its commands
    Man {
        /// Where to write them, like /usr/local/share/man/man1
        directory: Option<PathBuf>,
    },
}

/// Commands that are one call.
#[derive(Debug, Subcommand)]
enum Question {
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
    /// What the running program would do with a packet, stage by stage; live traffic does not notice
    Explain(Explain),
    /// Take the data plane off: traffic to all services ends, and so does lbd
    ///
    /// Packets go to the host's own stack again. What is wanted stays saved: the next start of lbd puts everything back.
    /// Of an lbd that does not run, `lbd detach` takes off what it has left.
    Detach {
        /// Yes, traffic to all services is to end
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Services: what clients address
    #[command(subcommand)]
    Service(Box<ServiceCommand>),
    /// Backends: who answers
    #[command(subcommand)]
    Backend(BackendCommand),
    /// Print what a backend's host needs for its mode, as a shell script to be run there
    BackendSetup(Setup),
    /// The blocklist: sources whose packets are dropped
    #[command(subcommand)]
    Blocklist(BlocklistCommand),
    /// Flows that are remembered, and who has them
    #[command(subcommand)]
    Flows(FlowsCommand),
    /// The configuration as a whole
    #[command(subcommand)]
    Config(ConfigCommand),
}

impl Question {
    /// The call that the command makes; `input` is read if a file is named `-`.
    fn call(self, input: &mut dyn Read) -> Result<Call, Failure> {
        Ok(match self {
            Self::Version => Call::Version(NoParams {}),
            Self::Status => Call::Status(NoParams {}),
            Self::Stats { .. } => Call::Stats(NoParams {}),
            Self::Explain(explain) => explain.call(),
            Self::Detach { .. } => Call::Detach(NoParams {}),
            Self::Service(command) => command.call(),
            Self::Backend(command) => command.call(),
            Self::BackendSetup(setup) => setup.call(),
            Self::Blocklist(command) => command.call(),
            Self::Flows(command) => command.call(),
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

/// The definition of the command line.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Does what the command says.
fn perform(arguments: Arguments, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let Arguments {
        socket,
        json,
        command,
    } = arguments;
    let output = &mut *terminal.output;
    match command {
        Command::Ask(question) => return ask(*question, &socket, json, terminal),
        Command::Ipvsadm => {
            let text = ipvs::show(&mut Client::connect(&socket)?, json)?;
            output.write_all(text.as_bytes()).map_err(Failure::Print)?;
        }
        Command::Import(import) => return import.run(terminal),
        Command::Watch(wanted) => {
            watch(Client::connect(&socket)?, wanted.wanted(), json, output)?;
        }
        Command::Schema => writeln!(output, "{:#}", schema()).map_err(Failure::Print)?,
        Command::Completions { shell } => {
            manual::completions(self::command(), shell, output).map_err(Failure::Print)?;
        }
        Command::Man { directory } => {
            manual::pages(self::command(), directory.as_deref(), output).map_err(|error| {
                if directory.is_some() {
                    Failure::Write(error)
                } else {
                    Failure::Print(error)
                }
            })?;
        }
    }
    Ok(Exit::Done)
}

/// Makes a call and prints its answer.
fn ask(
    question: Question,
    socket: &Path,
    json: bool,
    terminal: &mut Terminal<'_>,
) -> Result<Exit, Failure> {
    let view = View {
        all_outcomes: matches!(question, Question::Stats { all: true }),
        now: terminal.now,
    };
    let call = question.call(terminal.input)?;
    let mut client = match (Client::connect(socket), &call) {
        (Err(error @ ClientError::Unreachable { .. }), Call::Detach(_)) => {
            return Err(Failure::NobodyToDetach(error));
        }
        (connected, _) => connected?,
    };
    let answer = client.call(&call)?;
    let exit = exit_of(&call, &answer);
    if json {
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
    Ok(exit)
}

/// What an answer means that is no failure of the call.
fn exit_of(call: &Call, answer: &Value) -> Exit {
    if matches!(call, Call::ConfigCheck(_)) && answer["valid"] == false {
        Exit::InvalidConfig
    } else if matches!(call, Call::ConfigPlan(_)) && answer.get("over_budget").is_some() {
        Exit::Failed
    } else {
        Exit::Done
    }
}

#[cfg(test)]
mod tests;
