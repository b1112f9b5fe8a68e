//! Packets that are for nobody we know.

use lb_common::outcome::Outcome;
use lb_tests::packet::{Extension, Packet, ROUTER_ALERT};

use super::{cut, patched};
use crate::{
    family::{Family, client},
    row::{Row, row},
};

fn to_elsewhere(family: Family) -> Packet {
    Packet::tcp(client(family), (family.elsewhere(), 80).into())
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        let tcp = to_elsewhere(family);
        let udp = Packet::udp(client(family), tcp.destination);
        let layers = tcp.layers();
        let raw =
            |protocol| Packet::raw(family.client(), family.elsewhere(), protocol, vec![0; 24]);
        let mut row = |name: &str, frame: Vec<u8>| {
            let name = format!("{family:?}: not for a vip: {name}");
            rows.push(row(name).passes(&frame, Outcome::NotVip));
        };
        row("tcp", tcp.frame());
        row("udp", udp.frame());
        row("icmp", raw(1).frame());
        row("icmpv6", raw(58).frame());
        row("sctp", Packet::sctp(tcp.source, tcp.destination).frame());
        row("sctp without a chunk", raw(132).frame());
        row("hop limit 1", tcp.clone().ttl(1).frame());
        row(
            "impossible source",
            tcp.clone().from((family.elsewhere(), 1).into()).frame(),
        );
        row("bad version", patched(tcp.frame(), layers.ip, &[0x15]));
        row(
            "cut inside the transport header",
            cut(tcp.frame(), layers.transport + 3),
        );
        row(
            "cut after the ip header",
            cut(tcp.frame(), layers.transport),
        );
        row("padded", tcp.clone().padding(6).frame());
    }
    let v4 = to_elsewhere(Family::V4);
    let v6 = to_elsewhere(Family::V6);
    let ip = v4.layers().ip;
    let more = [
        (
            "V4: not for a vip: first fragment",
            v4.clone().fragment(0, true).frame(),
        ),
        (
            "V4: not for a vip: later fragment",
            v4.clone().fragment(8, false).frame(),
        ),
        (
            "V4: not for a vip: options",
            v4.clone().options(&ROUTER_ALERT).frame(),
        ),
        (
            "V4: not for a vip: igmp with router alert",
            Packet::raw(
                Family::V4.client(),
                Family::V4.elsewhere(),
                2,
                vec![0x16, 0, 0, 0, 224, 0, 0, 251],
            )
            .options(&ROUTER_ALERT)
            .ttl(1)
            .frame(),
        ),
        (
            "V4: not for a vip: header length 4",
            patched(v4.frame(), ip, &[0x44]),
        ),
        (
            "V4: not for a vip: total length 10",
            patched(v4.frame(), ip + 2, &[0, 10]),
        ),
        (
            "V6: not for a vip: fragment",
            v6.clone()
                .extension(Extension::Fragment {
                    offset: 0,
                    more: true,
                })
                .frame(),
        ),
        (
            "V6: not for a vip: atomic fragment",
            v6.clone().extension(Extension::ATOMIC).frame(),
        ),
        (
            "V6: not for a vip: twenty extension headers",
            (0..20)
                .fold(v6, |v6, _| {
                    v6.extension(Extension::DestinationOptions { length: 0 })
                })
                .frame(),
        ),
    ];
    rows.extend(more.map(|(name, frame)| row(name).passes(&frame, Outcome::NotVip)));
    rows
}
