//! Errors about a client's packets, from a NAT backend or a router before it: the client must recognise its packet.

use std::net::IpAddr;

use lb_common::outcome::Outcome;
use lb_tests::{
    object::Action,
    packet::{CUSTOMER_TAG, Packet},
};

use super::{ALL, LEAST, error};
use crate::{
    family::{Family, tcp, udp},
    member::{CLIENT_MAC, FRONT_MAC, Member, NAT_BACK, PORT_NAT_BACK, Side, of},
    row::{Row, row},
};

/// The error that `source`, on the backend's side, sends about what the backend was to get of `request`.
fn sent_by(member: Member, source: IpAddr, request: &Packet, bytes: usize) -> Packet {
    error(source, &member.receives(request), bytes).macs(member.mac(), member.egress_mac())
}

/// The same as the client must see it: about the packet that it sent, as far as the balancer.
fn seen_by_client(source: IpAddr, request: &Packet, bytes: usize) -> Packet {
    let quoted = request.clone().ttl(request.ttl - 1);
    let error = error(source, &quoted, bytes);
    let ttl = error.ttl - 1;
    error.macs(FRONT_MAC, CLIENT_MAC).ttl(ttl)
}

fn after(name: String, family: Family, request: &Packet) -> Row {
    row(name).redirects(request, &of(family, NAT_BACK).receives(request))
}

pub(super) fn rows(family: Family) -> Vec<Row> {
    let backend = of(family, NAT_BACK);
    let own = backend.address().ip();
    let near = family.backend(99);
    let mut rows = Vec::new();
    for (name, request) in [
        ("tcp", tcp(family, PORT_NAT_BACK)),
        ("udp", udp(family, PORT_NAT_BACK)),
    ] {
        for (who, source, shown) in [
            ("a backend", own, family.vip()),
            ("a router before a backend", near, near),
        ] {
            for bytes in [LEAST, 18, ALL] {
                let name = format!("{family:?}: an error of {who} about {bytes} bytes of {name}");
                rows.push(
                    after(name, family, &request)
                        .answers(
                            Side::Back,
                            &sent_by(backend, source, &request, bytes),
                            Outcome::Replied,
                            Action::Redirect,
                            Some(&seen_by_client(shown, &request, bytes)),
                        )
                        .remembers(1, 1),
                );
            }
        }
    }
    rows.extend(special(family));
    rows
}

fn special(family: Family) -> Vec<Row> {
    let backend = of(family, NAT_BACK);
    let own = backend.address().ip();
    let request = tcp(family, PORT_NAT_BACK);
    let sent = sent_by(backend, own, &request, ALL);
    let unresolved = request.clone().from((family.unresolved(), 40_000).into());
    // The stack takes it from here, and takes one from the hop limit itself.
    let passed_on = error(family.vip(), &unresolved.clone().ttl(63), ALL)
        .macs(backend.mac(), backend.egress_mac());
    let mut other_port = request.clone();
    other_port.source.set_port(40_001);
    vec![
        after(
            format!("{family:?}: an error of a backend in a vlan"),
            family,
            &request,
        )
        .answers(
            Side::Back,
            &sent.clone().tag(CUSTOMER_TAG, 9),
            Outcome::Replied,
            Action::Redirect,
            Some(&seen_by_client(family.vip(), &request, ALL)),
        ),
        after(
            format!("{family:?}: an error of a backend at its last hop"),
            family,
            &request,
        )
        .answers(
            Side::Back,
            &sent.clone().ttl(1),
            Outcome::TtlExceeded,
            Action::Drop,
            None,
        ),
        after(
            format!("{family:?}: an error of a backend to a neighbour yet to be resolved"),
            family,
            &unresolved,
        )
        .answers(
            Side::Back,
            &sent_by(backend, own, &unresolved, ALL),
            Outcome::ReplyUnresolved,
            Action::Pass,
            Some(&passed_on),
        ),
        after(
            format!("{family:?}: an error of a backend about another port of the client"),
            family,
            &request,
        )
        .passes(&sent_by(backend, own, &other_port, ALL), Outcome::NotVip),
        row(format!(
            "{family:?}: an error of a backend about a flow that nobody remembers"
        ))
        .passes(&sent, Outcome::NotVip),
    ]
}
