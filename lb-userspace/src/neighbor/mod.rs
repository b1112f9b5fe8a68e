//! Next hops from the kernel's routes and neighbours: the only module that names netlink.
//!
//! [`resolver`] keeps the next hops of a set of destinations fresh, [`link`] knows the interfaces. The
//! kernel alone routes: it is asked about each destination, its tables are not read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    net::IpAddr,
};

use lb_common::vlan::Vlan;

mod doubts;
mod handle;
mod kernel;
pub mod link;
mod needs;
mod netlink;
mod resolve;
pub mod resolver;
mod tap;
pub mod vlan;

pub use handle::ResolverHandle;
pub use link::{InterfaceEvents, Link, Xdp, addresses, links};
pub use resolver::Resolver;
pub use tap::{TapSettings, set_up_tap};
pub use vlan::{UnsupportedVlan, VlanLink};

use self::netlink::Netlink;
use crate::model::Ways;

/// Where a frame for some destination goes. The default is nowhere: the packet stays on this host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHop {
    /// Index of the interface that transmits: the parent of a VLAN device.
    pub interface: u32,
    /// The tag that frames leave with, if the egress interface is a VLAN device.
    pub vlan: Vlan,
    /// MAC address of the egress interface.
    pub source_mac: [u8; 6],
    /// MAC address of the next hop.
    pub destination_mac: [u8; 6],
    /// Whether the next hop is the destination itself, not a gateway: mode `l2` needs that.
    pub on_link: bool,
    /// The address of this host that the kernel would send from.
    pub source: Option<IpAddr>,
    /// The largest IP packet that the egress interface carries, in bytes; 0: not known.
    pub mtu: u16,
}

/// The ways to `destinations`, as routes and interfaces are now.
///
/// # Errors
/// The kernel could not be asked.
pub async fn ways(destinations: impl IntoIterator<Item = IpAddr>) -> Result<Ways, NeighborError> {
    let netlink = Netlink::open()?;
    let links = netlink.links().await?;
    let links = links.into_iter().map(|link| (link.index, link)).collect();
    let mut ways = Ways::new();
    for destination in destinations {
        let route = netlink.route(destination).await?;
        let way = resolve::way(destination, route, &links);
        ways.extend(way.map(|way| (destination, way)));
    }
    Ok(ways)
}

/// Why a destination has no next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// The kernel has no route, or refuses the one it has.
    NoRoute,
    /// The address is this host's own.
    Local,
    /// The route puts packets into something else first, which the program does not.
    Encapsulated {
        /// The name of the interface it leads to.
        interface: String,
    },
    /// The egress interface has no MAC address (a tunnel, loopback).
    NoEthernet {
        /// Its name.
        interface: String,
    },
    /// The route's interface is down.
    InterfaceDown {
        /// Its name.
        interface: String,
    },
    /// The egress interface is a VLAN device whose tag the program cannot write.
    UnsupportedVlan {
        /// Its name.
        interface: String,
        /// Why not.
        why: UnsupportedVlan,
    },
    /// Nobody has answered to ARP or neighbour discovery yet.
    NoNeighbor {
        /// Who was asked for: the destination or its gateway.
        next_hop: IpAddr,
        /// The interface's name.
        interface: String,
    },
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoute => f.write_str("no route to it"),
            Self::Local => f.write_str("its address is this host's own"),
            Self::Encapsulated { interface } => write!(
                f,
                "its route to {interface} encapsulates (encap), which only the kernel's own packets get: give it a route without"
            ),
            Self::NoEthernet { interface } => write!(
                f,
                "its route leads to {interface}, which has no MAC address"
            ),
            Self::InterfaceDown { interface } => {
                write!(f, "its route leads to {interface}, which is down")
            }
            Self::UnsupportedVlan { interface, why } => {
                write!(f, "its route leads to the VLAN device {interface}, {why}")
            }
            Self::NoNeighbor {
                next_hop,
                interface,
            } => {
                write!(
                    f,
                    "{next_hop} does not answer to ARP or neighbour discovery on {interface}"
                )
            }
        }
    }
}

/// The next hop, or why there is none, for every destination asked for.
pub type NextHops = BTreeMap<IpAddr, Result<NextHop, Unresolved>>;

/// What has become of next hops since it was told last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextHopChanges {
    /// Those that are new or others than before.
    pub changed: NextHops,
    /// Destinations that nobody asks for any more.
    pub gone: BTreeSet<IpAddr>,
}

impl NextHopChanges {
    /// Whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.gone.is_empty()
    }

    /// The destinations that something has changed for.
    pub fn destinations(&self) -> impl Iterator<Item = IpAddr> {
        self.changed.keys().chain(&self.gone).copied()
    }
}

/// What the kernel did not tell about links, routes and neighbours.
#[derive(Debug, thiserror::Error)]
pub enum NeighborError {
    /// No netlink socket.
    #[error("cannot open a netlink socket: {0}")]
    Open(#[source] io::Error),
    /// The kernel answered with an error.
    #[error("cannot {action}: {source}")]
    Refused {
        /// What was asked for.
        action: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel did not answer in time, its answer makes no sense, or the socket is closed.
    #[error("cannot {action}: {why}")]
    NoAnswer {
        /// What was asked for.
        action: String,
        /// What came instead.
        why: String,
    },
}

#[cfg(test)]
mod tests;
