//! One thing that a host needs: it can be done twice, and most can be undone.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Prefix;

/// One thing that a backend's host needs. `the interface` is the one that has the backend's address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// A setting of the kernel (`sysctl`) has `value`, or one of those in `or`, which do as well.
    Sysctl {
        /// Its name, with dots.
        key: String,
        /// What is written.
        value: u32,
        /// What may stay.
        or: Vec<u32>,
    },
    /// Packets come in whose source is reached by another interface (RFC 3704 section 2.4, loose).
    ReversePath {
        /// A device of another step; the interface if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device: Option<String>,
    },
    /// The host takes these addresses for its own: a single one is on loopback and nowhere else, of more there is a
    /// local route.
    Vip {
        /// A VIP's.
        addresses: Prefix,
    },
    /// The kernel takes the UDP header of GUE off.
    Fou {
        /// UDP port; 1 to 65,535.
        port: u32,
        /// Whether around IPv6 or IPv4.
        ipv6: bool,
    },
    /// A tunnel device of the kernel takes outer IP headers off, from whatever source.
    Tunnel {
        /// Its type.
        kind: TunnelKind,
        /// Where tunnels end: the backend's address.
        local: IpAddr,
    },
    /// `lbd decap` takes tunnels off on the interface.
    Decap {
        /// The balancers' addresses; at least one prefix.
        from: Vec<Prefix>,
        /// Where tunnels end: the backend's address.
        to: IpAddr,
        /// Addresses of the VIPs of all its services.
        vips: Vec<Prefix>,
        /// UDP port of GUE; 1 to 65,535.
        gue_port: u32,
    },
    /// A routing table of its own leads to the balancer by the interface.
    ReplyRoute {
        /// The balancer's address.
        via: IpAddr,
    },
    /// That table rules for all that the host sends from this address. No rule for the service's port alone: the kernel
    /// looks routes up without ports when it learns a path's MTU, and would note it where the service never looks.
    ReplyRule {
        /// The backend's address.
        from: IpAddr,
    },
    /// What packets of full NAT come from is reached by the balancer.
    SourceRoute {
        /// Our addresses towards the backend.
        to: Prefix,
        /// The balancer's address on the link.
        via: IpAddr,
    },
}

impl Step {
    /// ARP says nothing of addresses on loopback: no answers for them, none in requests
    /// (the kernel's `ip-sysctl` document, `arp_ignore` and `arp_announce`). IPv6 needs none of it: neighbour
    /// discovery answers for an interface's own addresses only.
    pub(super) fn silent_arp() -> [Self; 2] {
        let sysctl = |name: &str, value, or: &[u32]| Self::Sysctl {
            key: format!("net.ipv4.conf.all.{name}"),
            value,
            or: or.to_vec(),
        };
        [
            sysctl("arp_ignore", 1, &[2, 8]),
            sysctl("arp_announce", 2, &[]),
        ]
    }

    /// Whether the way back takes it away. Settings stay: others may need them.
    pub(super) const fn can_be_undone(&self) -> bool {
        match self {
            Self::Sysctl { .. } | Self::ReversePath { .. } => false,
            Self::Vip { .. }
            | Self::Fou { .. }
            | Self::Tunnel { .. }
            | Self::Decap { .. }
            | Self::ReplyRoute { .. }
            | Self::SourceRoute { .. }
            | Self::ReplyRule { .. } => true,
        }
    }
}

/// The types of the kernel's tunnel devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TunnelKind {
    /// IPv4 in IPv4 (RFC 2003).
    Ipip,
    /// IPv6 in IPv4 (RFC 4213 section 3).
    Sit,
    /// Both in IPv6 (RFC 2473).
    Ip6tnl,
}

impl TunnelKind {
    /// The type for packets to `vip` in tunnels that end at `outer`.
    pub(super) const fn of(vip: IpAddr, outer: IpAddr) -> Self {
        match (vip, outer) {
            (IpAddr::V4(_), IpAddr::V4(_)) => Self::Ipip,
            (IpAddr::V6(_), IpAddr::V4(_)) => Self::Sit,
            (_, IpAddr::V6(_)) => Self::Ip6tnl,
        }
    }

    /// The name of our device of that type.
    #[must_use]
    pub const fn device(self) -> &'static str {
        match self {
            Self::Ipip => "lb-ipip",
            Self::Sit => "lb-sit",
            Self::Ip6tnl => "lb-ip6tnl",
        }
    }
}
