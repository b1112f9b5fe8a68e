//! Frames that end too early, at every boundary of every header.

use lb_common::outcome::Outcome;
use lb_tests::packet::{CUSTOMER_TAG, Extension, NO_OPERATIONS, PROVIDER_TAG, Packet};

use super::{cut, patched};
use crate::{
    family::{Family, sctp, tcp, udp},
    member::{PORT_L2_FRONT, PORT_NAT_BACK},
    row::{Row, row},
};

/// Packets to a VIP with all kinds of headers, and the length of their transport header.
fn packets() -> Vec<(String, Packet, usize)> {
    let mut packets = Vec::new();
    for family in Family::BOTH {
        let plain = tcp(family, PORT_L2_FRONT);
        packets.extend([
            (format!("{family:?}: tcp"), plain.clone(), 20),
            (format!("{family:?}: udp"), udp(family, PORT_NAT_BACK), 8),
            (format!("{family:?}: sctp"), sctp(family, PORT_L2_FRONT), 16),
            (
                format!("{family:?}: tcp in two vlans"),
                plain.tag(PROVIDER_TAG, 5).tag(CUSTOMER_TAG, 7),
                20,
            ),
        ]);
    }
    packets.push((
        "V4: tcp after options".to_owned(),
        tcp(Family::V4, PORT_L2_FRONT).options(&NO_OPERATIONS.repeat(2)),
        20,
    ));
    packets.push((
        "V6: udp after options".to_owned(),
        udp(Family::V6, PORT_L2_FRONT)
            .extension(Extension::HopByHop { length: 0 })
            .extension(Extension::DestinationOptions { length: 1 }),
        8,
    ));
    packets
}

const fn fixed_header(packet: &Packet) -> usize {
    if packet.source.is_ipv4() { 20 } else { 40 }
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, packet, transport_length) in packets() {
        let layers = packet.layers();
        let network = layers.ip + fixed_header(&packet);
        let frame = packet.frame();
        // Whose packet it is cannot be told before the fixed IP header is whole.
        for end in [layers.ip, layers.ip + 1, network - 1] {
            rows.push(
                row(format!("{name}, cut to {end} bytes, inside the ip header"))
                    .passes(&cut(frame.clone(), end), Outcome::NotIp),
            );
        }
        let transport = layers.transport;
        let mut ends = vec![network, transport, transport + 1, transport + 4];
        ends.extend([
            transport + transport_length - 1,
            (network + transport).div_ceil(2),
        ]);
        ends.sort_unstable();
        ends.dedup();
        for end in ends {
            rows.push(
                row(format!("{name}, cut to {end} bytes, inside a header"))
                    .drops(&cut(frame.clone(), end), Outcome::Truncated),
            );
        }
        for end in [transport + transport_length, layers.end - 1] {
            rows.push(
                row(format!("{name}, cut to {end} bytes, inside the payload"))
                    .drops(&cut(frame.clone(), end), Outcome::Malformed),
            );
        }
    }
    rows.extend(short_by_length());
    rows
}

/// The frame is whole, but the IP length ends inside the transport header: what follows is padding.
fn short_by_length() -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, packet, transport_length) in packets() {
        let layers = packet.layers();
        let (field, counted_from) = if packet.source.is_ipv4() {
            (layers.ip + 2, layers.ip)
        } else {
            (layers.ip + 4, layers.ip + 40)
        };
        for kept in [0, transport_length - 1] {
            let length = layers.transport + kept - counted_from;
            let length = u16::try_from(length).expect("a short packet").to_be_bytes();
            rows.push(
                row(format!(
                    "{name}, ip length leaves {kept} bytes of transport header"
                ))
                .drops(&patched(packet.frame(), field, &length), Outcome::Truncated),
            );
        }
    }
    rows
}
