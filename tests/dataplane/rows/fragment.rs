//! Fragments of datagrams to a VIP and of NAT backends' replies.
//!
//! A whole datagram is built and cut up here, before and after the translation: so the checksum that the
//! fragments out carry is that of the whole datagram out.

use lb_common::outcome::Outcome;
use lb_tests::{
    object::Action,
    packet::{CUSTOMER_TAG, Extension, NO_OPERATIONS, Packet, Transport},
};

use super::patched;
use crate::{
    family::{Family, tcp, udp},
    member::{
        CLIENT_MAC, FRONT_MAC, L2_BACK, L2_FRONT, Member, NAT_BACK, NAT_FRONT, PORT_L2_BACK,
        PORT_L2_FRONT, PORT_LOCAL, PORT_NAT_BACK, PORT_NAT_FRONT, PORT_UNMATCHED, Side, of,
    },
    row::{Row, row},
};

const OPTIONS: Extension = Extension::DestinationOptions { length: 0 };
const HOP_BY_HOP: Extension = Extension::HopByHop { length: 0 };
/// Bytes of the datagram in each fragment but the last.
const SIZE: usize = 64;

/// `whole` in fragments of `size` bytes. Hop-by-hop options stand in each, other extension headers are
/// fragmented like the rest.
pub(super) fn pieces(whole: &Packet, size: usize) -> Vec<Packet> {
    let mut each = whole.clone();
    each.extensions.retain(|extension| *extension == HOP_BY_HOP);
    let number = if each.extensions == whole.extensions {
        whole.protocol().0
    } else {
        60
    };
    let bytes = whole.frame()[each.layers().transport..whole.layers().end].to_vec();
    each.transport = Transport::Raw(number);
    let count = bytes.len().div_ceil(size);
    let piece = |(index, bytes): (usize, &[u8])| {
        let offset = u16::try_from(index * size / 8).expect("13 bits");
        let more = index + 1 < count;
        let piece = each.clone().payload(bytes);
        if whole.source.is_ipv4() {
            piece.fragment(offset, more)
        } else {
            piece.extension(Extension::Fragment { offset, more })
        }
    };
    bytes.chunks(size).enumerate().map(piece).collect()
}

fn long(packet: Packet) -> Packet {
    packet.payload((0..200).collect::<Vec<u8>>())
}

fn both(family: Family, port: u16) -> [(&'static str, Packet); 2] {
    [
        ("tcp", long(tcp(family, port))),
        ("udp", long(udp(family, port))),
    ]
}

/// Each fragment of `whole` reaches `member`.
fn reaches(row: Row, member: Member, whole: &Packet) -> Row {
    let action = if member.egress_mac() == FRONT_MAC {
        Action::Transmit
    } else {
        Action::Redirect
    };
    let out = pieces(&member.receives(whole), SIZE);
    let pairs = pieces(whole, SIZE).into_iter().zip(out);
    pairs.fold(row, |row, (piece, out)| {
        row.becomes(Side::Front, &piece, Outcome::Forwarded, action, out.frame())
    })
}

fn replied(row: Row, side: Side, reply: &Packet, request: &Packet) -> Row {
    let action = match side {
        Side::Front => Action::Transmit,
        Side::Back | Side::Aside | Side::Probes => Action::Redirect,
    };
    let seen = reply
        .clone()
        .from(request.destination)
        .macs(FRONT_MAC, CLIENT_MAC)
        .ttl(reply.ttl - 1);
    let pairs = pieces(reply, SIZE).into_iter().zip(pieces(&seen, SIZE));
    pairs.fold(row, |row, (piece, out)| {
        row.becomes(side, &piece, Outcome::Replied, action, out.frame())
    })
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        rows.extend(forwarded(family));
        rows.extend(replies(family));
        rows.extend(unknown(family));
        rows.extend(tiny(family));
    }
    rows.extend(headers());
    rows
}

fn forwarded(family: Family) -> Vec<Row> {
    let targets = [
        ("l2 front", PORT_L2_FRONT, L2_FRONT),
        ("l2 back", PORT_L2_BACK, L2_BACK),
        ("nat front", PORT_NAT_FRONT, of(family, NAT_FRONT)),
        ("nat back", PORT_NAT_BACK, of(family, NAT_BACK)),
    ];
    let mut rows = Vec::new();
    for (target, port, member) in targets {
        for (protocol, whole) in both(family, port) {
            let name = format!("{family:?}: {protocol} fragments, {target}");
            rows.push(reaches(row(name), member, &whole));
            let tagged = whole.tag(CUSTOMER_TAG, 9);
            let name = format!("{family:?}: {protocol} fragments in a vlan, {target}");
            rows.push(reaches(row(name), member, &tagged));
        }
    }
    rows
}

fn replies(family: Family) -> Vec<Row> {
    let sides = [
        ("front", Side::Front, PORT_NAT_FRONT, of(family, NAT_FRONT)),
        ("back", Side::Back, PORT_NAT_BACK, of(family, NAT_BACK)),
    ];
    let mut rows = Vec::new();
    for (name, side, port, member) in sides {
        for (protocol, whole) in both(family, port) {
            let name = format!("{family:?}: {protocol} fragments both ways, {name}");
            let asked = reaches(row(name), member, &whole);
            rows.push(replied(asked, side, &member.replies_to(&whole), &whole));
        }
    }
    rows
}

fn unknown(family: Family) -> Vec<Row> {
    let whole = long(udp(family, PORT_L2_FRONT));
    let [first, later, ..] = &pieces(&whole, SIZE)[..] else {
        panic!("several fragments")
    };
    let out = L2_FRONT.receives(first).frame();
    let begun = |name: &str| {
        let name = format!("{family:?}: {name}");
        row(name).transmits_bytes(first, out.clone())
    };
    let ip = later.layers().ip;
    // The last bytes of the identification; in IPv4 the header's checksum is not looked at.
    let identification = ip + if family == Family::V4 { 5 } else { 47 };
    let other = patched(later.frame(), identification, &[0x99]);
    let elsewhere = long(udp(family, PORT_L2_FRONT)).to((family.elsewhere(), 80).into());
    let foreign = pieces(&elsewhere, SIZE);
    let ours = |piece: &Packet| piece.clone().from((family.vip(), 40_000).into());
    let unmatched = pieces(&long(udp(family, PORT_UNMATCHED)), SIZE);
    let local = pieces(&long(udp(family, PORT_LOCAL)), SIZE);
    vec![
        reaches(
            row(format!("{family:?}: a later fragment before the first"))
                .drops(later, Outcome::Fragment),
            L2_FRONT,
            &whole,
        ),
        begun("a fragment of another datagram").drops(&other, Outcome::Fragment),
        begun("a fragment of another source").drops(
            &later.clone().from((family.unresolved(), 0).into()),
            Outcome::Fragment,
        ),
        begun("a later fragment with its last hop, and once more")
            .drops(&later.clone().ttl(1), Outcome::TtlExceeded)
            .transmits_bytes(later, L2_FRONT.receives(later).frame()),
        row(format!("{family:?}: nothing is remembered of a bad source"))
            .drops(&ours(first), Outcome::BadSource)
            .drops(&ours(later), Outcome::Fragment),
        row(format!("{family:?}: fragments to a port without a service"))
            .passes(&unmatched[0], Outcome::Unmatched)
            .drops(&unmatched[1], Outcome::Fragment),
        local.iter().fold(
            row(format!("{family:?}: fragments to this host itself")),
            |row, piece| row.passes(piece, Outcome::Local),
        ),
        row(format!("{family:?}: fragments not for a vip"))
            .passes(&foreign[0], Outcome::NotVip)
            .passes(&foreign[1], Outcome::NotVip),
    ]
}

fn tiny(family: Family) -> Vec<Row> {
    let short = |name: &str, whole: &Packet, size| {
        let name = format!("{family:?}: a first fragment with {size} bytes of {name}");
        row(name).drops(&pieces(whole, size)[0], Outcome::Truncated)
    };
    let segment = long(tcp(family, PORT_L2_FRONT));
    vec![short("tcp", &segment, 8), short("tcp", &segment, 16)]
}

fn headers() -> Vec<Row> {
    let mut rows = Vec::new();
    for (protocol, whole) in both(Family::V4, PORT_NAT_BACK) {
        let whole = whole.options(&NO_OPERATIONS);
        let name = format!("V4: {protocol} fragments with options");
        rows.push(reaches(row(name), of(Family::V4, NAT_BACK), &whole));
    }
    let chains: [(&str, &[Extension]); 3] = [
        ("hop-by-hop options before", &[HOP_BY_HOP]),
        ("destination options after", &[OPTIONS]),
        ("options before and after", &[HOP_BY_HOP, OPTIONS]),
    ];
    for (name, chain) in chains {
        for (protocol, mut whole) in both(Family::V6, PORT_NAT_BACK) {
            whole.extensions = chain.to_vec();
            let name = format!("V6: {protocol} fragments, {name}");
            rows.push(reaches(row(name), of(Family::V6, NAT_BACK), &whole));
        }
    }
    let attack = &pieces(&long(tcp(Family::V4, PORT_L2_FRONT)), 8)[1];
    rows.push(row("V4: tcp flags in a second fragment").drops(attack, Outcome::Malformed));
    rows
}
