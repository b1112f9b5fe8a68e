//! The backends of the world, and the ports of the VIP by which each is reached.
//!
//! A port stands for a case: 80 is served in mode `l2` by a backend on the client's side, 100 has no live
//! backend, and so on; each for TCP, UDP and SCTP, IPv4 and IPv6.

use std::net::SocketAddr;

use lb_common::{backend::Mode, vlan::Vlan};
use lb_tests::packet::{CUSTOMER_TAG, Mac, PROVIDER_TAG, Packet, Tag};

use crate::family::Family;

/// The client's MAC address, or its router's.
pub(crate) const CLIENT_MAC: Mac = [2, 0, 0, 0, 0, 0xcc];
/// The interface that faces the client.
pub(crate) const FRONT_MAC: Mac = [2, 0, 0, 0, 0, 0x1b];
/// The interface that faces the backends.
pub(crate) const BACK_MAC: Mac = [2, 0, 0, 0, 0, 0x2b];

/// The interface that is not in the devices map.
pub(crate) const SIDE_MAC: Mac = [2, 0, 0, 0, 0, 0x3b];

/// An interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Faces the client.
    Front,
    /// Faces the backends.
    Back,
    /// Is not in the devices map.
    Aside,
    /// Is the interface of probes, with its own program.
    Probes,
}

/// A backend of the world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) id: u32,
    pub(crate) mode: Mode,
    pub(crate) family: Family,
    pub(crate) side: Side,
    /// The tag that its egress asks for.
    pub(crate) vlan: Vlan,
}

impl Member {
    const fn new(id: u32, mode: Mode, family: Family, side: Side) -> Self {
        Self {
            id,
            mode,
            family,
            side,
            vlan: Vlan::NONE,
        }
    }

    /// The same behind a VLAN device.
    const fn behind(mut self, id: u16, is_provider: bool) -> Self {
        self.vlan = Vlan::new(id, is_provider);
        self
    }

    /// Its MAC address.
    pub(crate) fn mac(self) -> Mac {
        let id = u8::try_from(self.id).expect("few backends");
        [2, 0, 0, 0, 1, id]
    }

    /// The MAC address of the interface it is reached by.
    pub(crate) const fn egress_mac(self) -> Mac {
        match self.side {
            Side::Front => FRONT_MAC,
            Side::Back | Side::Aside | Side::Probes => BACK_MAC,
        }
    }

    /// Its address and port.
    pub(crate) fn address(self) -> SocketAddr {
        let id = u8::try_from(self.id).expect("few backends");
        SocketAddr::new(self.family.backend(id), 8_080)
    }

    /// What `packet`, which came in by the front, must look like on its way to this backend. Where its egress asks
    /// for no tag, they stay on the way out of the same interface only.
    pub(crate) fn receives(self, packet: &Packet) -> Packet {
        let ttl = packet.ttl - 1;
        let mut sent = packet.clone().macs(self.egress_mac(), self.mac()).ttl(ttl);
        if self.vlan != Vlan::NONE {
            sent.tags = vec![tag(self.vlan, packet)];
        } else if self.side != Side::Front {
            sent.tags.clear();
        }
        match self.mode {
            Mode::NAT => sent.to(self.address()),
            Mode::SNAT => sent.from(self.sees(packet)).to(self.address()),
            _ => sent,
        }
    }

    /// Whom this backend takes for the sender of `packet`, the first that goes to it.
    pub(crate) const fn sees(self, packet: &Packet) -> SocketAddr {
        match self.mode {
            Mode::SNAT => SocketAddr::new(self.family.own(), FIRST_PORT),
            _ => packet.source,
        }
    }

    /// A reply of this backend to `request`, as it sends it.
    pub(crate) fn replies_to(self, request: &Packet) -> Packet {
        request
            .clone()
            .from(self.address())
            .to(self.sees(request))
            .macs(self.mac(), self.egress_mac())
    }
}

/// The tag of `vlan`, with the priority of the outermost tag of `packet`.
pub(crate) fn tag(vlan: Vlan, packet: &Packet) -> Tag {
    Tag {
        ether_type: if vlan.is_provider() {
            PROVIDER_TAG
        } else {
            CUSTOMER_TAG
        },
        id: vlan.id(),
        priority: packet.tags.first().map_or(0, |tag| tag.priority),
    }
}

pub(crate) const L2_FRONT: Member = Member::new(1, Mode::L2, Family::V4, Side::Front);
pub(crate) const L2_BACK: Member = Member::new(2, Mode::L2, Family::V6, Side::Back);
pub(crate) const NAT_BACK: [Member; 2] = [
    Member::new(3, Mode::NAT, Family::V4, Side::Back),
    Member::new(4, Mode::NAT, Family::V6, Side::Back),
];
pub(crate) const NAT_FRONT: [Member; 2] = [
    Member::new(5, Mode::NAT, Family::V4, Side::Front),
    Member::new(6, Mode::NAT, Family::V6, Side::Front),
];
/// A mode that no program knows.
pub(crate) const STRANGE_MODE: Member = Member::new(7, Mode(77), Family::V4, Side::Back);
/// Is reached by an interface that is not in the devices map.
pub(crate) const NO_DEVICE: Member = Member::new(8, Mode::L2, Family::V4, Side::Aside);
/// Its number is in a table, but nobody has it.
pub(crate) const GONE: Member = Member::new(9, Mode::L2, Family::V4, Side::Back);
/// Serves port 104 until something changes.
pub(crate) const FIRST: Member = Member::new(10, Mode::L2, Family::V4, Side::Front);
/// Serves port 104 after the change.
pub(crate) const SECOND: Member = Member::new(11, Mode::L2, Family::V4, Side::Front);

/// Reached through a tunnel, by mode, the outer header's IP version, and the way out. The first two are
/// back by the interface the client is on.
pub(crate) const TUNNELS: [Member; 8] = [
    Member::new(12, Mode::IPIP, Family::V4, Side::Front),
    Member::new(13, Mode::IPIP, Family::V6, Side::Front),
    Member::new(14, Mode::IPIP, Family::V4, Side::Back),
    Member::new(15, Mode::IPIP, Family::V6, Side::Back),
    Member::new(16, Mode::GUE, Family::V4, Side::Front),
    Member::new(17, Mode::GUE, Family::V6, Side::Front),
    Member::new(18, Mode::GUE, Family::V4, Side::Back),
    Member::new(19, Mode::GUE, Family::V6, Side::Back),
];
/// Is this host itself.
pub(crate) const LOCAL: Member = Member::new(20, Mode::LOCAL, Family::V4, Side::Front);

/// See another client.
pub(crate) const SNAT_BACK: [Member; 2] = [
    Member::new(21, Mode::SNAT, Family::V4, Side::Back),
    Member::new(22, Mode::SNAT, Family::V6, Side::Back),
];
pub(crate) const SNAT_FRONT: [Member; 2] = [
    Member::new(23, Mode::SNAT, Family::V4, Side::Front),
    Member::new(24, Mode::SNAT, Family::V6, Side::Front),
];
/// How many source ports there are.
pub(crate) const PORTS: u16 = 4;
/// The one that is given out first, of those from [`LAST_PORT`] on.
pub(crate) const FIRST_PORT: u16 = LAST_PORT + 1;
/// The one that is given out last.
pub(crate) const LAST_PORT: u16 = 20_000;
/// Behind VLAN devices, by mode and the way out, with either kind of tag.
pub(crate) const TAGGED: [Member; 9] = [
    Member::new(25, Mode::L2, Family::V4, Side::Front).behind(100, false),
    Member::new(26, Mode::L2, Family::V6, Side::Back).behind(4_094, true),
    Member::new(27, Mode::IPIP, Family::V4, Side::Front).behind(1, true),
    Member::new(28, Mode::IPIP, Family::V6, Side::Back).behind(100, false),
    Member::new(29, Mode::GUE, Family::V4, Side::Back).behind(100, true),
    Member::new(30, Mode::GUE, Family::V6, Side::Front).behind(7, false),
    Member::new(31, Mode::NAT, Family::V4, Side::Back).behind(100, false),
    Member::new(32, Mode::NAT, Family::V6, Side::Front).behind(100, true),
    // Its parent is not in the devices map.
    Member::new(33, Mode::L2, Family::V4, Side::Aside).behind(100, false),
];

/// The backend of this family.
pub(crate) fn of(family: Family, members: [Member; 2]) -> Member {
    let [v4, v6] = members;
    match family {
        Family::V4 => v4,
        Family::V6 => v6,
    }
}

/// In mode `l2`, back by the interface the client is on.
pub(crate) const PORT_L2_FRONT: u16 = 80;
/// In mode `l2`, by another interface.
pub(crate) const PORT_L2_BACK: u16 = 81;
/// In mode `nat`, by another interface.
pub(crate) const PORT_NAT_BACK: u16 = 90;
/// In mode `nat`, back by the interface the client is on.
pub(crate) const PORT_NAT_FRONT: u16 = 91;
/// In mode `nat`, to a backend of the other IP version.
pub(crate) const PORT_WRONG_FAMILY: u16 = 92;
/// In mode `snat`, by another interface.
pub(crate) const PORT_SNAT_BACK: u16 = 93;
/// In mode `snat`, back by the interface the client is on.
pub(crate) const PORT_SNAT_FRONT: u16 = 94;
/// In mode `snat`, to a backend of the other IP version.
pub(crate) const PORT_SNAT_WRONG_FAMILY: u16 = 95;
/// No live backend.
pub(crate) const PORT_EMPTY: u16 = 100;
/// The table names a backend that is gone.
pub(crate) const PORT_STALE: u16 = 101;
/// The backend's mode is not known to the program.
pub(crate) const PORT_STRANGE_MODE: u16 = 102;
/// The egress interface is not in the devices map.
pub(crate) const PORT_NO_DEVICE: u16 = 103;
/// [`FIRST`], until something changes.
pub(crate) const PORT_CHANGING: u16 = 104;
/// The table names a backend beyond the end of the backends map.
pub(crate) const PORT_BEYOND: u16 = 105;
/// In mode `local`.
pub(crate) const PORT_LOCAL: u16 = 106;
/// QUIC, UDP and TCP: [`FIRST`], but for packets whose connection id names another ([`crate::world::SERVER_IDS`]).
pub(crate) const PORT_QUIC: u16 = 107;
/// As [`PORT_QUIC`], but no live backend.
pub(crate) const PORT_QUIC_EMPTY: u16 = 108;
/// The first of [`TUNNELS`]; the others follow.
pub(crate) const PORT_TUNNELS: u16 = 200;
/// The first of [`TAGGED`]; the others follow.
pub(crate) const PORT_TAGGED: u16 = 300;
/// No service.
pub(crate) const PORT_UNMATCHED: u16 = 9_999;
