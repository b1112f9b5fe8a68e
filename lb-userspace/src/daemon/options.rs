//! The command line of `lbd`.

use std::{net::IpAddr, path::PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use lb_common::decap::GUE_PORT;

use crate::{config::XdpMode, model::Prefix};

/// Where configuration, socket, state and pins are unless said otherwise.
const CONFIG: &str = "/etc/lb/lb.toml";
const STATE: &str = "/var/lib/lb";
const BPFFS: &str = "/sys/fs/bpf/lb";

/// The load balancer's daemon.
#[derive(Debug, Parser)]
#[command(name = "lbd", version, about, propagate_version = true)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `lbd` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load the program, attach it, and serve the control socket until told to stop.
    ///
    /// Stopping leaves the data plane forwarding; the next start takes it over.
    Run(RunOptions),
    /// List every fault of a configuration file with its place, without a daemon and without root.
    ///
    /// Says what `lbctl config check` says, but cannot know what does not fit into the maps of a daemon that runs. Ends
    /// with 0 if there is no fault, with 3 if there is one.
    Check {
        /// A TOML file, or - for standard input.
        #[arg(default_value = CONFIG)]
        file: PathBuf,
        /// It is for another host: hold neither CPUs and ports nor routes and MTUs of this one against it.
        #[arg(long)]
        elsewhere: bool,
    },
    /// On a backend: take tunnels off that balancers have put on, until told to stop.
    ///
    /// IP in IP and GUE. Tunnels must come from `--from`, end at an address of this host (or at `--to`), and
    /// hold a packet for a `--vip`; all else is left to the host's stack. Prints its ledger when it ends.
    Decap(DecapOptions),
    /// Take the data plane of a stopped daemon off: packets go to the host's own stack again.
    Detach {
        /// Directory of the instance's pins in a BPF file system.
        #[arg(long, value_name = "DIR", default_value = BPFFS)]
        bpffs: PathBuf,
    },
    /// Print what a shell completes this program's commands by.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print this program's man page, or write the pages of all its commands.
    Man {
        /// Where to write them, like /usr/local/share/man/man1.
        directory: Option<PathBuf>,
    },
}

/// How to run.
#[derive(Clone, Debug, clap::Args)]
pub struct RunOptions {
    /// Configuration file. The default one may be absent, unless it was applied before; one that is named must exist.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Attach to this interface; may be repeated. Replaces `interfaces` of the file.
    #[arg(long = "interface", alias = "iface", value_name = "NAME")]
    pub interfaces: Vec<String>,
    /// How to attach. Replaces `xdp_mode` of the file.
    #[arg(long, value_name = "MODE", value_enum)]
    pub xdp_mode: Option<XdpModeOption>,
    /// Control socket.
    #[arg(long, value_name = "PATH", default_value = crate::control::client::DEFAULT_SOCKET)]
    pub socket: PathBuf,
    /// Directory for what must survive a restart.
    #[arg(long, value_name = "DIR", default_value = STATE)]
    pub state_dir: PathBuf,
    /// Directory of the instance's pins in a BPF file system.
    #[arg(long, value_name = "DIR", default_value = BPFFS)]
    pub bpffs: PathBuf,
    /// Form of log lines.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Take the data plane off when stopping.
    #[arg(long)]
    pub detach_on_stop: bool,
}

/// How to take tunnels off.
#[derive(Clone, Debug, clap::Args)]
pub struct DecapOptions {
    /// Attach to this interface; may be repeated.
    #[arg(
        long = "iface",
        alias = "interface",
        value_name = "NAME",
        required = true
    )]
    pub interfaces: Vec<String>,
    /// Take tunnels from balancers with these addresses; may be repeated.
    #[arg(long, value_name = "PREFIX", required = true)]
    pub from: Vec<Prefix>,
    /// Take packets to this VIP, or to all addresses of a prefix, out of tunnels; may be repeated.
    #[arg(long = "vip", value_name = "PREFIX", required = true)]
    pub vips: Vec<Prefix>,
    /// Let tunnels end at this address; may be repeated. Without it, at every address of this host.
    #[arg(long, value_name = "ADDRESS")]
    pub to: Vec<IpAddr>,
    /// UDP port of GUE.
    #[arg(long, value_name = "PORT", default_value_t = GUE_PORT, value_parser = clap::value_parser!(u16).range(1..))]
    pub gue_port: u16,
    /// How to attach.
    #[arg(long, value_name = "MODE", value_enum, default_value_t = XdpModeOption::Auto)]
    pub xdp_mode: XdpModeOption,
    /// Directory in a BPF file system; the pins stand in its directory `decap`.
    #[arg(long, value_name = "DIR", default_value = BPFFS)]
    pub bpffs: PathBuf,
    /// Write the process id to this file when tunnels are taken off, for whoever waits for it; it goes at the end.
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Form of log lines.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

impl RunOptions {
    /// The file to read, and whether it must exist.
    #[must_use]
    pub fn config_file(&self) -> (PathBuf, bool) {
        match &self.config {
            Some(path) => (path.clone(), true),
            None => (CONFIG.into(), false),
        }
    }
}

/// Forms of log lines, on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// [`XdpMode`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum XdpModeOption {
    /// Native, or generic with a warning.
    Auto,
    /// By the driver.
    Native,
    /// By the stack.
    Generic,
}

impl From<XdpModeOption> for XdpMode {
    fn from(option: XdpModeOption) -> Self {
        match option {
            XdpModeOption::Auto => Self::Auto,
            XdpModeOption::Native => Self::Native,
            XdpModeOption::Generic => Self::Generic,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::manual::tests::assert_is_told_whole;

    #[test]
    fn every_command_has_its_man_page_and_completions() {
        assert_is_told_whole(&Options::command());
    }
}
