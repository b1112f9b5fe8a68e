//! Sources that no packet may have, and packets that may go no further.

use std::net::IpAddr;

use lb_common::outcome::Outcome;

use crate::{
    family::{Family, tcp, udp},
    member::{PORT_L2_FRONT, PORT_NAT_BACK},
    row::{Row, row},
};

const V4_SOURCES: [&str; 7] = [
    "0.0.0.0",
    "0.1.2.3",
    "127.0.0.1",
    "127.255.255.255",
    "224.0.0.1",
    "239.255.255.255",
    "255.255.255.255",
];

const V6_SOURCES: [&str; 4] = ["::", "::1", "ff02::1", "ffff::1"];

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        let sources: &[&str] = match family {
            Family::V4 => &V4_SOURCES,
            Family::V6 => &V6_SOURCES,
        };
        let sources = sources
            .iter()
            .map(|text| text.parse::<IpAddr>().expect("an address"));
        for source in sources.chain([family.vip()]) {
            let packet = tcp(family, PORT_L2_FRONT).from((source, 40_000).into());
            rows.push(
                row(format!("{family:?}: tcp from {source}")).drops(&packet, Outcome::BadSource),
            );
        }
        let packet = udp(family, PORT_NAT_BACK).from((family.vip(), PORT_NAT_BACK).into());
        rows.push(
            row(format!("{family:?}: a datagram of the vip to itself"))
                .drops(&packet, Outcome::BadSource),
        );
        for ttl in [0, 1] {
            let l2 = tcp(family, PORT_L2_FRONT).ttl(ttl);
            let nat = udp(family, PORT_NAT_BACK).ttl(ttl);
            rows.extend([
                row(format!("{family:?}: hop limit {ttl}, l2")).drops(&l2, Outcome::TtlExceeded),
                row(format!("{family:?}: hop limit {ttl}, nat")).drops(&nat, Outcome::TtlExceeded),
            ]);
        }
    }
    rows
}
