//! Connection ids that name no server: their packets choose as if there were no ids.

use lb_common::backend::Backend;
use lb_tests::{
    packet::{Flags, Packet},
    quic::{Low, connection_id, long_header, short_header},
};

use super::{id, quic};
use crate::{
    family::{Family, tcp, udp},
    member::{FIRST, GONE, PORT_QUIC, SECOND},
    row::{Row, row},
    rows::{fragment::pieces, patched},
    world::{World, server_id},
};

const NONCE: [u8; 4] = [9, 8, 7, 6];

/// The backend's number has been given to another one.
fn recycled(world: &mut World) {
    world.put(SECOND, 2, 0);
}

/// The backend takes no packets.
fn disabled(world: &mut World) {
    world.put(SECOND, 1, Backend::INACTIVE);
}

pub(super) fn rows(family: Family) -> Vec<Row> {
    let falls_back = |name: &str, packet: &Packet| {
        row(format!("{family:?} quic: {name}")).transmits(packet, &FIRST.receives(packet))
    };
    let mut rows = Vec::new();
    for (name, bytes) in unroutable() {
        let packet = quic(family, bytes);
        rows.push(falls_back(name, &packet).remembers(1, 0));
    }
    let named = quic(family, short_header(&id(0, SECOND)));
    let cut = udp_cut_short(&named);
    let padded = quic(family, vec![0x41]).padding(60);
    let frame = {
        // The id stands in the padding, where it is nobody's.
        let end = padded.layers().end;
        patched(padded.frame(), end, &id(0, SECOND))
    };
    let segment = tcp(family, PORT_QUIC)
        .flags(Flags::ACK)
        .payload(short_header(&id(0, SECOND)));
    rows.extend([
        row(format!("{family:?} quic: the server's number is another's"))
            .then(recycled)
            .transmits(&named, &FIRST.receives(&named)),
        row(format!("{family:?} quic: the server takes no packets"))
            .then(disabled)
            .transmits(&named, &FIRST.receives(&named)),
        row(format!("{family:?} quic: an id behind the datagram"))
            .transmits_bytes(&cut, forwarded(&named, cut.clone())),
        row(format!("{family:?} quic: an id in the padding"))
            .transmits_bytes(&frame, forwarded(&padded, frame.clone())),
        falls_back("a segment", &segment),
    ]);
    let long =
        udp(family, PORT_QUIC).payload([short_header(&id(0, SECOND)), vec![7; 200]].concat());
    rows.push(
        pieces(&long, 64)
            .iter()
            .fold(row(format!("{family:?} quic: fragments")), |row, piece| {
                row.transmits(piece, &FIRST.receives(piece))
            }),
    );
    rows
}

/// Payloads of datagrams.
fn unroutable() -> Vec<(&'static str, Vec<u8>)> {
    let short = |id: Vec<u8>| [&[0x41], id.as_slice()].concat();
    let second = server_id(SECOND, 3);
    let mut unknown = second.clone();
    unknown[0] ^= 1;
    // Configuration 0 tells lengths, 2 does not.
    let whole = id(0, SECOND);
    let untold = id(2, SECOND);
    let without_last = |id: &[u8]| id[..id.len() - 1].to_vec();
    let tells = |low, nonce: &[u8]| connection_id(0, Low::Random(low), &second, nonce);
    let mut beyond = long_header(&whole);
    beyond[5] = 200;
    let mut of_none = long_header(&whole);
    of_none[5] = 0;
    vec![
        ("nothing", vec![]),
        ("a byte", vec![0x41]),
        ("a long header's byte", vec![0xc3]),
        ("a long header cut short", long_header(&whole)[..6].to_vec()),
        (
            "a long header with a byte of its id",
            long_header(&whole)[..7].to_vec(),
        ),
        (
            "a long header that ends in its id",
            long_header(&whole)[..13].to_vec(),
        ),
        ("a long header whose id goes on behind it", beyond),
        ("a long header without an id", of_none),
        (
            "a long header with a short id",
            long_header(&without_last(&untold)),
        ),
        (
            "a short header that ends in its nonce",
            short(without_last(&whole)),
        ),
        (
            "the same without told lengths",
            short(without_last(&untold)),
        ),
        (
            "a configuration that is not in use",
            short_header(&connection_id(5, Low::Length, &second, &NONCE)),
        ),
        (
            "the configuration of ids that name nobody",
            short_header(&connection_id(7, Low::Length, &second, &NONCE)),
        ),
        (
            "the same in a long header",
            long_header(&connection_id(7, Low::Length, &second, &NONCE)),
        ),
        (
            "a server id that nobody has",
            short_header(&connection_id(0, Low::Length, &unknown, &NONCE)),
        ),
        (
            "a server id of a backend that is not there",
            short_header(&id(0, GONE)),
        ),
        (
            "a server id of another length",
            short_header(&connection_id(
                4,
                Low::Length,
                &[&[0; 5], second.as_slice()].concat(),
                &NONCE,
            )),
        ),
        (
            "a told length without a nonce",
            short_header(&tells(6, &NONCE)),
        ),
        ("a told length of nothing", short_header(&tells(0, &NONCE))),
        (
            "a long header with another length than the id tells",
            long_header(&tells(8, &NONCE)),
        ),
        (
            "a long header with a shorter length than the id tells",
            long_header(&tells(7, &[9, 8, 7, 6, 5])),
        ),
    ]
}

/// The frame of `packet`, whose datagram ends after one byte of payload by its own account.
fn udp_cut_short(packet: &Packet) -> Vec<u8> {
    patched(packet.frame(), packet.layers().transport + 4, &[0, 9])
}

/// `frame` of `packet` as [`FIRST`] receives it: link and IP header of the packet that is described.
fn forwarded(packet: &Packet, frame: Vec<u8>) -> Vec<u8> {
    let header = FIRST.receives(packet).frame();
    let transport = packet.layers().transport;
    patched(frame, 0, &header[..transport])
}
