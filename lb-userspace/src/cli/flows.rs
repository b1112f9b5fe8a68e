//! `lbctl flows`: what the flow tables remember.

use clap::{Args, Subcommand};

use crate::control::protocol::{Call, FlowFilter, FlowList};

#[derive(Debug, Subcommand)]
pub(super) enum FlowsCommand {
    /// Flows and the backends that have them
    List {
        #[command(flatten)]
        which: Which,
        /// At most so many, up to 10,000
        #[arg(long, value_name = "FLOWS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// How many flows each backend has
    Count(Which),
}

/// Which flows.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Only those of this service
    #[arg(long)]
    service: Option<String>,
    /// Only those that this backend has
    #[arg(long, value_name = "ADDRESS:PORT")]
    backend: Option<String>,
    /// Only those of this client
    #[arg(long, value_name = "ADDRESS")]
    source: Option<String>,
}

impl FlowsCommand {
    pub(super) fn call(self) -> Call {
        match self {
            Self::List { which, limit } => Call::FlowsList(FlowList {
                service: which.service,
                backend: which.backend,
                source: which.source,
                limit: Some(limit),
            }),
            Self::Count(which) => Call::FlowsCount(FlowFilter {
                service: which.service,
                backend: which.backend,
                source: which.source,
            }),
        }
    }
}
