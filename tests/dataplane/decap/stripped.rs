//! Tunnels that are taken off.

use lb_common::decap::DecapOutcome;
use lb_tests::packet::{
    CUSTOMER_TAG, Extension, NO_OPERATIONS, PROVIDER_TAG, Packet, ROUTER_ALERT,
};

use super::{
    Case,
    tunnel::{BALANCERS, Kind, combinations as kinds, datagram, tunnel},
};
use crate::family::{Family, tcp, udp};

/// `outer` must become `inside`, behind the same Ethernet header and tags.
fn case(name: String, outer: &Packet, inside: &Packet) -> Case {
    let mut out = inside.clone();
    out.tags.clone_from(&outer.tags);
    out.source_mac = outer.source_mac;
    out.destination_mac = outer.destination_mac;
    out.padding = outer.padding;
    Case {
        name,
        frame: outer.frame(),
        outcome: DecapOutcome::Stripped,
        out: Some(out.frame()),
    }
}

pub(super) fn combinations() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, outer, inner) in kinds() {
        for (what, inside) in [
            ("tcp", tcp(inner, 80)),
            ("udp", udp(inner, 80)),
            ("udp, full size", udp(inner, 80).payload(vec![0x5a; 1_200])),
            (
                "tcp to the last address of a prefix",
                tcp(inner, 80).to((inner.last_in_prefix(), 80).into()),
            ),
        ] {
            let packet = tunnel(outer, kind, inner, &datagram(&inside));
            let name = format!("{kind:?}: {what} over {inner:?} in {outer:?}");
            cases.push(case(name, &packet, &inside));
        }
    }
    cases
}

pub(super) fn tagged() -> Vec<Case> {
    type Tagged = fn(Packet) -> Packet;
    let tags: [(&str, Tagged); 5] = [
        ("802.1q", |packet| packet.tag(CUSTOMER_TAG, 7)),
        ("802.1q, priority only", |packet| {
            packet.tag(CUSTOMER_TAG, 0)
        }),
        ("802.1ad", |packet| packet.tag(PROVIDER_TAG, 4_094)),
        ("802.1ad over 802.1q", |packet| {
            packet.tag(PROVIDER_TAG, 5).tag(CUSTOMER_TAG, 7)
        }),
        ("802.1q twice", |packet| {
            packet.tag(CUSTOMER_TAG, 5).tag(CUSTOMER_TAG, 7)
        }),
    ];
    let mut cases = Vec::new();
    for (kind, outer, inner) in kinds() {
        for (what, tagged) in tags {
            let inside = udp(inner, 80);
            let packet = tagged(tunnel(outer, kind, inner, &datagram(&inside)));
            let name = format!("{kind:?}: {inner:?} in {outer:?}, {what}");
            cases.push(case(name, &packet, &inside));
        }
    }
    cases
}

pub(super) fn headers() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, outer, inner) in kinds() {
        let inside = udp(inner, 80);
        let plain = tunnel(outer, kind, inner, &datagram(&inside));
        let of = format!("{kind:?}: {inner:?} in {outer:?}");
        cases.push(case(
            format!("{of}, padding after it"),
            &plain.clone().padding(9),
            &inside,
        ));
        cases.push(case(
            format!("{of}, used-up outer hop limit"),
            &plain.clone().ttl(1),
            &inside,
        ));
        for (what, packet) in outer_forms(outer, &plain) {
            cases.push(case(format!("{of}, outer {what}"), &packet, &inside));
        }
        for (what, inside) in inner_forms(inner) {
            let packet = tunnel(outer, kind, inner, &datagram(&inside));
            cases.push(case(format!("{of}, inner {what}"), &packet, &inside));
        }
        let mut longer = datagram(&inside);
        longer.extend([0xdd; 5]);
        let packet = tunnel(outer, kind, inner, &longer);
        let mut stripped = case(
            format!("{of}, bytes after the packet inside"),
            &packet,
            &inside,
        );
        stripped.out = Some({
            let mut out = inside.frame();
            out.extend([0xdd; 5]);
            out
        });
        cases.push(stripped);
    }
    for (address, bits) in BALANCERS {
        let family = if address.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        };
        let inside = udp(family, 80);
        let packet = tunnel(family, Kind::Ip, family, &datagram(&inside));
        let packet = packet.from((address, 0).into());
        cases.push(case(format!("from {address}/{bits}"), &packet, &inside));
    }
    cases
}

fn outer_forms(outer: Family, plain: &Packet) -> Vec<(&'static str, Packet)> {
    match outer {
        Family::V4 => vec![
            ("router alert", plain.clone().options(&ROUTER_ALERT)),
            ("options of 40 bytes", plain.clone().options(&[1; 40])),
        ],
        Family::V6 => vec![
            (
                "destination options",
                plain
                    .clone()
                    .extension(Extension::DestinationOptions { length: 0 }),
            ),
            (
                "hop-by-hop and routing header",
                plain
                    .clone()
                    .extension(Extension::HopByHop { length: 2 })
                    .extension(Extension::Routing),
            ),
            (
                "atomic fragment",
                plain.clone().extension(Extension::ATOMIC),
            ),
        ],
    }
}

fn inner_forms(inner: Family) -> Vec<(&'static str, Packet)> {
    let plain = udp(inner, 80);
    match inner {
        Family::V4 => vec![
            ("options", plain.clone().options(&NO_OPERATIONS)),
            ("fragment", plain.fragment(3, true)),
        ],
        Family::V6 => vec![
            (
                "destination options",
                plain
                    .clone()
                    .extension(Extension::DestinationOptions { length: 1 }),
            ),
            (
                "fragment",
                plain.extension(Extension::Fragment {
                    offset: 3,
                    more: true,
                }),
            ),
        ],
    }
}
