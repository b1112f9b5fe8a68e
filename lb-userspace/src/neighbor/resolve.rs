//! From what the kernel said about routes, links and neighbours to a next hop: a function of values.

use std::{collections::BTreeMap, net::IpAddr};

use lb_common::vlan::Vlan;

use super::{Link, NextHop, Unresolved, vlan};
use crate::model::Way;

/// What the kernel does with packets to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Sends them through an interface, to a gateway or to the destination itself. The gateway of an IPv4
    /// destination may have an IPv6 address (RFC 5549).
    Through {
        interface: u32,
        gateway: Option<IpAddr>,
        source: Option<IpAddr>,
    },
    /// Puts them into something else (`encap`: MPLS, `SRv6`, a tunnel's metadata) and sends that through an interface.
    Encapsulated { interface: u32 },
    /// Keeps them: the address is its own.
    Local,
    /// Sends them nowhere.
    Refused,
}

/// Who is asked for by ARP or neighbour discovery: an address on an interface.
pub(super) type NeighborKey = (u32, IpAddr);

/// A neighbour whose MAC address the kernel knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Neighbor {
    pub(super) mac: [u8; 6],
    /// Whether nobody has heard of it for a while (RFC 4861 section 7.3.2, STALE).
    pub(super) stale: bool,
}

/// The neighbours whose MAC addresses the kernel knows; any other is missing or silent.
pub(super) type Neighbors = BTreeMap<NeighborKey, Neighbor>;

/// Interfaces by index.
pub(super) type Links = BTreeMap<u32, Link>;

/// Where frames to `destination` go.
pub(super) fn resolve(
    destination: IpAddr,
    route: Route,
    links: &Links,
    neighbors: &Neighbors,
) -> Result<NextHop, Unresolved> {
    let (interface, gateway, source) = match route {
        Route::Through {
            interface,
            gateway,
            source,
        } => (interface, gateway, source),
        Route::Encapsulated { interface } => {
            let link = links.get(&interface).ok_or(Unresolved::NoRoute)?;
            let interface = link.name.clone();
            return Err(Unresolved::Encapsulated { interface });
        }
        Route::Local => return Err(Unresolved::Local),
        Route::Refused => return Err(Unresolved::NoRoute),
    };
    // An interface that is not in the list has gone since the route was asked for, and the route with it.
    let link = links.get(&interface).ok_or(Unresolved::NoRoute)?;
    let name = || link.name.clone();
    let source_mac = link
        .mac
        .ok_or_else(|| Unresolved::NoEthernet { interface: name() })?;
    if !link.up {
        return Err(Unresolved::InterfaceDown { interface: name() });
    }
    let next_hop = gateway.unwrap_or(destination);
    let neighbor = neighbors
        .get(&(interface, next_hop))
        .ok_or_else(|| Unresolved::NoNeighbor {
            next_hop,
            interface: name(),
        })?;
    let (transmitter, vlan) = match vlan::device(link, links) {
        None => (interface, Vlan::NONE),
        Some(Ok(device)) => (device.parent, device.vlan),
        Some(Err(why)) => {
            let interface = name();
            return Err(Unresolved::UnsupportedVlan { interface, why });
        }
    };
    Ok(NextHop {
        interface: transmitter,
        vlan,
        source_mac,
        destination_mac: neighbor.mac,
        on_link: next_hop == destination,
        source,
        mtu: mtu(link),
    })
}

/// What of a route a configuration can contradict; `None` if there is none.
pub(super) fn way(destination: IpAddr, route: Route, links: &Links) -> Option<Way> {
    match route {
        Route::Local => Some(Way::Here),
        // What no frame goes by contradicts no configuration.
        Route::Refused | Route::Encapsulated { .. } => None,
        Route::Through {
            interface, gateway, ..
        } => Some(Way::By {
            on_link: gateway.is_none_or(|gateway| gateway == destination),
            mtu: mtu(links.get(&interface)?),
        }),
    }
}

/// The largest IP packet of an interface; none is longer (the loopback interface carries 65,536 bytes).
fn mtu(link: &Link) -> u16 {
    u16::try_from(link.mtu).unwrap_or(u16::MAX)
}

/// The neighbour that `destination` depends on, if the kernel can be asked to look for it.
pub(super) fn neighbor_needed(
    destination: IpAddr,
    route: Route,
    links: &Links,
) -> Option<NeighborKey> {
    let Route::Through {
        interface, gateway, ..
    } = route
    else {
        return None;
    };
    let link = links.get(&interface)?;
    (link.up && link.mac.is_some()).then_some((interface, gateway.unwrap_or(destination)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::neighbor::{UnsupportedVlan, VlanLink};

    const LINK: u32 = 2;
    const DOWN: u32 = 3;
    const TUNNEL: u32 = 4;
    /// On [`LINK`], and on that again.
    const VLAN: u32 = 5;
    const STACKED: u32 = 6;
    const GONE: u32 = 9;
    const OUR_ADDRESS: &str = "10.0.0.1";
    const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const OURS_ON_VLAN: [u8; 6] = [2, 0, 0, 0, 0, 5];
    const THEIRS: [u8; 6] = [2, 0, 0, 0, 0, 2];

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn links() -> Links {
        let link = |index, name: &str, mac, up| Link {
            index,
            name: name.to_owned(),
            mac,
            up,
            mtu: 1_500,
            kind: None,
            vlan: None,
            xdp: None,
        };
        [
            link(LINK, "eth0", Some(OURS), true),
            link(DOWN, "eth1", Some(OURS), false),
            link(TUNNEL, "tun0", None, true),
            Link {
                mtu: 1_496,
                ..vlan(LINK, link(VLAN, "eth0.100", Some(OURS_ON_VLAN), true))
            },
            vlan(VLAN, link(STACKED, "eth0.100.7", Some(OURS), true)),
        ]
        .map(|link| (link.index, link))
        .into()
    }

    fn vlan(parent: u32, link: Link) -> Link {
        let vlan = Some(VlanLink {
            parent,
            id: 100,
            is_provider: false,
        });
        Link { vlan, ..link }
    }

    fn neighbors() -> Neighbors {
        [
            (LINK, "10.0.0.2"),
            (LINK, "fd00::2"),
            (VLAN, "10.3.0.2"),
            (STACKED, "10.4.0.2"),
        ]
        .map(|(link, address)| {
            let neighbor = Neighbor {
                mac: THEIRS,
                stale: false,
            };
            ((link, ip(address)), neighbor)
        })
        .into()
    }

    fn through(interface: u32, gateway: Option<&str>) -> Route {
        let gateway = gateway.map(ip);
        Route::Through {
            interface,
            gateway,
            source: Some(ip(OUR_ADDRESS)),
        }
    }

    fn hop(on_link: bool) -> NextHop {
        NextHop {
            interface: LINK,
            vlan: Vlan::NONE,
            source_mac: OURS,
            destination_mac: THEIRS,
            on_link,
            source: Some(ip(OUR_ADDRESS)),
            mtu: 1_500,
        }
    }

    /// By the parent, as the VLAN device would send it.
    fn hop_in_vlan(on_link: bool) -> NextHop {
        NextHop {
            vlan: Vlan::new(100, false),
            source_mac: OURS_ON_VLAN,
            mtu: 1_496,
            ..hop(on_link)
        }
    }

    fn silent(next_hop: &str) -> Unresolved {
        Unresolved::NoNeighbor {
            next_hop: ip(next_hop),
            interface: "eth0".to_owned(),
        }
    }

    #[test]
    fn every_kind_of_destination() {
        let down = || {
            Err(Unresolved::InterfaceDown {
                interface: "eth1".to_owned(),
            })
        };
        let tunnel = || {
            Err(Unresolved::NoEthernet {
                interface: "tun0".to_owned(),
            })
        };
        let stacked = || {
            Err(Unresolved::UnsupportedVlan {
                interface: "eth0.100.7".to_owned(),
                why: UnsupportedVlan::Stacked {
                    parent: "eth0.100".to_owned(),
                },
            })
        };
        for (destination, route, expected) in [
            ("10.0.0.2", through(LINK, None), Ok(hop(true))),
            ("fd00::2", through(LINK, None), Ok(hop(true))),
            ("192.0.2.1", through(LINK, Some("10.0.0.2")), Ok(hop(false))),
            (
                "2001:db8::1",
                through(LINK, Some("fd00::2")),
                Ok(hop(false)),
            ),
            ("192.0.2.1", through(LINK, Some("fd00::2")), Ok(hop(false))),
            ("10.0.0.2", through(LINK, Some("10.0.0.2")), Ok(hop(true))),
            ("10.3.0.2", through(VLAN, None), Ok(hop_in_vlan(true))),
            (
                "192.0.2.1",
                through(VLAN, Some("10.3.0.2")),
                Ok(hop_in_vlan(false)),
            ),
            ("10.4.0.2", through(STACKED, None), stacked()),
            ("10.0.0.3", through(LINK, None), Err(silent("10.0.0.3"))),
            (
                "192.0.2.1",
                through(LINK, Some("10.0.0.3")),
                Err(silent("10.0.0.3")),
            ),
            ("10.1.0.2", through(DOWN, None), down()),
            ("10.2.0.2", through(TUNNEL, None), tunnel()),
            ("10.9.0.2", through(GONE, None), Err(Unresolved::NoRoute)),
            ("10.0.0.1", Route::Local, Err(Unresolved::Local)),
            ("203.0.113.1", Route::Refused, Err(Unresolved::NoRoute)),
            (
                "192.0.2.1",
                Route::Encapsulated { interface: LINK },
                Err(Unresolved::Encapsulated {
                    interface: "eth0".to_owned(),
                }),
            ),
        ] {
            assert_eq!(
                resolve(ip(destination), route, &links(), &neighbors()),
                expected,
                "{destination} by {route:?}"
            );
        }
    }

    #[test]
    fn ways_are_here_on_a_link_behind_a_gateway_or_none() {
        let by = |on_link| {
            Some(Way::By {
                on_link,
                mtu: 1_500,
            })
        };
        for (destination, route, expected) in [
            ("10.0.0.2", through(LINK, None), by(true)),
            ("10.0.0.2", through(LINK, Some("10.0.0.2")), by(true)),
            ("192.0.2.1", through(LINK, Some("10.0.0.3")), by(false)),
            ("10.0.0.1", Route::Local, Some(Way::Here)),
            ("203.0.113.1", Route::Refused, None),
            ("192.0.2.1", Route::Encapsulated { interface: LINK }, None),
            ("10.9.0.2", through(GONE, None), None),
        ] {
            let found = way(ip(destination), route, &links());
            assert_eq!(found, expected, "{destination} by {route:?}");
        }
    }

    #[test]
    fn neighbours_are_asked_for_only_where_they_can_answer() {
        for (destination, route, expected) in [
            (
                "10.0.0.3",
                through(LINK, None),
                Some((LINK, ip("10.0.0.3"))),
            ),
            (
                "192.0.2.1",
                through(LINK, Some("fd00::2")),
                Some((LINK, ip("fd00::2"))),
            ),
            ("10.1.0.2", through(DOWN, None), None),
            ("10.2.0.2", through(TUNNEL, None), None),
            ("10.9.0.2", through(GONE, None), None),
            ("10.0.0.1", Route::Local, None),
            ("203.0.113.1", Route::Refused, None),
        ] {
            assert_eq!(
                neighbor_needed(ip(destination), route, &links()),
                expected,
                "{destination} by {route:?}"
            );
        }
    }
}
