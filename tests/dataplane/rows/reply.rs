//! The way back in mode `nat`: from the backend, seemingly from the VIP, to the client.

use lb_common::outcome::Outcome;
use lb_tests::{
    object::Action,
    packet::{CUSTOMER_TAG, Extension, Flags, NO_OPERATIONS, Packet},
};

use super::cut;
use crate::{
    family::{Family, tcp, udp},
    member::{CLIENT_MAC, FRONT_MAC, NAT_BACK, NAT_FRONT, PORT_NAT_BACK, PORT_NAT_FRONT, Side, of},
    row::{Row, row},
};

/// `reply`, to the client or to our own source, as the client of `request` must see it.
pub(crate) fn seen_by_client(reply: &Packet, request: &Packet) -> Packet {
    reply
        .clone()
        .from(request.destination)
        .to(request.source)
        .macs(FRONT_MAC, CLIENT_MAC)
        .ttl(reply.ttl - 1)
}

/// A request out to the backend behind, before anything comes back.
pub(super) fn after(name: String, family: Family, request: &Packet) -> Row {
    row(name).redirects(request, &of(family, NAT_BACK).receives(request))
}

fn replied(family: Family, name: &str, request: &Packet, reply: &Packet) -> Row {
    let out = seen_by_client(reply, request);
    after(format!("{family:?}: {name}"), family, request).answers(
        Side::Back,
        reply,
        Outcome::Replied,
        Action::Redirect,
        Some(&out),
    )
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        rows.extend(forwarded(family));
        rows.extend(not_forwarded(family));
    }
    let backend = of(Family::V4, NAT_BACK);
    let request = tcp(Family::V4, PORT_NAT_BACK);
    let options = backend.replies_to(&request).options(&NO_OPERATIONS);
    let datagram = udp(Family::V4, PORT_NAT_BACK);
    let without = backend.replies_to(&datagram).without_checksum();
    rows.push(replied(
        Family::V4,
        "a reply with options",
        &request,
        &options,
    ));
    rows.push(replied(
        Family::V4,
        "a reply without checksum",
        &datagram,
        &without,
    ));
    let request = tcp(Family::V6, PORT_NAT_BACK);
    let extended = of(Family::V6, NAT_BACK)
        .replies_to(&request)
        .extension(Extension::DestinationOptions { length: 0 });
    rows.push(replied(
        Family::V6,
        "a reply with destination options",
        &request,
        &extended,
    ));
    rows
}

fn forwarded(family: Family) -> Vec<Row> {
    let backend = of(family, NAT_BACK);
    let request = tcp(family, PORT_NAT_BACK);
    let reply = backend.replies_to(&request).flags(Flags::SYN | Flags::ACK);
    let reset = backend.replies_to(&request).flags(Flags::RST);
    let datagram = udp(family, PORT_NAT_BACK);
    let answer = backend.replies_to(&datagram).payload(vec![0x77; 600]);
    let tagged = backend.replies_to(&request).tag(CUSTOMER_TAG, 9);
    let mut untagged = tagged.clone();
    untagged.tags.clear();
    let near = of(family, NAT_FRONT);
    let hairpin = tcp(family, PORT_NAT_FRONT);
    let hairpin_reply = near.replies_to(&hairpin);
    vec![
        replied(family, "a syn-ack", &request, &reply),
        replied(family, "a reset", &request, &reset),
        replied(family, "a datagram's answer", &datagram, &answer),
        after(
            format!("{family:?}: a reply in a vlan leaves untagged"),
            family,
            &request,
        )
        .answers(
            Side::Back,
            &tagged,
            Outcome::Replied,
            Action::Redirect,
            Some(&seen_by_client(&untagged, &request)),
        ),
        row(format!(
            "{family:?}: a reply on the interface the client is on"
        ))
        .transmits(&hairpin, &near.receives(&hairpin))
        .answers(
            Side::Front,
            &hairpin_reply,
            Outcome::Replied,
            Action::Transmit,
            Some(&seen_by_client(&hairpin_reply, &hairpin)),
        ),
    ]
}

fn not_forwarded(family: Family) -> Vec<Row> {
    let backend = of(family, NAT_BACK);
    let request = tcp(family, PORT_NAT_BACK);
    let reply = backend.replies_to(&request);
    let from = |client| request.clone().from((client, 40_000).into());
    let unresolved = from(family.unresolved());
    let unresolved_reply = backend.replies_to(&unresolved);
    // The stack takes it from here: it resolves the neighbour, and takes one from the hop limit itself.
    let rewritten = unresolved_reply.clone().from(request.destination);
    let dropped = |name: &str, client, outcome| {
        let request = from(client);
        after(format!("{family:?}: {name}"), family, &request).answers(
            Side::Back,
            &backend.replies_to(&request),
            outcome,
            Action::Drop,
            None,
        )
    };
    let passed = |name: &str, request: &Packet, reply: Vec<u8>| {
        after(format!("{family:?}: {name}"), family, request).passes(&reply, Outcome::NotVip)
    };
    let mut other_port = reply.clone();
    other_port.source.set_port(8_081);
    let mut other_client_port = reply.clone();
    other_client_port.destination.set_port(40_001);
    let other_protocol = Packet::udp(reply.source, reply.destination);
    // The kernel gives one answer for both, and its stack does what is right: deliver it, or say unreachable.
    let left_alone = |name: &str, client| {
        let request = from(client);
        let reply = backend.replies_to(&request).frame();
        after(format!("{family:?}: {name}"), family, &request)
            .passes(&reply, Outcome::ReplyNotForwarded)
    };
    vec![
        after(
            format!("{family:?}: a reply to a neighbour yet to be resolved"),
            family,
            &unresolved,
        )
        .answers(
            Side::Back,
            &unresolved_reply,
            Outcome::ReplyUnresolved,
            Action::Pass,
            Some(&rewritten),
        ),
        dropped(
            "a reply that the routes refuse",
            family.refused(),
            Outcome::ReplyUnroutable,
        ),
        left_alone("a reply without a route", family.unroutable()),
        left_alone("a reply to this host itself", family.host()),
        dropped(
            "a reply to an egress that is not allowed",
            family.behind_side(),
            Outcome::NoDevice,
        ),
        after(
            format!("{family:?}: a reply at its last hop"),
            family,
            &request,
        )
        .answers(
            Side::Back,
            &reply.clone().ttl(1),
            Outcome::TtlExceeded,
            Action::Drop,
            None,
        ),
        passed(
            "from another port of the backend",
            &request,
            other_port.frame(),
        ),
        passed(
            "to another port of the client",
            &request,
            other_client_port.frame(),
        ),
        passed("by another protocol", &request, other_protocol.frame()),
        passed(
            "a reply cut short",
            &request,
            cut(reply.frame(), reply.layers().transport + 4),
        ),
        row(format!("{family:?}: a reply that nobody asked for")).passes(&reply, Outcome::NotVip),
        row(format!("{family:?}: a reply to a reset that began nothing"))
            .redirects(
                &request.clone().flags(Flags::RST),
                &backend.receives(&request.clone().flags(Flags::RST)),
            )
            .remembers(0, 0)
            .passes(&reply, Outcome::NotVip),
    ]
}
