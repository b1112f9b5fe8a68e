//! Packets to a VIP address that no service is for: ports without one, other protocols, ICMP.

use lb_common::outcome::Outcome;
use lb_tests::packet::Packet;

use crate::{
    family::{Family, sctp, tcp, udp},
    member::{L2_BACK, PORT_EMPTY, PORT_L2_FRONT, PORT_UNMATCHED},
    row::{Row, row},
};

/// Protocols that are not balanced.
const OTHERS: [(&str, u8); 4] = [
    ("igmp", 2),
    ("gre", 47),
    ("no next header", 59),
    ("a reserved number", 255),
];

fn unmatched(family: Family) -> Vec<(String, Packet)> {
    let raw = |(name, protocol): (&str, u8)| {
        let packet = Packet::raw(family.client(), family.vip(), protocol, vec![0; 24]);
        (name.to_owned(), packet)
    };
    let mut packets = vec![
        ("tcp to a free port".to_owned(), tcp(family, PORT_UNMATCHED)),
        ("udp to a free port".to_owned(), udp(family, PORT_UNMATCHED)),
        (
            "sctp to a free port".to_owned(),
            sctp(family, PORT_UNMATCHED),
        ),
        ("tcp to port 0".to_owned(), tcp(family, 0)),
    ];
    packets.extend(OTHERS.map(raw));
    packets
}

fn icmp(family: Family) -> [(u8, Outcome); 2] {
    match family {
        Family::V4 => [(1, Outcome::Icmp), (58, Outcome::WrongIcmp)],
        Family::V6 => [(58, Outcome::Icmp), (1, Outcome::WrongIcmp)],
    }
}

/// An address with a VIP of every port.
pub(crate) fn any_port() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        for port in [1, 53, PORT_L2_FRONT, 65_535] {
            let packet = udp(family, port).to((family.any_port_vip(), port).into());
            rows.push(
                row(format!("{family:?}: port {port} of a vip of every port"))
                    .redirects(&packet, &L2_BACK.receives(&packet))
                    .remembers(1, 0),
            );
        }
        let to = |packet: Packet, port| packet.to((family.any_port_vip(), port).into());
        rows.extend([
            row(format!(
                "{family:?}: a port of its own comes before every port"
            ))
            .drops(&to(udp(family, PORT_EMPTY), PORT_EMPTY), Outcome::NoBackend),
            row(format!(
                "{family:?}: every port is every port of one protocol"
            ))
            .passes(&to(tcp(family, 53), 53), Outcome::Unmatched),
        ]);
    }
    rows
}

/// With the settings as they are by default.
pub(crate) fn passed() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        for (name, packet) in unmatched(family) {
            let name = format!("{family:?}: {name}, passed");
            rows.push(row(name).passes(&packet, Outcome::Unmatched));
        }
        for (protocol, outcome) in icmp(family) {
            let packet = Packet::raw(family.client(), family.vip(), protocol, vec![8; 8]);
            let row = row(format!("{family:?}: {outcome:?} to a vip"));
            rows.push(if outcome == Outcome::Icmp {
                row.passes(&packet, outcome)
            } else {
                row.drops(&packet, outcome)
            });
        }
    }
    rows
}

/// With `drop_unmatched` set.
pub(crate) fn dropped() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        for (name, packet) in unmatched(family) {
            let name = format!("{family:?}: {name}, dropped");
            rows.push(row(name).drops(&packet, Outcome::UnmatchedDropped));
        }
        let elsewhere = tcp(family, PORT_L2_FRONT).to((family.elsewhere(), 80).into());
        rows.push(
            row(format!("{family:?}: not for a vip, with unmatched dropped"))
                .passes(&elsewhere, Outcome::NotVip),
        );
        let (protocol, _) = icmp(family)[0];
        let echo = Packet::raw(family.client(), family.vip(), protocol, vec![8; 8]);
        rows.push(
            row(format!("{family:?}: icmp to a vip, with unmatched dropped"))
                .passes(&echo, Outcome::Icmp),
        );
    }
    rows
}
