//! 802.1Q, 802.1ad, two tags: kept out of the same interface, gone out of another one.

use lb_common::outcome::Outcome;
use lb_tests::packet::{CUSTOMER_TAG, PROVIDER_TAG, Packet};

use crate::{
    family::{Family, tcp, udp},
    member::{
        L2_BACK, L2_FRONT, NAT_BACK, NAT_FRONT, PORT_L2_BACK, PORT_L2_FRONT, PORT_NAT_BACK,
        PORT_NAT_FRONT, PORT_UNMATCHED, of,
    },
    row::{Row, row},
};

type Tagged = fn(Packet) -> Packet;

const TAGS: [(&str, Tagged); 5] = [
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

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        for (name, tagged) in TAGS {
            let l2_front = tagged(tcp(family, PORT_L2_FRONT));
            let nat_front = tagged(udp(family, PORT_NAT_FRONT));
            let l2_back = tagged(udp(family, PORT_L2_BACK));
            let nat_back = tagged(tcp(family, PORT_NAT_BACK));
            rows.extend([
                row(format!("{family:?}: {name}, l2, out of the same interface"))
                    .transmits(&l2_front, &L2_FRONT.receives(&l2_front)),
                row(format!(
                    "{family:?}: {name}, nat, out of the same interface"
                ))
                .transmits(&nat_front, &of(family, NAT_FRONT).receives(&nat_front)),
                row(format!("{family:?}: {name}, l2, out of another interface"))
                    .redirects(&l2_back, &L2_BACK.receives(&l2_back)),
                row(format!("{family:?}: {name}, nat, out of another interface"))
                    .redirects(&nat_back, &of(family, NAT_BACK).receives(&nat_back)),
                row(format!("{family:?}: {name}, to a free port"))
                    .passes(&tagged(tcp(family, PORT_UNMATCHED)), Outcome::Unmatched),
            ]);
        }
    }
    rows
}
