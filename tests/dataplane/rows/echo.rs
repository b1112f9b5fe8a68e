//! Echo requests, answered by the program itself.

use std::net::IpAddr;

use lb_common::outcome::Outcome;
use lb_tests::{
    object::Action,
    packet::{CUSTOMER_TAG, Extension, Mac, NO_OPERATIONS, PROVIDER_TAG, Packet, icmp_checksum},
};

use super::{cut, patched};
use crate::{
    family::Family,
    member::{CLIENT_MAC, FRONT_MAC, Side},
    row::{Row, row},
};

/// A router of the client's network that is not the client's own.
const ROUTER_MAC: Mac = [2, 0, 0, 0, 0, 0x77];

const fn protocol(family: Family) -> u8 {
    match family {
        Family::V4 => 1,
        Family::V6 => 58,
    }
}

/// Types of request and reply.
const fn types(family: Family) -> (u8, u8) {
    match family {
        Family::V4 => (8, 0),
        Family::V6 => (128, 129),
    }
}

/// An ICMP message from the client to the VIP, with a right checksum.
pub(super) fn message(family: Family, kind: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Packet {
    let (from, to) = (family.client(), family.vip());
    checked(&Packet::raw(
        from,
        to,
        protocol(family),
        [&[kind, code, 0, 0], rest.as_slice(), payload].concat(),
    ))
}

/// `packet`, ICMP, with the checksum that its addresses and bytes ask for.
pub(super) fn checked(packet: &Packet) -> Packet {
    let checksum = icmp_checksum(packet).to_be_bytes();
    let bytes = patched(packet.payload.clone(), 2, &checksum);
    packet.clone().payload(bytes)
}

/// A request from the client to the VIP.
pub(super) fn request(family: Family, payload: &[u8]) -> Packet {
    message(family, types(family).0, 0, [0x12, 0x34, 0, 9], payload)
}

/// The reply to `request`, built from nothing.
fn reply(family: Family, request: &Packet) -> Packet {
    let packet = request
        .clone()
        .from(request.destination)
        .to(request.source)
        .macs(request.destination_mac, request.source_mac)
        .ttl(64);
    let bytes = patched(packet.payload.clone(), 0, &[types(family).1, 0, 0, 0]);
    let packet = checked(&packet.payload(bytes));
    // The program writes the other one of the two zeros.
    if packet.payload[2..4] == [0, 0] {
        let bytes = patched(packet.payload.clone(), 2, &[0xff, 0xff]);
        return packet.payload(bytes);
    }
    packet
}

pub(super) fn answered(name: String, family: Family, request: &Packet) -> Row {
    echoed(row(name), family, request)
}

pub(super) fn echoed(row: Row, family: Family, request: &Packet) -> Row {
    let reply = reply(family, request);
    row.answers(
        Side::Front,
        request,
        Outcome::Echoed,
        Action::Transmit,
        Some(&reply),
    )
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        rows.extend(answers(family));
        rows.extend(sums(family));
        rows.extend(left_to_the_host(family));
        rows.extend(impossible(family));
    }
    rows
}

fn answers(family: Family) -> Vec<Row> {
    let plain = request(family, b"0123456789abcdef");
    let lengths = (0..=64).chain([127, 128, 129, 255, 256, 1_000, 1_452, 1_471, 1_472]);
    let every_length = lengths.fold(
        row(format!("{family:?}: echo, payloads of every length")),
        |row, length| {
            let payload: Vec<u8> = (0..=250).cycle().take(length).collect();
            echoed(row, family, &request(family, &payload))
        },
    );
    let mut rows = vec![
        answered(format!("{family:?}: echo"), family, &plain),
        answered(
            format!("{family:?}: echo, 802.1q"),
            family,
            &plain.clone().tag(CUSTOMER_TAG, 7),
        ),
        answered(
            format!("{family:?}: echo, 802.1ad over 802.1q"),
            family,
            &plain.clone().tag(PROVIDER_TAG, 5).tag(CUSTOMER_TAG, 7),
        ),
        answered(
            format!("{family:?}: echo by another router"),
            family,
            &plain.clone().macs(ROUTER_MAC, FRONT_MAC),
        ),
        answered(
            format!("{family:?}: echo with bytes after the packet"),
            family,
            &request(family, &[]).padding(18),
        ),
        every_length,
    ];
    for ttl in [0, 1, 2, 63, 64, 65, 255] {
        // A destination, not a router: a used-up hop limit is no hindrance (RFC 1122 section 3.2.1.7).
        rows.push(answered(
            format!("{family:?}: echo, hop limit {ttl}"),
            family,
            &plain.clone().ttl(ttl),
        ));
    }
    let damaged = patched(plain.payload.clone(), 12, &[0xaa]);
    let out = patched(reply(family, &plain).payload, 12, &[0xaa]);
    rows.push(
        row(format!("{family:?}: echo, a wrong checksum stays wrong")).sends_bytes(
            &plain.clone().payload(damaged),
            Outcome::Echoed,
            reply(family, &plain).payload(out).frame(),
        ),
    );
    rows
}

/// Checksums around both zeros, and one in every 256.
fn sums(family: Family) -> Vec<Row> {
    let empty = request(family, &[0, 0]);
    let zero_at = u16::from_be_bytes([empty.payload[2], empty.payload[3]]);
    let near =
        |value: u16| (0..=0x20).map(move |step: u16| value.wrapping_add(step).wrapping_sub(0x10));
    let (kind, _) = types(family);
    // Where the request's checksum is 0, and where the reply's is.
    let values = near(zero_at)
        .chain(near(zero_at.wrapping_add(0x0800)))
        .chain(near(zero_at.wrapping_sub(0x0800)))
        .chain(near(zero_at.wrapping_sub(0x0100)))
        .chain(near(zero_at.wrapping_add(0x0100)))
        .chain((0..=u16::MAX).step_by(251));
    let swept = values.fold(
        row(format!("{family:?}: echo, sums of every kind")),
        |row, value| echoed(row, family, &request(family, &value.to_be_bytes())),
    );
    let nothing = message(family, kind, 0, [0; 4], &[0; 8]);
    let all_ones = message(family, kind, 0, [0xff; 4], &[0xff; 8]);
    vec![
        swept,
        answered(
            format!("{family:?}: echo of nothing but zeros"),
            family,
            &nothing,
        ),
        answered(
            format!("{family:?}: echo of nothing but ones"),
            family,
            &all_ones,
        ),
    ]
}

fn left_to_the_host(family: Family) -> Vec<Row> {
    let plain = request(family, b"0123456789abcdef");
    let (kind, answer) = types(family);
    let layers = plain.layers();
    let elsewhere = checked(&plain.clone().to((family.elsewhere(), 0).into()));
    let groups: &[&str] = match family {
        Family::V4 => &["255.255.255.255", "192.0.2.255", "224.0.0.1"],
        Family::V6 => &["ff02::1", "ff0e::1"],
    };
    let to_group = |group: &&str| {
        let to: IpAddr = group.parse().expect("an address");
        let packet = checked(&plain.clone().to((to, 0).into()));
        row(format!("{family:?}: echo to {group}")).passes(&packet, Outcome::NotVip)
    };
    let mut rows: Vec<Row> = groups.iter().map(to_group).collect();
    rows.extend([
        row(format!("{family:?}: echo to no vip")).passes(&elsewhere, Outcome::NotVip),
        row(format!("{family:?}: echo with a code"))
            .passes(&message(family, kind, 1, [0; 4], &[]), Outcome::Icmp),
        row(format!("{family:?}: an echo reply to the vip"))
            .passes(&message(family, answer, 0, [0; 4], &[]), Outcome::Icmp),
        row(format!("{family:?}: echo, the frame ends in its header")).drops(
            &cut(plain.frame(), layers.transport + 7),
            Outcome::Truncated,
        ),
        row(format!("{family:?}: echo, the frame ends in its payload"))
            .drops(&cut(plain.frame(), layers.end - 1), Outcome::Malformed),
        row(format!(
            "{family:?}: echo, a packet too short for its header"
        ))
        .drops(
            &Packet::raw(
                family.client(),
                family.vip(),
                protocol(family),
                vec![kind; 4],
            )
            .padding(20),
            Outcome::Truncated,
        ),
    ]);
    rows.extend(match family {
        Family::V4 => vec![
            row("V4: echo with options")
                .passes(&plain.clone().options(&NO_OPERATIONS), Outcome::Icmp),
            row("V4: echo, first fragment")
                .drops(&plain.clone().fragment(0, true), Outcome::Fragment),
        ],
        Family::V6 => vec![
            row("V6: echo after destination options").passes(
                &plain
                    .clone()
                    .extension(Extension::DestinationOptions { length: 0 }),
                Outcome::Icmp,
            ),
            row("V6: echo in an atomic fragment")
                .passes(&plain.clone().extension(Extension::ATOMIC), Outcome::Icmp),
        ],
    });
    rows
}

fn impossible(family: Family) -> Vec<Row> {
    let sources: &[&str] = match family {
        Family::V4 => &["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"],
        Family::V6 => &["::", "::1", "ff02::1"],
    };
    let sources = sources.iter().map(|text| text.parse().expect("an address"));
    sources
        .chain([family.vip()])
        .map(|source| {
            let packet = checked(
                &request(family, b"01234567")
                    .from((source, 0).into())
                    .macs(CLIENT_MAC, FRONT_MAC),
            );
            row(format!("{family:?}: echo from {source}")).drops(&packet, Outcome::BadSource)
        })
        .collect()
}
