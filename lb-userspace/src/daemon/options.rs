//! The command line of `lbd`.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::XdpMode;

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
    /// Take the data plane of a stopped daemon off: packets go to the host's own stack again.
    Detach {
        /// Directory of the instance's pins in a BPF file system.
        #[arg(long, value_name = "DIR", default_value = BPFFS)]
        bpffs: PathBuf,
    },
}

/// How to run.
#[derive(Clone, Debug, clap::Args)]
pub struct RunOptions {
    /// Configuration file. The default one may be absent; one that is named must exist.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Attach to this interface; may be repeated. Replaces `interfaces` of the file.
    #[arg(long = "interface", value_name = "NAME")]
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
