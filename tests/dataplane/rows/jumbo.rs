//! Frames of several buffers: only the first, with the headers, is ever seen; the others go along.

use lb_common::outcome::Outcome;
use lb_tests::{
    object::Action,
    packet::{CUSTOMER_TAG, Flags, PROVIDER_TAG, Packet},
};

use super::{cut, echo, generated, reply, tunnel};
use crate::{
    family::{Family, tcp, udp},
    member::{
        L2_BACK, L2_FRONT, NAT_BACK, NAT_FRONT, PORT_L2_BACK, PORT_L2_FRONT, PORT_LOCAL,
        PORT_NAT_BACK, PORT_NAT_FRONT, PORT_TUNNELS, Side, TUNNELS, of,
    },
    row::{Row, row},
};

/// Bytes of payload: with their headers they fill an MTU of 9,000 and, as a page is smaller, three buffers.
const PAYLOAD: usize = 8_900;

/// Packets whose payload is in buffers that nobody looks at.
fn packets(family: Family, port: u16) -> [(&'static str, Packet); 4] {
    let payload: Vec<u8> = (0..=u8::MAX).cycle().take(PAYLOAD).collect();
    let segment = tcp(family, port).flags(Flags::ACK).payload(payload.clone());
    let datagram = udp(family, port).payload(payload);
    [
        ("a segment", segment.clone()),
        ("a datagram", datagram.clone()),
        (
            "two tags",
            segment.tag(PROVIDER_TAG, 5).tag(CUSTOMER_TAG, 7),
        ),
        ("bytes after the packet", datagram.padding(300)),
    ]
}

/// Rows for the program that takes such frames.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        rows.extend(forwarded(family));
        rows.extend(refused(family));
        let request = echo::request(family, &vec![0x5a; PAYLOAD]);
        let name = format!("{family:?}: a jumbo echo request");
        rows.push(echo::answered(name, family, &request));
    }
    rows
}

fn forwarded(family: Family) -> Vec<Row> {
    let mut rows = Vec::new();
    let name = |how: &str, what: &str| format!("{family:?}: jumbo, {what} {how}");
    for (what, packet) in packets(family, PORT_L2_FRONT) {
        let row = row(name("by l2 out of the same interface", what));
        rows.push(row.transmits(&packet, &L2_FRONT.receives(&packet)));
    }
    for (what, packet) in packets(family, PORT_L2_BACK) {
        let row = row(name("by l2 out of another interface", what));
        rows.push(row.redirects(&packet, &L2_BACK.receives(&packet)));
    }
    for (what, packet) in packets(family, PORT_NAT_FRONT) {
        let row = row(name("by nat out of the same interface", what));
        rows.push(row.transmits(&packet, &of(family, NAT_FRONT).receives(&packet)));
    }
    for (what, packet) in packets(family, PORT_NAT_BACK) {
        let backend = of(family, NAT_BACK);
        let answer = backend.replies_to(&packet);
        let mut seen = reply::seen_by_client(&answer, &packet);
        seen.tags.clear();
        let row = reply::after(name("by nat, and its like back", what), family, &packet);
        rows.push(row.answers(
            Side::Back,
            &answer,
            Outcome::Replied,
            Action::Redirect,
            Some(&seen),
        ));
    }
    for (port, member) in (PORT_TUNNELS..).zip(TUNNELS) {
        for (what, packet) in packets(family, port) {
            let row = row(name(&format!("in {member:?}"), what));
            rows.push(tunnel::leaves(row, member, &packet));
        }
    }
    for (what, packet) in packets(family, PORT_LOCAL) {
        let row = row(name("to this host itself", what));
        rows.push(row.passes(&packet, Outcome::Local));
    }
    rows
}

fn refused(family: Family) -> Vec<Row> {
    let [(_, packet), ..] = packets(family, PORT_L2_BACK);
    let whole = packet.frame();
    let short = cut(whole.clone(), whole.len() - 1);
    let told = generated::too_big(&packet, 1_500);
    vec![
        row(format!("{family:?}: jumbo, one byte fewer than announced"))
            .drops(&short, Outcome::Malformed),
        row(format!("{family:?}: jumbo, too long for the way on"))
            .then(|world| world.narrow(L2_BACK, 1_500))
            .answers(
                Side::Front,
                &packet,
                Outcome::TooBigSent,
                Action::Transmit,
                Some(&told),
            ),
    ]
}
