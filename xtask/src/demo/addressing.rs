//! The demo's address plan: who has which address, in both families.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The port of the VIPs.
const VIP_PORT: u16 = 80;

/// The port on which the backends' servers listen.
pub(super) const SERVER_PORT: u16 = 8080;

/// An IP version, with the service that stands for it: NAT keeps a packet's IP version, so each has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The name in the summary.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
        }
    }

    /// The service's name.
    pub(super) const fn service(self) -> &'static str {
        match self {
            Self::V4 => "web4",
            Self::V6 => "web6",
        }
    }

    /// Address and port that clients use (RFC 5737, RFC 3849: addresses for documentation).
    pub(super) const fn vip(self) -> SocketAddr {
        let address = match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)),
            Self::V6 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10)),
        };
        SocketAddr::new(address, VIP_PORT)
    }

    /// Bits of the network part of every link's addresses.
    pub(super) const fn prefix_length(self) -> u8 {
        match self {
            Self::V4 => 24,
            Self::V6 => 64,
        }
    }
}

/// A veth pair: `to-NAME` in the balancer's namespace, `eth0` in the namespace `NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The name of the far end's namespace, and of the backend there.
    pub(super) name: &'static str,
    /// Names the link's networks; 0 is the client's.
    number: u8,
}

/// The client's link.
pub(super) const CLIENT: Link = Link {
    name: "client",
    number: 0,
};

/// The backends' links.
pub(super) const BACKENDS: [Link; 3] = [
    Link {
        name: "b1",
        number: 1,
    },
    Link {
        name: "b2",
        number: 2,
    },
    Link {
        name: "b3",
        number: 3,
    },
];

/// The far end of every link.
pub(super) const FAR_DEVICE: &str = "eth0";

impl Link {
    /// All links: the client's and the backends'.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        [CLIENT].into_iter().chain(BACKENDS)
    }

    /// The balancer's end.
    pub(super) fn near_device(self) -> String {
        format!("to-{}", self.name)
    }

    /// The balancer's address on the link.
    pub(super) fn near_address(self, family: Family) -> IpAddr {
        self.host(family, 1)
    }

    /// The far end's address.
    pub(super) fn far_address(self, family: Family) -> IpAddr {
        self.host(family, 2)
    }

    /// Where the server at the far end listens: the backend's name on the control socket.
    pub(super) fn server(self, family: Family) -> SocketAddr {
        SocketAddr::new(self.far_address(family), SERVER_PORT)
    }

    fn host(self, family: Family, host: u8) -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::new(10, 0, self.number, host).into(),
            Family::V6 => {
                let (link, host) = (u16::from(self.number), u16::from(host));
                Ipv6Addr::new(0xfd00, link, 0, 0, 0, 0, 0, host).into()
            }
        }
    }
}
