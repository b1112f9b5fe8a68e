//! How packets, fragments and ICMP errors look on either side.

use std::net::IpAddr;

use lb_common::outcome::Outcome;
use lb_tests::{
    object::Action,
    packet::{CUSTOMER_TAG, Extension, Flags, NO_OPERATIONS, Packet},
};

use crate::{
    family::{Family, tcp, udp},
    member::{
        CLIENT_MAC, FRONT_MAC, Member, PORT_SNAT_BACK, PORT_SNAT_FRONT, PORT_SNAT_WRONG_FAMILY,
        SNAT_BACK, SNAT_FRONT, Side, of,
    },
    row::{Row, row},
    rows::{
        fragment::pieces,
        icmp_error::{ALL, LEAST, answer, error},
        reply::seen_by_client,
    },
};

/// Where a backend is: its side, the port by which it is reached, and how frames go there.
fn sides(family: Family) -> [(&'static str, Member, u16, Action); 2] {
    [
        (
            "front",
            of(family, SNAT_FRONT),
            PORT_SNAT_FRONT,
            Action::Transmit,
        ),
        (
            "back",
            of(family, SNAT_BACK),
            PORT_SNAT_BACK,
            Action::Redirect,
        ),
    ]
}

/// `request` reaches `member`.
fn asked(name: String, member: Member, request: &Packet) -> Row {
    let out = member.receives(request);
    if member.side == Side::Front {
        row(name).transmits(request, &out)
    } else {
        row(name).redirects(request, &out)
    }
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        rows.extend(both_ways(family));
        rows.extend(not_forwarded(family));
        rows.extend(fragments(family));
        rows.extend(errors_to_backends(family));
        rows.extend(errors_to_clients(family));
        rows.extend(errors_about_nobody(family));
    }
    rows
}

/// Requests worth a row of their own.
fn requests(family: Family, port: u16) -> Vec<(&'static str, Packet)> {
    let (segment, datagram) = (tcp(family, port), udp(family, port));
    let mut requests = vec![
        ("a syn", segment.clone()),
        ("a datagram", datagram.clone().payload(vec![0x5a; 600])),
        ("a segment in a vlan", segment.clone().tag(CUSTOMER_TAG, 9)),
    ];
    match family {
        Family::V4 => {
            requests.push((
                "a segment with options",
                segment.options(&NO_OPERATIONS.repeat(3)),
            ));
            requests.push(("a datagram without checksum", datagram.without_checksum()));
        }
        Family::V6 => requests.push((
            "a segment behind options",
            segment.extension(Extension::DestinationOptions { length: 1 }),
        )),
    }
    requests
}

fn both_ways(family: Family) -> Vec<Row> {
    let mut rows = Vec::new();
    for (side, member, port, action) in sides(family) {
        for (name, request) in requests(family, port) {
            let reply = member.replies_to(&request).payload(vec![0x77; 50]);
            let mut seen = seen_by_client(&reply, &request);
            if side == "back" {
                seen.tags.clear();
            }
            let name = format!("{family:?}: {name} and its answer by snat, {side}");
            rows.push(
                asked(name, member, &request)
                    .answers(member.side, &reply, Outcome::Replied, action, Some(&seen))
                    .remembers(1, 1)
                    .answers(member.side, &reply, Outcome::Replied, action, Some(&seen)),
            );
        }
    }
    rows
}

fn not_forwarded(family: Family) -> Vec<Row> {
    let backend = of(family, SNAT_BACK);
    let request = tcp(family, PORT_SNAT_BACK);
    let reply = backend.replies_to(&request);
    let after = |name: &str, client: IpAddr| {
        let request = request.clone().from((client, 40_000).into());
        asked(
            format!("{family:?}: a reply by snat {name}"),
            backend,
            &request,
        )
    };
    // The stack takes it from here, and takes one from the hop limit itself.
    let passed_on = reply
        .clone()
        .from(request.destination)
        .to((family.unresolved(), 40_000).into());
    let mut other_port = reply.clone();
    other_port.destination.set_port(20_003);
    let mut other_backend_port = reply.clone();
    other_backend_port.source.set_port(8_081);
    vec![
        after("to a neighbour yet to be resolved", family.unresolved()).answers(
            Side::Back,
            &reply,
            Outcome::ReplyUnresolved,
            Action::Pass,
            Some(&passed_on),
        ),
        after("to this host itself", family.host()).passes(&reply, Outcome::ReplyNotForwarded),
        after("without a route", family.unroutable()).passes(&reply, Outcome::ReplyNotForwarded),
        after("that may not be routed", family.refused()).answers(
            Side::Back,
            &reply,
            Outcome::ReplyUnroutable,
            Action::Drop,
            None,
        ),
        after("at its last hop", family.client()).answers(
            Side::Back,
            &reply.clone().ttl(1),
            Outcome::TtlExceeded,
            Action::Drop,
            None,
        ),
        after("to a port that nobody has", family.client()).passes(&other_port, Outcome::NotVip),
        after("from another port of the backend", family.client())
            .passes(&other_backend_port, Outcome::NotVip),
        after("by another protocol", family.client()).passes(
            &Packet::udp(reply.source, reply.destination),
            Outcome::NotVip,
        ),
        row(format!(
            "{family:?}: snat to a backend of the other version"
        ))
        .drops(
            &tcp(family, PORT_SNAT_WRONG_FAMILY),
            Outcome::UnsupportedMode,
        )
        .remembers(0, 0),
        row(format!("{family:?}: snat at the last hop"))
            .drops(&request.clone().ttl(1), Outcome::TtlExceeded)
            .remembers(0, 0),
        row(format!("{family:?}: snat from an impossible source"))
            .drops(
                &request.clone().from((family.vip(), 40_000).into()),
                Outcome::BadSource,
            )
            .remembers(0, 0),
    ]
}

/// Later fragments have addresses only.
fn fragments(family: Family) -> Vec<Row> {
    const SIZE: usize = 64;
    let mut rows = Vec::new();
    for (side, member, port, action) in sides(family) {
        for (protocol, request) in [("tcp", tcp(family, port)), ("udp", udp(family, port))] {
            let request = request.payload((0..200).collect::<Vec<u8>>());
            let reply = member.replies_to(&request).payload(vec![0x77; 150]);
            let mut each = row(format!(
                "{family:?}: {protocol} fragments both ways by snat, {side}"
            ));
            let out = pieces(&member.receives(&request), SIZE);
            for (piece, out) in pieces(&request, SIZE).iter().zip(out) {
                each = each.becomes(Side::Front, piece, Outcome::Forwarded, action, out.frame());
            }
            let out = pieces(&seen_by_client(&reply, &request), SIZE);
            for (piece, out) in pieces(&reply, SIZE).iter().zip(out) {
                each = each.becomes(member.side, piece, Outcome::Replied, action, out.frame());
            }
            rows.push(each.remembers(1, 1));
        }
    }
    rows
}

/// Errors about what the VIP is taken to have sent. The backend may have no route to who found fault with it: to the
/// backend, the error comes from us.
fn errors_to_backends(family: Family) -> Vec<Row> {
    let mut rows = Vec::new();
    for (side, member, port, action) in sides(family) {
        for (protocol, request) in [("tcp", tcp(family, port)), ("udp", udp(family, port))] {
            for (who, source) in [("router", family.router()), ("client", family.client())] {
                for bytes in [LEAST, 18, ALL] {
                    let sent = error(source, &answer(&request), bytes);
                    let own = answer(&request)
                        .from(member.address())
                        .to(member.sees(&request));
                    let out = error(family.own(), &own, bytes)
                        .macs(member.egress_mac(), member.mac())
                        .ttl(sent.ttl - 1);
                    rows.push(
                        asked(
                            format!(
                                "{family:?}: an error of a {who} about {bytes} bytes of {protocol} by snat, {side}"
                            ),
                            member,
                            &request,
                        )
                        .answers(Side::Front, &sent, Outcome::Forwarded, action, Some(&out))
                        .remembers(1, 1),
                    );
                }
            }
        }
    }
    rows
}

/// Errors about what we have sent to the backend.
fn errors_to_clients(family: Family) -> Vec<Row> {
    let mut rows = Vec::new();
    for (side, member, port, action) in sides(family) {
        for (protocol, request) in [("tcp", tcp(family, port)), ("udp", udp(family, port))] {
            for (who, source) in [
                ("backend", member.address().ip()),
                ("router before it", family.backend(99)),
            ] {
                for bytes in [LEAST, 18, ALL] {
                    let sent = error(source, &member.receives(&request), bytes)
                        .macs(member.mac(), member.egress_mac());
                    let quoted = request.clone().ttl(request.ttl - 1);
                    let out = error(family.vip(), &quoted, bytes)
                        .macs(FRONT_MAC, CLIENT_MAC)
                        .ttl(sent.ttl - 1);
                    let name = format!(
                        "{family:?}: an error of a {who} about {bytes} bytes of {protocol} by snat, {side}"
                    );
                    rows.push(asked(name, member, &request).answers(
                        member.side,
                        &sent,
                        Outcome::Replied,
                        action,
                        Some(&out),
                    ));
                }
            }
        }
    }
    rows
}

fn errors_about_nobody(family: Family) -> Vec<Row> {
    let member = of(family, SNAT_BACK);
    let request = tcp(family, PORT_SNAT_BACK);
    let to_vip = error(family.router(), &answer(&request), ALL);
    let of_backend = error(member.address().ip(), &member.receives(&request), ALL);
    vec![
        row(format!(
            "{family:?}: an error to an snat backend about a flow that nobody knows"
        ))
        .drops(&to_vip, Outcome::UnknownFlow)
        .remembers(0, 0),
        row(format!(
            "{family:?}: an error of an snat backend about a flow that nobody knows"
        ))
        .passes(&of_backend, Outcome::NotVip),
        asked(
            format!("{family:?}: an error does not bring back the port of a flow"),
            member,
            &request,
        )
        .then(|world| world.object.forget_replies())
        .drops(&to_vip, Outcome::UnknownFlow)
        .remembers(1, 0),
        row(format!(
            "{family:?}: a reset that belongs to nothing, by snat"
        ))
        .drops(&request.clone().flags(Flags::RST), Outcome::UnknownFlow)
        .remembers(0, 0),
        row(format!(
            "{family:?}: a fin that belongs to nothing, by snat"
        ))
        .drops(
            &request.clone().flags(Flags::FIN | Flags::ACK),
            Outcome::UnknownFlow,
        )
        .remembers(0, 0),
    ]
}
