//! The kernel's routing table, as far as replies meet it.

use std::net::IpAddr;

use lb_tests::packet::Mac;

use super::Model;

/// The next hop: by which interface, from and to which MAC address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hop {
    pub(crate) egress: u32,
    pub(crate) source: Mac,
    pub(crate) destination: Mac,
    /// The tag that the egress asks for.
    pub(crate) tag: Option<Tag>,
}

/// A VLAN tag: the ethertype before it, and the VLAN's number.
pub(crate) type Tag = (u16, u16);

/// What the routing table says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Hop(Hop),
    /// The MAC address is yet to be found out.
    Unresolved,
    /// The routes forbid it.
    Refused,
    /// No route, or this host itself.
    None,
}

/// A route to an address, or to all that share their first bits with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    to: IpAddr,
    /// How many bits do not matter.
    free_bits: u8,
    way: Way,
}

impl Route {
    /// By `hop`.
    pub(crate) const fn by(to: IpAddr, hop: Hop) -> Self {
        Self::new(to, 0, Way::Hop(hop))
    }

    /// To this host itself, or to all on a link, which no packet is forwarded to.
    pub(crate) const fn own(to: IpAddr) -> Self {
        Self::new(to, 0, Way::None)
    }

    /// To neighbours that nobody has heard of.
    pub(crate) const fn unresolved(to: IpAddr, free_bits: u8) -> Self {
        Self::new(to, free_bits, Way::Unresolved)
    }

    /// Forbidden.
    pub(crate) const fn refused(to: IpAddr, free_bits: u8) -> Self {
        Self::new(to, free_bits, Way::Refused)
    }

    const fn new(to: IpAddr, free_bits: u8, way: Way) -> Self {
        Self { to, free_bits, way }
    }

    fn leads_to(&self, address: IpAddr) -> bool {
        match (self.to, address) {
            (IpAddr::V4(to), IpAddr::V4(address)) => {
                (to.to_bits() ^ address.to_bits()) >> self.free_bits == 0
            }
            (IpAddr::V6(to), IpAddr::V6(address)) => {
                (to.to_bits() ^ address.to_bits()) >> self.free_bits == 0
            }
            _ => false,
        }
    }
}

impl Model {
    pub(super) fn way(&self, to: IpAddr) -> Way {
        let route = self.routes.iter().find(|route| route.leads_to(to));
        route.map_or(Way::None, |route| route.way)
    }
}
