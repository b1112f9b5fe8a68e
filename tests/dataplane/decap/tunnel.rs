//! Tunnelled packets: what a balancer of any make sends to a backend.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_tests::packet::Packet;

use crate::family::Family;

/// Prefixes of the balancers' addresses.
pub(super) const BALANCERS: [(IpAddr, u8); 4] = [
    (IpAddr::V4(Ipv4Addr::new(10, 9, 0, 0)), 24),
    (IpAddr::V4(Ipv4Addr::new(10, 9, 3, 128)), 25),
    (IpAddr::V6(Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 0)), 64),
    (IpAddr::V6(Ipv6Addr::new(0xfd09, 3, 0, 0, 0, 0, 0, 7)), 128),
];

/// A balancer's address.
pub(super) const fn balancer(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(10, 9, 0, 5)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 5)),
    }
}

/// The address at which tunnels end.
pub(super) const fn host(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(10, 9, 1, 2)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0xfd09, 1, 0, 0, 0, 0, 0, 2)),
    }
}

/// Kinds of tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// IP in IP.
    Ip,
    /// GUE, variant 0 with so many words after its header.
    Gue0(u8),
    /// GUE, variant 1.
    Gue1,
}

impl Kind {
    /// One of each.
    pub(super) const ALL: [Self; 5] = [
        Self::Ip,
        Self::Gue0(0),
        Self::Gue0(1),
        Self::Gue0(31),
        Self::Gue1,
    ];

    /// Bytes between the outer IP header and the packet inside.
    pub(super) const fn header_len(self) -> usize {
        match self {
            Self::Ip => 0,
            Self::Gue0(words) => 8 + 4 + words as usize * 4,
            Self::Gue1 => 8,
        }
    }
}

/// The protocol number of a packet of `family` inside another one.
pub(super) const fn number(family: Family) -> u8 {
    match family {
        Family::V4 => 4,
        Family::V6 => 41,
    }
}

/// The IP packet in a frame.
pub(super) fn datagram(packet: &Packet) -> Vec<u8> {
    let layers = packet.layers();
    packet.frame()[layers.ip..layers.end].to_vec()
}

/// A tunnel of `kind` with `inside`, of version `inner`, from a balancer to this host.
pub(super) fn tunnel(outer: Family, kind: Kind, inner: Family, inside: &[u8]) -> Packet {
    match kind {
        Kind::Ip => Packet::raw(balancer(outer), host(outer), number(inner), inside.to_vec()),
        Kind::Gue0(words) => {
            let mut bytes = vec![words, number(inner), 0, 0];
            bytes.extend(vec![0xaa; usize::from(words) * 4]);
            bytes.extend(inside);
            gue(outer, bytes)
        }
        Kind::Gue1 => gue(outer, inside.to_vec()),
    }
}

/// A UDP datagram of `bytes` to the port of GUE.
pub(super) fn gue(outer: Family, bytes: Vec<u8>) -> Packet {
    let from = (balancer(outer), 49_152).into();
    Packet::udp(from, (host(outer), 6_080).into()).payload(bytes)
}

/// Every combination of kind, outer and inner version.
pub(super) fn combinations() -> Vec<(Kind, Family, Family)> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        for outer in Family::BOTH {
            for inner in Family::BOTH {
                all.push((kind, outer, inner));
            }
        }
    }
    all
}
