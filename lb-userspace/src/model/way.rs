//! How this host reaches a backend, as far as a configuration can contradict it.

use std::{collections::BTreeMap, net::IpAddr};

/// What this host does with packets to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Keeps them: the address is its own.
    Here,
    /// Sends them by an interface.
    By {
        /// Whether the address is on the interface's link, not behind a gateway.
        on_link: bool,
        /// The largest IP packet that the interface carries, in bytes; 0: not known.
        mtu: u16,
    },
}

/// The ways to addresses; one without a route has none.
pub type Ways = BTreeMap<IpAddr, Way>;
