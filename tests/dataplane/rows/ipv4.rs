//! IPv4 options, lengths and fragments.

use lb_common::outcome::Outcome;
use lb_tests::packet::{NO_OPERATIONS, ROUTER_ALERT};

use super::patched;
use crate::{
    family::{Family, tcp, udp},
    member::{L2_FRONT, NAT_BACK, PORT_L2_FRONT, PORT_NAT_BACK, of},
    row::{Row, row},
};

const V4: Family = Family::V4;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = options();
    rows.extend(fragments());
    rows.extend(malformed());
    rows
}

fn options() -> Vec<Row> {
    let longest = NO_OPERATIONS.repeat(10);
    let kinds: [(&str, &[u8]); 3] = [
        ("router alert", &ROUTER_ALERT),
        ("no operations", &NO_OPERATIONS),
        ("40 bytes of options", &longest),
    ];
    let mut rows = Vec::new();
    for (name, options) in kinds {
        let l2 = tcp(V4, PORT_L2_FRONT).options(options);
        let nat_tcp = tcp(V4, PORT_NAT_BACK).options(options);
        let nat_udp = udp(V4, PORT_NAT_BACK).options(options);
        let backend = of(V4, NAT_BACK);
        rows.extend([
            row(format!("V4: {name}, tcp by l2")).transmits(&l2, &L2_FRONT.receives(&l2)),
            row(format!("V4: {name}, tcp by nat")).redirects(&nat_tcp, &backend.receives(&nat_tcp)),
            row(format!("V4: {name}, udp by nat")).redirects(&nat_udp, &backend.receives(&nat_udp)),
        ]);
    }
    rows
}

fn fragments() -> Vec<Row> {
    let first = tcp(V4, PORT_L2_FRONT)
        .payload(vec![7; 44])
        .fragment(0, true);
    let middle = first.clone().fragment(8, true);
    let last = first.clone().fragment(16, false);
    let no_ports = first.clone().payload([]).fragment(3, false);
    vec![
        row("V4: middle fragment").drops(&middle, Outcome::Fragment),
        row("V4: last fragment").drops(&last, Outcome::Fragment),
        row("V4: an empty last fragment").drops(&no_ports, Outcome::Fragment),
    ]
}

fn malformed() -> Vec<Row> {
    let packet = tcp(V4, PORT_L2_FRONT);
    let layers = packet.layers();
    let first_byte = |byte| patched(packet.frame(), layers.ip, &[byte]);
    let total_length = |length: usize| {
        let length = u16::try_from(length).expect("16 bits");
        patched(packet.frame(), layers.ip + 2, &length.to_be_bytes())
    };
    let length = layers.end - layers.ip;
    let datagram = udp(V4, PORT_L2_FRONT);
    let udp_length = |length: u16| {
        patched(
            datagram.frame(),
            datagram.layers().transport + 4,
            &length.to_be_bytes(),
        )
    };
    let offset = |words: u8| patched(packet.frame(), layers.transport + 12, &[words << 4]);
    let rows = [
        ("version 6", first_byte(0x65)),
        ("version 0", first_byte(0x05)),
        ("header length 0", first_byte(0x40)),
        ("header length 4 words", first_byte(0x44)),
        ("header length beyond the frame", first_byte(0x4f)),
        ("total length 0", total_length(0)),
        ("total length below the header", total_length(19)),
        (
            "total length one beyond the frame",
            total_length(length + 1),
        ),
        ("total length 65,535", total_length(65_535)),
        ("udp length 0", udp_length(0)),
        ("udp length below the header", udp_length(7)),
        ("udp length beyond the packet", udp_length(8 + 14)),
        ("tcp data offset 4 words", offset(4)),
        ("tcp data offset beyond the packet", offset(15)),
    ];
    rows.into_iter()
        .map(|(name, frame)| row(format!("V4: {name}")).drops(&frame, Outcome::Malformed))
        .collect()
}
