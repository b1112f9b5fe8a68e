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

/// A route to one address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) to: IpAddr,
    way: Way,
}

impl Route {
    pub(crate) const fn by(to: IpAddr, hop: Hop) -> Self {
        Self {
            to,
            way: Way::Hop(hop),
        }
    }

    pub(crate) const fn unresolved(to: IpAddr) -> Self {
        Self {
            to,
            way: Way::Unresolved,
        }
    }

    pub(crate) const fn refused(to: IpAddr) -> Self {
        Self {
            to,
            way: Way::Refused,
        }
    }
}

impl Model {
    pub(super) fn way(&self, to: IpAddr) -> Way {
        let route = self.routes.iter().find(|route| route.to == to);
        route.map_or(Way::None, |route| route.way)
    }
}
