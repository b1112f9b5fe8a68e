//! `lbctl backend`: who answers.

use clap::{ArgGroup, Args, Subcommand};

use super::argument;
use crate::control::protocol::{
    BackendAdd, BackendList, BackendRef, BackendRemove, BackendSetup, BackendUpdate, Call, Receiver,
};

#[derive(Debug, Subcommand)]
pub(super) enum BackendCommand {
    /// Add a backend to a service
    Add(Add),
    /// Change weight, mode, role or server ids
    Update(Update),
    /// Drain a backend, then remove it
    Remove(Remove),
    /// Give it no new flows; those it has stay
    Drain(Which),
    /// Give a draining backend new flows again
    Undrain(Which),
    /// Bring it up from any state
    Enable(Which),
    /// Give it no packets at all; its flows move at once
    Disable(Which),
    /// Backends with state and health
    List {
        /// Only those of this service
        #[arg(value_parser = argument::service_name)]
        service: Option<String>,
    },
}

/// Which backend of which service.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// The service's name
    #[arg(value_parser = argument::service_name)]
    service: String,
    #[arg(help = "The backend, like 10.0.0.11:8080 or [fd00::11]:8080")]
    #[arg(value_parser = argument::backend_address)]
    address: String,
}

#[derive(Debug, Args)]
pub(super) struct Add {
    #[command(flatten)]
    which: Which,
    /// Its share, relative to the other backends', from 1 to 1000 [default: 1]
    #[arg(long, value_parser = argument::weight)]
    weight: Option<u32>,
    /// How packets reach it [default: the service's mode]
    #[arg(long, value_parser = argument::MODES)]
    mode: Option<String>,
    /// What state it begins in [default: up]
    #[arg(long, value_parser = argument::STATES)]
    state: Option<String>,
    /// When it takes new flows: as an ordinary backend, or only while too few of those can [default: ordinary]
    #[arg(long, value_parser = ["ordinary", "fallback"])]
    role: Option<String>,
    #[arg(help = "What QUIC connection ids call it, like 0a0b; may be given several times")]
    #[arg(long = "server-id", value_name = "HEX", value_delimiter = ',', value_parser = argument::server_id)]
    server_ids: Vec<String>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("changes").required(true).multiple(true)
    .args(["weight", "mode", "role", "server_ids", "no_server_ids"]))]
pub(super) struct Update {
    #[command(flatten)]
    which: Which,
    /// Its new share, from 1 to 1000
    #[arg(long, value_parser = argument::weight)]
    weight: Option<u32>,
    /// How packets reach it from now on
    #[arg(long, value_parser = argument::MODES)]
    mode: Option<String>,
    /// When it takes new flows from now on
    #[arg(long, value_parser = ["ordinary", "fallback"])]
    role: Option<String>,
    /// Replaces what QUIC connection ids call it; may be given several times
    #[arg(long = "server-id", value_name = "HEX", value_delimiter = ',', value_parser = argument::server_id)]
    server_ids: Option<Vec<String>>,
    /// Take its server ids away
    #[arg(long, conflicts_with = "server_ids")]
    no_server_ids: bool,
}

#[derive(Debug, Args)]
pub(super) struct Remove {
    #[command(flatten)]
    which: Which,
    /// At once, whatever flows it has
    #[arg(long, conflicts_with = "drain_timeout")]
    force: bool,
    /// How long it drains [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = argument::duration)]
    drain_timeout: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example: lbctl backend-setup web 10.0.0.11:8080 | ssh root@10.0.0.11 sh")]
pub(super) struct Setup {
    #[command(flatten)]
    which: Which,
    /// What takes tunnels off there: `lbd decap`, which takes them from balancers only, or the kernel's tunnel devices,
    /// for which nothing is to be installed but which take them from everybody
    #[arg(long, value_name = "WHAT", default_value = "decap", value_parser = argument::receiver)]
    with: Receiver,
    /// Other balancers' addresses, that tunnels come from too; may be repeated
    #[arg(long, value_name = "PREFIX", value_parser = argument::prefix)]
    from: Vec<String>,
    /// Print the way back: takes away what no other backend of the same address needs
    #[arg(long)]
    undo: bool,
}

impl Setup {
    pub(super) fn call(self) -> Call {
        Call::BackendSetup(BackendSetup {
            service: self.which.service,
            address: self.which.address,
            with: Some(self.with),
            from: self.from,
            undo: self.undo,
        })
    }
}

impl BackendCommand {
    pub(super) fn call(self) -> Call {
        match self {
            Self::Add(add) => Call::BackendAdd(BackendAdd {
                service: add.which.service,
                address: add.which.address,
                weight: add.weight,
                mode: add.mode,
                state: add.state,
                role: add.role,
                server_ids: add.server_ids,
            }),
            Self::Update(update) => Call::BackendUpdate(BackendUpdate {
                service: update.which.service,
                address: update.which.address,
                weight: update.weight,
                mode: update.mode,
                role: update.role,
                server_ids: update
                    .server_ids
                    .or_else(|| update.no_server_ids.then(Vec::new)),
            }),
            Self::Remove(remove) => Call::BackendRemove(BackendRemove {
                service: remove.which.service,
                address: remove.which.address,
                force: remove.force,
                drain_timeout: remove.drain_timeout,
            }),
            Self::Drain(which) => Call::BackendDrain(which.into()),
            Self::Undrain(which) => Call::BackendUndrain(which.into()),
            Self::Enable(which) => Call::BackendEnable(which.into()),
            Self::Disable(which) => Call::BackendDisable(which.into()),
            Self::List { service } => Call::BackendList(BackendList { service }),
        }
    }
}

impl From<Which> for BackendRef {
    fn from(which: Which) -> Self {
        Self {
            service: which.service,
            address: which.address,
        }
    }
}
