//! Checksums where one's complement has two zeros (RFC 1624 section 3), and UDP's way with 0 (RFC 768).

use lb_tests::packet::Packet;

use super::patched;
use crate::{
    family::{Family, tcp, udp},
    member::{L2_FRONT, Member, NAT_BACK, PORT_L2_FRONT, PORT_NAT_BACK, of},
    row::{Row, row},
};

/// Where the checksum stands in the transport header.
const TCP_CHECKSUM: usize = 16;
const UDP_CHECKSUM: usize = 6;

fn field(frame: &[u8], offset: usize) -> u16 {
    u16::from_be_bytes([frame[offset], frame[offset + 1]])
}

/// `packet` with a payload of two bytes such that the checksum `backend` must see sums up to zero.
fn with_zero_sum(packet: &Packet, backend: Member, checksum: usize) -> Packet {
    let empty = packet.clone().payload([0, 0]);
    let out = backend.receives(&empty);
    let value = field(&out.frame(), out.layers().transport + checksum);
    let packet = packet.clone().payload(value.to_be_bytes());
    let out = backend.receives(&packet).frame();
    let found = field(
        &out,
        backend.receives(&packet).layers().transport + checksum,
    );
    assert!(
        matches!(found, 0 | 0xffff),
        "a checksum of zero, not {found:#06x}"
    );
    packet
}

/// `packet` with a payload of two bytes such that its own checksum sums up to zero.
fn from_zero_sum(packet: &Packet, checksum: usize) -> Packet {
    let empty = packet.clone().payload([0, 0]);
    let value = field(&empty.frame(), empty.layers().transport + checksum);
    packet.clone().payload(value.to_be_bytes())
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        let backend = of(family, NAT_BACK);
        let tcp = tcp(family, PORT_NAT_BACK);
        let udp = udp(family, PORT_NAT_BACK);
        let tcp_to = with_zero_sum(&tcp, backend, TCP_CHECKSUM);
        let udp_to = with_zero_sum(&udp, backend, UDP_CHECKSUM);
        let tcp_from = from_zero_sum(&tcp, TCP_CHECKSUM);
        let udp_from = from_zero_sum(&udp, UDP_CHECKSUM);
        rows.extend([
            row(format!("{family:?}: a tcp checksum that becomes 0 stays 0"))
                .redirects(&tcp_to, &backend.receives(&tcp_to)),
            row(format!(
                "{family:?}: a udp checksum that becomes 0 is sent as 0xffff"
            ))
            .redirects(&udp_to, &backend.receives(&udp_to)),
            row(format!("{family:?}: a tcp checksum that was 0"))
                .redirects(&tcp_from, &backend.receives(&tcp_from)),
            row(format!("{family:?}: a udp checksum that was 0xffff"))
                .redirects(&udp_from, &backend.receives(&udp_from)),
        ]);
    }
    let none = udp(Family::V4, PORT_NAT_BACK).without_checksum();
    rows.push(
        row("V4: a datagram without checksum gets none under nat")
            .redirects(&none, &of(Family::V4, NAT_BACK).receives(&none)),
    );
    let none = udp(Family::V4, PORT_L2_FRONT).without_checksum();
    rows.push(
        row("V4: a datagram without checksum by l2").transmits(&none, &L2_FRONT.receives(&none)),
    );
    rows.extend(ipv4_header());
    rows
}

fn ipv4_header() -> Vec<Row> {
    const CHECKSUM: usize = 10;
    let at = |packet: &Packet| packet.layers().ip + CHECKSUM;
    let zero = tcp(Family::V4, PORT_L2_FRONT).identification(0);
    let out = L2_FRONT.receives(&zero);
    let becomes = zero.clone().identification(field(&out.frame(), at(&out)));
    let was = zero.clone().identification(field(&zero.frame(), at(&zero)));
    let all_ones = patched(was.frame(), at(&was), &[0xff, 0xff]);
    // Not verified here: what is wrong stays wrong by as much, for the receiver to see.
    let wrong = patched(zero.frame(), at(&zero), &[0x12, 0x34]);
    let right = i32::from(field(&zero.frame(), at(&zero)));
    let sent = L2_FRONT.receives(&zero).frame();
    let moved = i32::from(field(&sent, at(&zero))) - right;
    let moved = u16::try_from((0x1234 + moved).rem_euclid(0xffff)).expect("16 bits");
    let still_wrong = patched(sent, at(&zero), &moved.to_be_bytes());
    vec![
        row("V4: a header checksum that becomes 0")
            .transmits(&becomes, &L2_FRONT.receives(&becomes)),
        row("V4: a header checksum that was 0").transmits(&was, &L2_FRONT.receives(&was)),
        row("V4: a header checksum that was 0 and sent as 0xffff")
            .transmits(&all_ones, &L2_FRONT.receives(&was)),
        row("V4: a wrong header checksum stays wrong").transmits_bytes(&wrong, still_wrong),
    ]
}
