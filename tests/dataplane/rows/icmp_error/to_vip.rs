//! Errors that a router or a client sends to the VIP, about what the VIP is taken to have sent.

use lb_common::backend::Mode;
use lb_tests::packet::{CUSTOMER_TAG, Extension, NO_OPERATIONS, PROVIDER_TAG, Packet};

use super::{ALL, LEAST, answer, error, kinds, steered, unreachable};
use crate::{
    family::{Family, sctp, tcp, udp},
    member::{
        FIRST, L2_BACK, L2_FRONT, Member, NAT_BACK, NAT_FRONT, PORT_CHANGING, PORT_L2_BACK,
        PORT_L2_FRONT, PORT_NAT_BACK, PORT_NAT_FRONT, SECOND, Side, of,
    },
    row::{Row, row},
};

/// An error about the VIP's answer to `request`, made by `make`, must reach `member`.
fn reaches(name: String, member: Member, quoted: &Packet, make: impl Fn(&Packet) -> Packet) -> Row {
    let sent = make(quoted);
    let out = steered(member, quoted, make);
    if member.side == Side::Front {
        row(name).transmits(&sent, &out)
    } else {
        row(name).redirects(&sent, &out)
    }
}

/// Backends, and the ports they are reached by.
fn members(family: Family) -> [(&'static str, Member, u16); 4] {
    [
        ("l2 in front", L2_FRONT, PORT_L2_FRONT),
        ("l2 behind", L2_BACK, PORT_L2_BACK),
        ("nat in front", of(family, NAT_FRONT), PORT_NAT_FRONT),
        ("nat behind", of(family, NAT_BACK), PORT_NAT_BACK),
    ]
}

pub(super) fn rows(family: Family) -> Vec<Row> {
    let router = family.router();
    let mut rows = Vec::new();
    for (mode, member, port) in members(family) {
        // The checksum of TCP stands in bytes 16 and 17 of its header.
        for bytes in [LEAST, 12, 16, 18, 19, 20, ALL] {
            let name = format!("{family:?}: an error to {mode} with {bytes} bytes of tcp");
            rows.push(reaches(
                name,
                member,
                &answer(&tcp(family, port)),
                |quoted| error(router, quoted, bytes),
            ));
        }
        for bytes in [LEAST, 9, ALL] {
            let name = format!("{family:?}: an error to {mode} with {bytes} bytes of udp");
            rows.push(reaches(
                name,
                member,
                &answer(&udp(family, port)),
                |quoted| error(router, quoted, bytes),
            ));
        }
        if member.mode != Mode::NAT {
            let name = format!("{family:?}: an error to {mode} about sctp");
            rows.push(reaches(
                name,
                member,
                &answer(&sctp(family, port)),
                |quoted| error(router, quoted, LEAST),
            ));
        }
        for kind in kinds(family) {
            let name = format!("{family:?}: an error {kind:?} to {mode}");
            rows.push(reaches(
                name,
                member,
                &answer(&tcp(family, port)),
                |quoted| Packet::icmp(router, quoted.source.ip(), kind, &quoted.quote(28)),
            ));
        }
        rows.push(reaches(
            format!("{family:?}: an error to {mode} from the client itself"),
            member,
            &answer(&udp(family, port)),
            |quoted| error(family.client(), quoted, LEAST),
        ));
        rows.push(reaches(
            format!("{family:?}: an error to {mode} in two vlans"),
            member,
            &answer(&tcp(family, port)),
            |quoted| {
                error(router, quoted, ALL)
                    .tag(PROVIDER_TAG, 5)
                    .tag(CUSTOMER_TAG, 7)
            },
        ));
        // What looks like a TCP checksum is not of the packet.
        rows.push(reaches(
            format!("{family:?}: an error to {mode} with padding after the ports"),
            member,
            &answer(&tcp(family, port)),
            |quoted| error(router, quoted, LEAST).padding(24),
        ));
        rows.push(reaches(
            format!("{family:?}: an error to {mode} about 1,000 bytes"),
            member,
            &answer(&udp(family, port).payload(vec![0x5a; 1_000])),
            |quoted| error(router, quoted, ALL),
        ));
    }
    rows.extend(remembered(family));
    rows.extend(zero_sum(family));
    rows.push(half_a_checksum(family));
    rows
}

/// The flow's backend is asked for, and nothing is remembered of an error.
fn remembered(family: Family) -> Vec<Row> {
    let request = tcp(family, PORT_CHANGING);
    let sent = error(family.router(), &answer(&request), LEAST);
    let nat = tcp(family, PORT_NAT_BACK);
    let about_nat = error(family.router(), &answer(&nat), LEAST);
    let backend = of(family, NAT_BACK);
    vec![
        row(format!(
            "{family:?}: an error stays with its flow's backend"
        ))
        .transmits(&request, &FIRST.receives(&request))
        .then(move |world| {
            for family in Family::BOTH {
                world.serve(family, PORT_CHANGING, SECOND.id);
            }
        })
        .transmits(&sent, &FIRST.receives(&sent))
        .remembers(1, 0),
        row(format!(
            "{family:?}: an error does not bring back a forgotten reply"
        ))
        .redirects(&nat, &backend.receives(&nat))
        .then(|world| world.object.forget_replies())
        .redirects(
            &about_nat,
            &steered(backend, &answer(&nat), |quoted| {
                error(family.router(), quoted, LEAST)
            }),
        )
        .remembers(1, 0),
        reaches(
            format!("{family:?}: an error about a flow that nobody remembers"),
            backend,
            &answer(&nat),
            |quoted| error(family.router(), quoted, LEAST),
        )
        .remembers(0, 0),
    ]
}

/// Of which one byte tells nobody anything: it stays as it was.
fn half_a_checksum(family: Family) -> Row {
    let backend = of(family, NAT_BACK);
    let quoted = answer(&tcp(family, PORT_NAT_BACK));
    let mut quote = quoted.clone().from(backend.address()).quote(17);
    let last = quote.len() - 1;
    quote[last] = quoted.quote(17)[last];
    let sent = error(family.router(), &quoted, 17);
    let out = Packet::icmp(
        family.router(),
        backend.address().ip(),
        unreachable(family),
        &quote,
    );
    row(format!("{family:?}: an error with half a tcp checksum"))
        .redirects(&sent, &backend.receives(&out))
}

/// Quoted UDP checksums that the translation makes 0: sent as all ones (RFC 768).
fn zero_sum(family: Family) -> Vec<Row> {
    const CHECKSUM: usize = 6;
    let backend = of(family, NAT_BACK);
    let quoted = answer(&udp(family, PORT_NAT_BACK)).payload([0, 0]);
    let own = quoted.clone().from(backend.address());
    let at = own.layers().transport + CHECKSUM;
    let rest = own.frame()[at..at + 2].to_vec();
    let own = own.payload(rest.clone());
    assert_eq!(own.frame()[at..at + 2], [0xff; 2], "the sum is zero");
    [LEAST, ALL]
        .map(|bytes| {
            reaches(
                format!("{family:?}: a quoted udp checksum that becomes 0, {bytes} bytes"),
                backend,
                &quoted.clone().payload(rest.clone()),
                |quoted| error(family.router(), quoted, bytes),
            )
        })
        .into()
}

pub(super) fn ipv4() -> Vec<Row> {
    let family = Family::V4;
    let router = family.router();
    let mut rows = Vec::new();
    for (mode, member, port) in members(family) {
        for (name, quoted) in [
            (
                "about no udp checksum",
                answer(&udp(family, port)).without_checksum(),
            ),
            (
                "about options",
                answer(&tcp(family, port)).options(&NO_OPERATIONS),
            ),
            (
                "about 40 bytes of options",
                answer(&udp(family, port)).options(&NO_OPERATIONS.repeat(10)),
            ),
            (
                "about a first fragment",
                answer(&tcp(family, port)).fragment(0, true),
            ),
        ] {
            for bytes in [LEAST, ALL] {
                rows.push(reaches(
                    format!("V4: an error to {mode} {name}, {bytes} bytes"),
                    member,
                    &quoted,
                    |quoted| error(router, quoted, bytes),
                ));
            }
        }
        rows.push(reaches(
            format!("V4: an error to {mode} with options"),
            member,
            &answer(&tcp(family, port)).options(&NO_OPERATIONS),
            |quoted| error(router, quoted, ALL).options(&NO_OPERATIONS.repeat(2)),
        ));
    }
    rows
}

pub(super) fn ipv6() -> Vec<Row> {
    let family = Family::V6;
    let router = family.router();
    let chains: [(&str, &[Extension]); 4] = [
        ("hop-by-hop options", &[Extension::HopByHop { length: 1 }]),
        (
            "routing and options",
            &[
                Extension::Routing,
                Extension::DestinationOptions { length: 0 },
            ],
        ),
        ("an atomic fragment", &[Extension::ATOMIC]),
        (
            "a first fragment",
            &[Extension::Fragment {
                offset: 0,
                more: true,
            }],
        ),
    ];
    let mut rows = Vec::new();
    for (mode, member, port) in members(family) {
        for (name, chain) in chains {
            for bytes in [LEAST, ALL] {
                let mut quoted = answer(&tcp(family, port));
                quoted.extensions = chain.to_vec();
                rows.push(reaches(
                    format!("V6: an error to {mode} about {name}, {bytes} bytes"),
                    member,
                    &quoted,
                    |quoted| error(router, quoted, bytes),
                ));
            }
        }
        rows.push(reaches(
            format!("V6: an error to {mode} behind options"),
            member,
            &answer(&udp(family, port)),
            |quoted| {
                error(router, quoted, ALL).extension(Extension::DestinationOptions { length: 2 })
            },
        ));
    }
    rows
}
