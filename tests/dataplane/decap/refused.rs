//! What is passed untouched, and what is dropped.

use std::net::IpAddr;

use lb_common::decap::DecapOutcome;
use lb_tests::packet::{Extension, Packet, Transport};

use super::{
    Case,
    tunnel::{Kind, balancer, combinations, datagram, gue, host, number, tunnel},
};
use crate::{
    family::{Family, tcp, udp},
    rows::patched,
};

/// A tunnel as it should be.
fn whole(kind: Kind, outer: Family, inner: Family) -> Packet {
    tunnel(outer, kind, inner, &datagram(&udp(inner, 80)))
}

fn case(name: String, packet: &Packet, outcome: DecapOutcome) -> Case {
    Case::new(name, packet.frame(), outcome)
}

/// The same packet between other addresses.
fn between(mut packet: Packet, source: IpAddr, destination: IpAddr) -> Packet {
    packet.source.set_ip(source);
    packet.destination.set_ip(destination);
    packet
}

pub(super) fn untouched() -> Vec<Case> {
    let mut cases = not_tunnelled();
    for (kind, outer, inner) in combinations() {
        let of = format!("{kind:?}: {inner:?} in {outer:?}");
        let packet = whole(kind, outer, inner);
        cases.push(case(
            format!("{of}, to somebody else"),
            &between(packet.clone(), balancer(outer), outer.elsewhere()),
            DecapOutcome::NotForUs,
        ));
        cases.push(case(
            format!("{of}, from somebody else to somebody else"),
            &between(packet.clone(), outer.client(), outer.elsewhere()),
            DecapOutcome::NotForUs,
        ));
        for stranger in strangers(outer) {
            cases.push(case(
                format!("{of}, from {stranger}"),
                &between(packet.clone(), stranger, host(outer)),
                DecapOutcome::SourceNotAllowed,
            ));
        }
        let [before, behind] = inner.around_prefix();
        for address in [inner.elsewhere(), before, behind] {
            let inside = udp(inner, 80).to((address, 80).into());
            cases.push(case(
                format!("{of}, for {address} inside, which is no VIP"),
                &tunnel(outer, kind, inner, &datagram(&inside)),
                DecapOutcome::NotAVip,
            ));
        }
        for (what, offset, more) in [("first", 0, true), ("middle", 5, true), ("last", 9, false)] {
            let fragment = match outer {
                Family::V4 => packet.clone().fragment(offset, more),
                Family::V6 => packet
                    .clone()
                    .extension(Extension::Fragment { offset, more }),
            };
            cases.push(case(
                format!("{of}, {what} fragment"),
                &fragment,
                DecapOutcome::Fragment,
            ));
            cases.push(case(
                format!("{of}, {what} fragment of a stranger"),
                &between(fragment, outer.client(), host(outer)),
                DecapOutcome::NotTunnelled,
            ));
        }
    }
    cases
}

/// Addresses next to what is allowed.
fn strangers(family: Family) -> Vec<IpAddr> {
    let texts: &[&str] = match family {
        Family::V4 => &[
            "10.8.255.255",
            "10.9.1.0",
            "10.9.3.127",
            "10.9.4.0",
            "0.0.0.0",
        ],
        Family::V6 => &["fd08::5", "fd09:0:0:1::", "fd09:3::6", "fd09:3::8", "::"],
    };
    let parse = |text: &&str| text.parse().expect("an address");
    texts.iter().map(parse).collect()
}

fn not_tunnelled() -> Vec<Case> {
    const NOT: DecapOutcome = DecapOutcome::NotTunnelled;
    let mut cases = Vec::new();
    let mut arp = vec![0xff; 12];
    arp.extend([0x08, 0x06]);
    arp.extend([0; 28]);
    cases.push(Case::new("arp", arp, NOT));
    for outer in Family::BOTH {
        cases.push(case(
            format!("{outer:?}: tcp to a VIP"),
            &tcp(outer, 80),
            NOT,
        ));
        cases.push(case(
            format!("{outer:?}: udp to a VIP"),
            &udp(outer, 80),
            NOT,
        ));
        let inside = datagram(&udp(outer, 80));
        let mut packet = gue(outer, inside.clone());
        packet.destination.set_port(6_081);
        cases.push(case(
            format!("{outer:?}: udp to another port"),
            &packet,
            NOT,
        ));
        let mut packet = gue(outer, inside.clone());
        packet.source.set_port(6_080);
        packet.destination.set_port(80);
        cases.push(case(format!("{outer:?}: udp from the port"), &packet, NOT));
        let mut packet = gue(outer, inside.clone());
        packet.transport = Transport::Tcp(lb_tests::packet::Flags::SYN);
        cases.push(case(format!("{outer:?}: tcp to the port"), &packet, NOT));
        for protocol in [1, 47, 50, 58, 137] {
            let packet = Packet::raw(balancer(outer), host(outer), protocol, inside.clone());
            cases.push(case(
                format!("{outer:?}: protocol {protocol}"),
                &packet,
                NOT,
            ));
        }
        for (what, header) in [
            ("control", [0x20, number(outer), 0, 0]),
            ("flags", [0, number(outer), 0x80, 0]),
            ("flags, low", [0, number(outer), 0, 1]),
            ("tcp inside", [0, 6, 0, 0]),
            ("no next header", [0, 59, 0, 0]),
            ("variant 1, version 5", [0x50, number(outer), 0, 0]),
            ("variant 1, version 7", [0x70, number(outer), 0, 0]),
            ("variant 2", [0x80, number(outer), 0, 0]),
            ("variant 3", [0xc0, number(outer), 0, 0]),
        ] {
            let mut bytes = header.to_vec();
            bytes.extend(&inside);
            cases.push(case(
                format!("{outer:?}: gue, {what}"),
                &gue(outer, bytes),
                NOT,
            ));
        }
        let mut frame = whole(Kind::Ip, outer, outer).frame();
        frame[0] |= 1;
        cases.push(Case::new(
            format!("{outer:?}: to a group of hosts"),
            frame,
            NOT,
        ));
        let frame = whole(Kind::Ip, outer, outer).frame();
        cases.push(Case::new(
            format!("{outer:?}: outer version wrong"),
            patched(frame, 14, &[0x55]),
            NOT,
        ));
    }
    cases
}

pub(super) fn malformed() -> Vec<Case> {
    const BAD: DecapOutcome = DecapOutcome::Malformed;
    let mut cases = Vec::new();
    for (kind, outer, inner) in combinations() {
        let of = format!("{kind:?}: {inner:?} in {outer:?}");
        let packet = whole(kind, outer, inner);
        let layers = packet.layers();
        let inside = layers.transport + kind.header_len();
        let frame = packet.frame();
        let mut add = |what: &str, offset: usize, bytes: &[u8]| {
            let frame = patched(frame.clone(), offset, bytes);
            cases.push(Case::new(format!("{of}, {what}"), frame, BAD));
        };
        // For variant 1 the version is what tells that it is IP.
        if kind != Kind::Gue1 {
            add("version 0 inside", inside, &[0x05]);
            add("version 15 inside", inside, &[0xf5]);
            let other = number(inner.other()) == 4;
            add(
                "the other version inside",
                inside,
                &[if other { 0x45 } else { 0x60 }],
            );
        }
        let length_at = match inner {
            Family::V4 => 2,
            Family::V6 => 4,
        };
        add("longest length inside", inside + length_at, &[0xff, 0xff]);
        let length = u16::try_from(frame.len() - inside).expect("a short packet");
        let one_more = match inner {
            Family::V4 => length + 1,
            Family::V6 => length + 1 - 40,
        };
        add(
            "one byte too few inside",
            inside + length_at,
            &one_more.to_be_bytes(),
        );
        if inner == Family::V4 {
            add("header length 0 inside", inside, &[0x40]);
            add("header length 4 inside", inside, &[0x44]);
            add("length below the header's inside", inside + 2, &[0, 19]);
            add("options beyond the length inside", inside, &[0x4f]);
        }
        if kind != Kind::Ip {
            add("udp length 0", layers.transport + 4, &[0, 0]);
            add("udp length 7", layers.transport + 4, &[0, 7]);
            add("udp length 11", layers.transport + 4, &[0, 11]);
            add("udp length beyond ip", layers.transport + 4, &[0xff, 0xff]);
        }
        if let Kind::Gue0(words) = kind
            && words < 31
        {
            add("gue header beyond the packet", layers.transport + 8, &[31]);
        }
    }
    for outer in Family::BOTH {
        // A frame longer than its IP packet: what is beyond does not count.
        let packet = whole(Kind::Ip, outer, outer);
        let (offset, length) = match outer {
            Family::V4 => (16, [0, 40]),
            Family::V6 => (18, [0, 20]),
        };
        let frame = patched(packet.frame(), offset, &length);
        cases.push(Case::new(
            format!("{outer:?}: outer length ends inside the packet inside"),
            frame,
            BAD,
        ));
        let frame = patched(packet.frame(), offset, &[0xff, 0xff]);
        cases.push(Case::new(
            format!("{outer:?}: outer length beyond the frame"),
            frame,
            BAD,
        ));
    }
    cases
}

/// With another port, and tunnels that may end anywhere.
pub(super) fn other_settings() -> Vec<Case> {
    let mut cases = Vec::new();
    for outer in Family::BOTH {
        let inside = udp(outer, 80);
        let elsewhere = between(
            whole(Kind::Ip, outer, outer),
            balancer(outer),
            outer.elsewhere(),
        );
        let mut stripped = case(
            format!("{outer:?}: to any address"),
            &elsewhere,
            DecapOutcome::Stripped,
        );
        stripped.out = Some(inside.frame());
        cases.push(stripped);
        cases.push(case(
            format!("{outer:?}: to any address, from a stranger"),
            &between(elsewhere, outer.client(), outer.elsewhere()),
            DecapOutcome::SourceNotAllowed,
        ));
        let mut packet = gue(outer, datagram(&inside));
        cases.push(case(
            format!("{outer:?}: the default port is not the port"),
            &packet,
            DecapOutcome::NotTunnelled,
        ));
        packet.destination.set_port(5_555);
        let mut stripped = case(
            format!("{outer:?}: another port"),
            &packet,
            DecapOutcome::Stripped,
        );
        stripped.out = Some(inside.frame());
        cases.push(stripped);
    }
    cases
}
