//! IPv6 extension headers, lengths and fragments.

use lb_common::outcome::Outcome;
use lb_tests::packet::{Extension, Packet};

use super::patched;
use crate::{
    family::{Family, tcp, udp},
    member::{L2_FRONT, NAT_BACK, PORT_L2_FRONT, PORT_NAT_BACK, of},
    row::{Row, row},
};

const V6: Family = Family::V6;
const HOP_BY_HOP: Extension = Extension::HopByHop { length: 0 };
const OPTIONS: Extension = Extension::DestinationOptions { length: 0 };

fn with(packet: Packet, extensions: &[Extension]) -> Packet {
    extensions
        .iter()
        .fold(packet, |packet, extension| packet.extension(*extension))
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = walked();
    rows.extend(beyond_the_bound());
    rows.extend(fragments());
    rows.extend(malformed());
    rows
}

fn walked() -> Vec<Row> {
    let six = [
        HOP_BY_HOP,
        OPTIONS,
        Extension::Routing,
        Extension::ATOMIC,
        OPTIONS,
        OPTIONS,
    ];
    let chains: [(&str, &[Extension]); 9] = [
        ("hop-by-hop options", &[HOP_BY_HOP]),
        (
            "hop-by-hop options of 264 bytes",
            &[Extension::HopByHop { length: 32 }],
        ),
        ("a routing header", &[Extension::Routing]),
        ("destination options", &[OPTIONS]),
        (
            "destination options of 1,032 bytes",
            &[Extension::DestinationOptions { length: 128 }],
        ),
        ("an atomic fragment", &[Extension::ATOMIC]),
        (
            "options, then an atomic fragment",
            &[OPTIONS, Extension::ATOMIC],
        ),
        (
            "hop-by-hop, routing, options",
            &[HOP_BY_HOP, Extension::Routing, OPTIONS],
        ),
        ("six extension headers", &six),
    ];
    let mut rows = Vec::new();
    for (name, extensions) in chains {
        let l2 = with(tcp(V6, PORT_L2_FRONT), extensions);
        let nat_tcp = with(tcp(V6, PORT_NAT_BACK), extensions);
        let nat_udp = with(udp(V6, PORT_NAT_BACK), extensions);
        let backend = of(V6, NAT_BACK);
        rows.extend([
            row(format!("V6: {name}, tcp by l2")).transmits(&l2, &L2_FRONT.receives(&l2)),
            row(format!("V6: {name}, tcp by nat")).redirects(&nat_tcp, &backend.receives(&nat_tcp)),
            row(format!("V6: {name}, udp by nat")).redirects(&nat_udp, &backend.receives(&nat_udp)),
        ]);
    }
    let icmp = Packet::raw(V6.client(), V6.vip(), 58, vec![128; 8]).extension(HOP_BY_HOP);
    rows.push(row("V6: icmpv6 behind hop-by-hop options").passes(&icmp, Outcome::Icmp));
    rows
}

fn beyond_the_bound() -> Vec<Row> {
    [20, 64]
        .map(|count| {
            let packet = with(tcp(V6, PORT_L2_FRONT), &vec![OPTIONS; count]);
            row(format!("V6: {count} extension headers")).drops(&packet, Outcome::ExtensionHeaders)
        })
        .into()
}

fn fragments() -> Vec<Row> {
    let fragment = |offset, more| Extension::Fragment { offset, more };
    let packet = || tcp(V6, PORT_L2_FRONT).payload(vec![7; 44]);
    let rows = [
        ("middle fragment", packet().extension(fragment(8, true))),
        ("last fragment", packet().extension(fragment(16, false))),
    ];
    rows.map(|(name, packet)| row(format!("V6: {name}")).drops(&packet, Outcome::Fragment))
        .into()
}

fn malformed() -> Vec<Row> {
    let packet = tcp(V6, PORT_L2_FRONT);
    let layers = packet.layers();
    let payload_length = |length: usize| {
        let length = u16::try_from(length).expect("16 bits");
        patched(packet.frame(), layers.ip + 4, &length.to_be_bytes())
    };
    let length = layers.end - layers.transport;
    let options = packet.clone().extension(OPTIONS);
    let rows = [
        ("version 4", patched(packet.frame(), layers.ip, &[0x45])),
        ("version 15", patched(packet.frame(), layers.ip, &[0xf0])),
        (
            "payload length one beyond the frame",
            payload_length(length + 1),
        ),
        ("payload length 65,535", payload_length(65_535)),
        (
            "an extension header longer than the packet",
            patched(options.frame(), layers.ip + 41, &[200]),
        ),
    ];
    rows.map(|(name, frame)| row(format!("V6: {name}")).drops(&frame, Outcome::Malformed))
        .into()
}
