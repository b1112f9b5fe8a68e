//! ICMP errors about packets of a flow: to the VIP, steered to the flow's backend; of a NAT backend's side, turned back
//! to the client (RFC 5508 section 4).

mod refused;
mod reply;
mod to_vip;

use std::net::IpAddr;

use lb_common::backend::Mode;
use lb_tests::packet::{Message, Packet};

use crate::{family::Family, member::Member, row::Row};

/// All of a packet is quoted.
pub(super) const ALL: usize = usize::MAX;
/// As little as may be quoted after the IP header (RFC 792).
pub(super) const LEAST: usize = 8;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        rows.extend(to_vip::rows(family));
        rows.extend(refused::rows(family));
        rows.extend(reply::rows(family));
    }
    rows.extend(to_vip::ipv4());
    rows.extend(to_vip::ipv6());
    rows.extend(refused::ipv4());
    rows.extend(refused::ipv6());
    rows
}

pub(crate) use refused::unmatched_dropped;

/// The types of errors that are steered.
fn kinds(family: Family) -> [Message; 4] {
    const TOO_BIG_V4: Message = Message {
        kind: 3,
        code: 4,
        rest: [0, 0, 5, 0],
    };
    const TOO_BIG_V6: Message = Message {
        kind: 2,
        code: 0,
        rest: [0, 0, 5, 0],
    };
    match family {
        Family::V4 => [
            Message::new(3),
            TOO_BIG_V4,
            Message::new(11),
            Message::new(12),
        ],
        Family::V6 => [
            Message::new(1),
            TOO_BIG_V6,
            Message::new(3),
            Message::new(4),
        ],
    }
}

/// "Destination unreachable".
fn unreachable(family: Family) -> Message {
    kinds(family)[0]
}

/// An error from `source` to whoever sent `quoted`, of which `bytes` are quoted after its IP header.
pub(super) fn error(source: IpAddr, quoted: &Packet, bytes: usize) -> Packet {
    let family = if source.is_ipv4() {
        Family::V4
    } else {
        Family::V6
    };
    Packet::icmp(
        source,
        quoted.source.ip(),
        unreachable(family),
        &quoted.quote(bytes),
    )
}

/// An error from `source` about the VIP's answer to `request`.
pub(super) fn about(source: IpAddr, request: &Packet) -> Packet {
    error(source, &answer(request), LEAST)
}

/// What a router on the way to the client saw of the answer to `request`.
pub(super) fn answer(request: &Packet) -> Packet {
    request
        .clone()
        .from(request.destination)
        .to(request.source)
        .ttl(3)
}

/// What `member` must receive of an error about `quoted`, a packet of the VIP: about its own packet by `nat`.
pub(super) fn steered(member: Member, quoted: &Packet, make: impl Fn(&Packet) -> Packet) -> Packet {
    let quoted = if member.mode == Mode::NAT {
        quoted.clone().from(member.address())
    } else {
        quoted.clone()
    };
    member.receives(&make(&quoted))
}
