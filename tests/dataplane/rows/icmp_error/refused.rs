//! ICMP to the VIP that is not steered: no error, about nothing of ours, or cut short.

use lb_common::outcome::Outcome;
use lb_tests::packet::{Extension, Message, Packet};

use super::{ALL, LEAST, answer, error};
use crate::{
    family::{Family, client, tcp, udp},
    member::{PORT_EMPTY, PORT_L2_FRONT, PORT_NAT_BACK, PORT_UNMATCHED},
    row::{Row, row},
    rows::{cut, patched},
};

/// Bytes of an ICMP header.
const ICMP: usize = 8;

pub(super) fn rows(family: Family) -> Vec<Row> {
    let mut rows = left_to_the_stack(family);
    rows.extend(dropped(family));
    rows.extend(cut_short(family));
    rows.extend(elsewhere(family));
    rows
}

const fn header(family: Family) -> usize {
    match family {
        Family::V4 => 20,
        Family::V6 => 40,
    }
}

fn left_to_the_stack(family: Family) -> Vec<Row> {
    let router = family.router();
    let quoted = answer(&tcp(family, PORT_L2_FRONT));
    // Redirects, echo replies, source quench; in IPv6 also neighbour discovery.
    let kinds: &[u8] = match family {
        Family::V4 => &[0, 1, 2, 4, 5, 9, 10, 13, 255],
        Family::V6 => &[0, 5, 11, 12, 127, 129, 133, 135, 137, 255],
    };
    let mut rows: Vec<Row> = kinds
        .iter()
        .map(|kind| {
            let kind = Message::new(*kind);
            let packet = Packet::icmp(router, family.vip(), kind, &quoted.quote(ALL));
            row(format!("{family:?}: icmp of another type: {kind:?}"))
                .passes(&packet, Outcome::Icmp)
        })
        .collect();
    for (name, protocol) in [("icmp", 1), ("icmpv6", 58), ("dccp", 33)] {
        let quoted = Packet::raw(family.vip(), family.client(), protocol, vec![8; 32]);
        rows.push(
            row(format!("{family:?}: an error about {name}"))
                .passes(&error(router, &quoted, LEAST), Outcome::Icmp),
        );
    }
    rows.push(
        row(format!(
            "{family:?}: an error about a port without a service"
        ))
        .passes(
            &error(router, &answer(&tcp(family, PORT_UNMATCHED)), LEAST),
            Outcome::Unmatched,
        ),
    );
    rows
}

/// With `drop_unmatched` set.
pub(crate) fn unmatched_dropped() -> Vec<Row> {
    Family::BOTH
        .map(|family| {
            let quoted = answer(&udp(family, PORT_UNMATCHED));
            row(format!(
                "{family:?}: an error about a port without a service, dropped"
            ))
            .drops(
                &error(family.router(), &quoted, LEAST),
                Outcome::UnmatchedDropped,
            )
        })
        .into()
}

fn dropped(family: Family) -> Vec<Row> {
    let router = family.router();
    let quoted = answer(&tcp(family, PORT_NAT_BACK));
    let about = |quoted: &Packet| error(router, quoted, ALL);
    let sent = about(&quoted);
    let quote = sent.layers().transport + ICMP;
    let foreign = quoted
        .clone()
        .from((family.elsewhere(), PORT_NAT_BACK).into());
    let mut not_ours = Packet::icmp(
        router,
        family.vip(),
        super::unreachable(family),
        &foreign.quote(ALL),
    );
    not_ours.ttl = 60;
    let other = answer(&tcp(family.other(), PORT_NAT_BACK));
    let other_version = Packet::icmp(
        router,
        family.vip(),
        super::unreachable(family),
        &other.quote(ALL),
    );
    let rows = [
        (
            "about a service without backends",
            about(&answer(&tcp(family, PORT_EMPTY))).frame(),
            Outcome::NoBackend,
        ),
        (
            "at its last hop",
            sent.clone().ttl(1).frame(),
            Outcome::TtlExceeded,
        ),
        (
            "from the vip itself",
            error(family.vip(), &quoted, ALL).frame(),
            Outcome::BadSource,
        ),
        (
            "about a packet of another host",
            not_ours.frame(),
            Outcome::Malformed,
        ),
        (
            "about a packet to the vip",
            Packet::icmp(
                router,
                family.vip(),
                super::unreachable(family),
                &tcp(family, PORT_NAT_BACK).quote(ALL),
            )
            .frame(),
            Outcome::Malformed,
        ),
        (
            "about the other ip version",
            other_version.frame(),
            Outcome::Malformed,
        ),
        (
            "about ip version 15",
            patched(sent.frame(), quote, &[0xf5]),
            Outcome::Malformed,
        ),
    ];
    rows.map(|(name, frame, outcome)| {
        row(format!("{family:?}: an error {name}")).drops(&frame, outcome)
    })
    .into()
}

/// The frame ends too early, or the IP length says so.
fn cut_short(family: Family) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, request) in [
        ("tcp", tcp(family, PORT_NAT_BACK)),
        ("udp", udp(family, PORT_L2_FRONT)),
    ] {
        let sent = error(family.router(), &answer(&request), ALL);
        let layers = sent.layers();
        let icmp = layers.transport;
        let quote = icmp + ICMP;
        let ports = quote + header(family);
        for end in [
            icmp,
            icmp + 1,
            icmp + 7,
            quote,
            quote + 1,
            ports - 1,
            ports,
            ports + 1,
            ports + 4,
            ports + 7,
        ] {
            rows.push(
                row(format!(
                    "{family:?}: an error about {name} cut to {end} bytes"
                ))
                .drops(&cut(sent.frame(), end), Outcome::Truncated),
            );
            let (field, from) = match family {
                Family::V4 => (layers.ip + 2, layers.ip),
                Family::V6 => (layers.ip + 4, layers.ip + 40),
            };
            let length = u16::try_from(end - from).expect("16 bits");
            rows.push(
                row(format!(
                    "{family:?}: an error about {name} whose length ends at {end} bytes"
                ))
                .drops(
                    &patched(sent.frame(), field, &length.to_be_bytes()),
                    Outcome::Truncated,
                ),
            );
        }
        for end in [ports + 8, layers.end - 1] {
            rows.push(
                row(format!(
                    "{family:?}: an error about {name} cut to {end} bytes"
                ))
                .drops(&cut(sent.frame(), end), Outcome::Malformed),
            );
        }
    }
    rows
}

fn elsewhere(family: Family) -> Vec<Row> {
    let quoted = Packet::tcp((family.elsewhere(), 80).into(), client(family));
    let sent = error(family.router(), &quoted, ALL);
    let ports = sent.layers().transport + ICMP + header(family);
    [
        ("whole", sent.frame()),
        ("at its last hop", sent.clone().ttl(1).frame()),
        ("cut after the ports", cut(sent.frame(), ports + 8)),
        ("cut inside the ports", cut(sent.frame(), ports + 3)),
        (
            "cut after the header",
            cut(sent.frame(), sent.layers().transport + 8),
        ),
        (
            "about the vip",
            Packet::icmp(
                family.router(),
                family.elsewhere(),
                super::unreachable(family),
                &answer(&tcp(family, PORT_L2_FRONT)).quote(ALL),
            )
            .frame(),
        ),
    ]
    .map(|(name, frame)| {
        row(format!("{family:?}: an error not for a vip, {name}")).passes(&frame, Outcome::NotVip)
    })
    .into()
}

pub(super) fn ipv4() -> Vec<Row> {
    let quoted = answer(&tcp(Family::V4, PORT_L2_FRONT));
    let router = Family::V4.router();
    let later = quoted.clone().fragment(3, true).payload(vec![7; 40]);
    let sent = error(router, &quoted, ALL);
    let quote = sent.layers().transport + ICMP;
    let malformed = [
        (
            "a header of 16 bytes",
            patched(sent.frame(), quote, &[0x44]),
        ),
        (
            "a length shorter than the header",
            patched(sent.frame(), quote + 2, &[0, 19]),
        ),
    ];
    let mut rows: Vec<Row> = malformed
        .map(|(name, frame)| {
            row(format!("V4: an error about {name}")).drops(&frame, Outcome::Malformed)
        })
        .into();
    rows.push(
        row("V4: an error about a later fragment")
            .passes(&error(router, &later, ALL), Outcome::Icmp),
    );
    rows.push(
        row("V4: an error in a fragment").drops(&sent.clone().fragment(0, true), Outcome::Fragment),
    );
    rows.extend(["0.1.2.3", "127.0.0.1", "224.0.0.1"].map(|address| {
        let source = address.parse().expect("an address");
        row(format!("V4: an error from {address}"))
            .drops(&error(source, &quoted, ALL), Outcome::BadSource)
    }));
    rows
}

pub(super) fn ipv6() -> Vec<Row> {
    let quoted = answer(&tcp(Family::V6, PORT_L2_FRONT));
    let router = Family::V6.router();
    let later = quoted
        .clone()
        .extension(Extension::Fragment {
            offset: 3,
            more: true,
        })
        .payload(vec![7; 40]);
    let endless = (0..20).fold(quoted.clone(), |quoted, _| {
        quoted.extension(Extension::DestinationOptions { length: 0 })
    });
    let options = quoted
        .clone()
        .extension(Extension::DestinationOptions { length: 4 });
    let sent = error(router, &options, ALL);
    let extension = sent.layers().transport + ICMP + 40;
    let mut rows = vec![
        row("V6: an error about a later fragment")
            .passes(&error(router, &later, ALL), Outcome::Icmp),
        row("V6: an error about twenty extension headers")
            .drops(&error(router, &endless, ALL), Outcome::ExtensionHeaders),
        row("V6: an error about an extension header longer than its packet").drops(
            &patched(sent.frame(), extension + 1, &[200]),
            Outcome::Malformed,
        ),
    ];
    for end in [extension, extension + 7, extension + 8, extension + 39] {
        rows.push(
            row(format!("V6: an error about options cut to {end} bytes"))
                .drops(&cut(sent.frame(), end), Outcome::Truncated),
        );
    }
    rows.extend(["::", "::1", "ff02::1"].map(|address| {
        let source = address.parse().expect("an address");
        row(format!("V6: an error from {address}"))
            .drops(&error(source, &quoted, ALL), Outcome::BadSource)
    }));
    rows
}
