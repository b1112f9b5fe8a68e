//! SCTP: forwarded as it is, by its ports; never translated.

use lb_common::outcome::Outcome;
use lb_tests::packet::{Chunk, Flags, Packet};

use super::{fragment::pieces, icmp_error, patched};
use crate::{
    family::{Family, sctp, tcp},
    member::{
        FIRST, L2_BACK, L2_FRONT, PORT_CHANGING, PORT_EMPTY, PORT_L2_BACK, PORT_L2_FRONT,
        PORT_LOCAL, PORT_NAT_BACK, PORT_NAT_FRONT,
    },
    row::{Row, row},
};

/// Where the first chunk's header stands in the packet.
const CHUNK: usize = 12;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        rows.extend(forwarded(family));
        rows.extend(beginnings(family));
        rows.extend(refused(family));
        rows.extend(malformed(family));
    }
    rows
}

fn forwarded(family: Family) -> Vec<Row> {
    let data = |port| sctp(family, port).chunk(Chunk::DATA);
    let (front, back) = (data(PORT_L2_FRONT), data(PORT_L2_BACK));
    let whole = data(PORT_L2_BACK).payload((0..200).collect::<Vec<u8>>());
    let fragments = pieces(&whole, 64)
        .into_iter()
        .fold(row(format!("{family:?}: sctp fragments")), |row, piece| {
            row.redirects_bytes(&piece, L2_BACK.receives(&piece).frame())
        });
    // What other protocols send from the same ports is another flow.
    let segment = tcp(family, PORT_CHANGING).flags(Flags::ACK);
    let association = sctp(family, PORT_CHANGING);
    vec![
        row(format!("{family:?}: sctp, back out of the same interface"))
            .transmits(&front, &L2_FRONT.receives(&front))
            .remembers(1, 0),
        row(format!("{family:?}: sctp, out of another interface"))
            .redirects(&back, &L2_BACK.receives(&back)),
        row(format!("{family:?}: sctp to this host itself"))
            .passes(&data(PORT_LOCAL), Outcome::Local),
        row(format!("{family:?}: sctp and tcp of the same ports"))
            .transmits(&segment, &FIRST.receives(&segment))
            .transmits(&association, &FIRST.receives(&association))
            .remembers(2, 0),
        fragments,
    ]
}

/// What begins a flow, and what does not.
fn beginnings(family: Family) -> Vec<Row> {
    [
        ("an init", Chunk::INIT, 1),
        ("data", Chunk::DATA, 1),
        ("an abort", Chunk::ABORT, 0),
        ("a shutdown complete", Chunk::SHUTDOWN_COMPLETE, 0),
        ("a chunk of a type that nobody knows", Chunk(0xbf), 1),
    ]
    .map(|(name, chunk, flows)| {
        let packet = sctp(family, PORT_CHANGING).chunk(chunk);
        row(format!("{family:?}: {name} begins {flows} flows"))
            .transmits(&packet, &FIRST.receives(&packet))
            .remembers(flows, 0)
    })
    .into()
}

/// Its checksum is a CRC of all of it: a translated packet would be no packet.
fn refused(family: Family) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, port) in [("front", PORT_NAT_FRONT), ("back", PORT_NAT_BACK)] {
        let packet = sctp(family, port);
        rows.extend([
            row(format!("{family:?}: sctp to a nat backend, {name}"))
                .drops(&packet, Outcome::UnsupportedMode)
                .remembers(0, 0),
            row(format!(
                "{family:?}: an error about sctp to a nat backend, {name}"
            ))
            .drops(
                &icmp_error::about(family.router(), &packet),
                Outcome::UnsupportedMode,
            ),
        ]);
    }
    rows.push(
        row(format!("{family:?}: sctp to a service without backends"))
            .drops(&sctp(family, PORT_EMPTY), Outcome::NoBackend),
    );
    rows
}

fn malformed(family: Family) -> Vec<Row> {
    let packet = sctp(family, PORT_L2_FRONT);
    let chunk = packet.layers().transport + CHUNK;
    let of_length = |length: u16| patched(packet.frame(), chunk + 2, &length.to_be_bytes());
    let whole = u16::try_from(packet.layers().end - chunk).expect("a short packet");
    let header_alone = of_length(4);
    let without_chunk = Packet {
        payload: vec![0; 12],
        ..Packet::raw(family.client(), family.vip(), 132, Vec::new())
    };
    let out = patched(
        L2_FRONT.receives(&packet).frame(),
        chunk + 2,
        &4u16.to_be_bytes(),
    );
    vec![
        row(format!("{family:?}: a chunk shorter than its header"))
            .drops(&of_length(3), Outcome::Malformed),
        row(format!("{family:?}: a chunk longer than its packet"))
            .drops(&of_length(whole + 1), Outcome::Malformed),
        row(format!("{family:?}: a chunk that is its header alone"))
            .transmits_bytes(&header_alone, out),
        row(format!("{family:?}: sctp without a chunk")).drops(&without_chunk, Outcome::Truncated),
    ]
}
