//! Packets that reach a backend: both families, both protocols, both modes, both ways out.

use lb_tests::packet::{Flags, Packet};

use crate::{
    family::{Family, tcp, udp},
    member::{
        L2_BACK, L2_FRONT, NAT_BACK, NAT_FRONT, PORT_L2_BACK, PORT_L2_FRONT, PORT_NAT_BACK,
        PORT_NAT_FRONT, of,
    },
    row::{Row, row},
};

/// Makes a client's packet to a port of the VIP.
type Make = fn(Family, u16) -> Packet;

const KINDS: [(&str, Make); 8] = [
    ("a syn", |family, port| tcp(family, port).payload([])),
    ("a syn with data", tcp),
    ("an acknowledgement", |family, port| {
        tcp(family, port).flags(Flags::ACK)
    }),
    ("a reset", |family, port| {
        tcp(family, port).flags(Flags::RST)
    }),
    ("a fin", |family, port| {
        tcp(family, port).flags(Flags::FIN | Flags::ACK)
    }),
    ("a datagram", udp),
    ("an empty datagram", |family, port| {
        udp(family, port).payload([])
    }),
    ("a datagram of 1,400 bytes", |family, port| {
        udp(family, port).payload(vec![0x5a; 1_400])
    }),
];

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        for (kind, make) in KINDS {
            let l2_front = make(family, PORT_L2_FRONT);
            let l2_back = make(family, PORT_L2_BACK);
            let nat_front = make(family, PORT_NAT_FRONT);
            let nat_back = make(family, PORT_NAT_BACK);
            rows.extend([
                row(format!(
                    "{family:?}: {kind} by l2, back out of the same interface"
                ))
                .transmits(&l2_front, &L2_FRONT.receives(&l2_front)),
                row(format!(
                    "{family:?}: {kind} by l2, out of another interface"
                ))
                .redirects(&l2_back, &L2_BACK.receives(&l2_back)),
                row(format!(
                    "{family:?}: {kind} by nat, back out of the same interface"
                ))
                .transmits(&nat_front, &of(family, NAT_FRONT).receives(&nat_front)),
                row(format!(
                    "{family:?}: {kind} by nat, out of another interface"
                ))
                .redirects(&nat_back, &of(family, NAT_BACK).receives(&nat_back)),
            ]);
        }
        for ttl in [2, 255] {
            let packet = tcp(family, PORT_L2_FRONT).ttl(ttl);
            rows.push(
                row(format!("{family:?}: hop limit {ttl}"))
                    .transmits(&packet, &L2_FRONT.receives(&packet)),
            );
        }
        for padding in [1, 6, 40] {
            let packet = udp(family, PORT_NAT_BACK).payload([]).padding(padding);
            rows.push(
                row(format!(
                    "{family:?}: {padding} bytes of padding after the datagram"
                ))
                .redirects(&packet, &of(family, NAT_BACK).receives(&packet)),
            );
        }
    }
    rows
}
