//! The two IP versions, and who has which address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_tests::packet::Packet;

use crate::member::Member;

/// Two IP versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The other one.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }

    const fn address(self, v4: Ipv4Addr, v6: Ipv6Addr) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(v4),
            Self::V6 => IpAddr::V6(v6),
        }
    }

    /// The address of the VIPs.
    pub(crate) const fn vip(self) -> IpAddr {
        self.address(
            Ipv4Addr::new(192, 0, 2, 10),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10),
        )
    }

    /// The address with a VIP of every port, UDP.
    pub(crate) const fn any_port_vip(self) -> IpAddr {
        self.address(
            Ipv4Addr::new(192, 0, 2, 12),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x12),
        )
    }

    /// The prefix of which all addresses are VIPs: its first address and its length.
    pub(crate) const fn prefix(self) -> (IpAddr, u8) {
        let length = match self {
            Self::V4 => 28,
            Self::V6 => 60,
        };
        (self.in_prefix(0), length)
    }

    /// A longer prefix within it.
    pub(crate) const fn inner_prefix(self) -> (IpAddr, u8) {
        let (_, length) = self.prefix();
        (self.in_prefix(8), length + 2)
    }

    /// The first address of one of the 16 parts of the prefix.
    pub(crate) const fn in_prefix(self, part: u8) -> IpAddr {
        self.address(
            Ipv4Addr::new(192, 0, 2, 192 + part),
            Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0x40 + part as u16, 0, 0, 0, 0),
        )
    }

    /// The last address of the prefix.
    pub(crate) const fn last_in_prefix(self) -> IpAddr {
        const ONES: u16 = u16::MAX;
        self.address(
            Ipv4Addr::new(192, 0, 2, 207),
            Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0x4f, ONES, ONES, ONES, ONES),
        )
    }

    /// The addresses before and behind the prefix.
    pub(crate) const fn around_prefix(self) -> [IpAddr; 2] {
        const ONES: u16 = u16::MAX;
        let before = self.address(
            Ipv4Addr::new(192, 0, 2, 191),
            Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0x3f, ONES, ONES, ONES, ONES),
        );
        [before, self.in_prefix(16)]
    }

    /// An address that is no VIP.
    pub(crate) const fn elsewhere(self) -> IpAddr {
        self.address(
            Ipv4Addr::new(192, 0, 2, 11),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x11),
        )
    }

    /// A client whose MAC address the kernel knows.
    pub(crate) const fn client(self) -> IpAddr {
        self.neighbour(7)
    }

    /// A client on the client's network that has never been heard of.
    pub(crate) const fn unresolved(self) -> IpAddr {
        self.neighbour(8)
    }

    /// A router on the client's network, which may send ICMP errors about packets to clients.
    pub(crate) const fn router(self) -> IpAddr {
        self.neighbour(9)
    }

    const fn neighbour(self, host: u8) -> IpAddr {
        self.address(
            Ipv4Addr::new(198, 51, 100, host),
            Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, host as u16),
        )
    }

    /// This host itself.
    pub(crate) const fn host(self) -> IpAddr {
        self.neighbour(1)
    }

    /// A client whose packets the routing table refuses.
    pub(crate) const fn refused(self) -> IpAddr {
        self.address(
            Ipv4Addr::new(203, 0, 114, 7),
            Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 7),
        )
    }

    /// A client to whom there is no route.
    pub(crate) const fn unroutable(self) -> IpAddr {
        self.address(
            Ipv4Addr::new(203, 0, 113, 7),
            Ipv6Addr::new(0x2001, 0xdb8, 0xd, 0, 0, 0, 0, 7),
        )
    }

    /// A client behind an interface that is not in the devices map.
    pub(crate) const fn behind_side(self) -> IpAddr {
        self.address(
            Ipv4Addr::new(198, 51, 101, 7),
            Ipv6Addr::new(0x2001, 0xdb8, 0xe, 0, 0, 0, 0, 7),
        )
    }

    /// Where outer headers come from: the first of a prefix, the low 16 bits are the flow's.
    pub(crate) const fn source(self) -> IpAddr {
        self.address(
            Ipv4Addr::new(10, 99, 0, 0),
            Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, 0),
        )
    }

    /// Our own address towards backends in mode `snat`.
    pub(crate) const fn own(self) -> IpAddr {
        self.backend(200)
    }

    /// The address of the interface of probes.
    pub(crate) const fn prober(self) -> IpAddr {
        self.alias_of(1)
    }

    /// The alias of `member`.
    pub(crate) fn alias(self, member: Member) -> IpAddr {
        self.alias_of(100 + u8::try_from(member.id).expect("few backends"))
    }

    const fn alias_of(self, host: u8) -> IpAddr {
        self.address(
            Ipv4Addr::new(198, 19, 0, host),
            Ipv6Addr::new(0xfdb3, 0, 0, 0, 0, 0, 0, host as u16),
        )
    }

    /// The address of the backend with this number.
    pub(crate) const fn backend(self, host: u8) -> IpAddr {
        self.address(
            Ipv4Addr::new(10, 0, 0, host),
            Ipv6Addr::new(0xfd00, 0xb, 0, 0, 0, 0, 0, host as u16),
        )
    }
}

/// A packet of a client, from port 40,000, to this port of the VIP.
pub(crate) fn tcp(family: Family, port: u16) -> Packet {
    Packet::tcp(client(family), (family.vip(), port).into())
}

/// The same by UDP.
pub(crate) fn udp(family: Family, port: u16) -> Packet {
    Packet::udp(client(family), (family.vip(), port).into())
}

/// The same by SCTP, with the chunk that begins an association.
pub(crate) fn sctp(family: Family, port: u16) -> Packet {
    Packet::sctp(client(family), (family.vip(), port).into())
}

/// The client's address and port.
pub(crate) const fn client(family: Family) -> SocketAddr {
    SocketAddr::new(family.client(), 40_000)
}
