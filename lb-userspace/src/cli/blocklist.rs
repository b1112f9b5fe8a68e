//! `lbctl blocklist`: sources whose packets are dropped.

use clap::{Args, Subcommand};

use super::argument;
use crate::control::protocol::{self, Call, NoParams};

#[derive(Debug, Subcommand)]
pub(super) enum BlocklistCommand {
    /// Drop what these sources send to VIP addresses, from now on
    Add(Prefixes),
    /// Let these sources in again
    Remove(Prefixes),
    /// All prefixes, one a line
    List,
}

#[derive(Debug, Args)]
pub(super) struct Prefixes {
    #[arg(help = "Sources, like 203.0.113.0/24, 2001:db8::/32 or an address")]
    #[arg(required = true, value_name = "PREFIX", value_parser = argument::prefix)]
    prefixes: Vec<String>,
}

impl BlocklistCommand {
    pub(super) fn call(self) -> Call {
        match self {
            Self::Add(add) => Call::BlocklistAdd(add.params()),
            Self::Remove(remove) => Call::BlocklistRemove(remove.params()),
            Self::List => Call::BlocklistList(NoParams {}),
        }
    }
}

impl Prefixes {
    fn params(self) -> protocol::Prefixes {
        protocol::Prefixes {
            prefixes: self.prefixes,
        }
    }
}
