//! Frames that are no unicast IP.

use lb_common::outcome::Outcome;
use lb_tests::packet::{CUSTOMER_TAG, Mac, PROVIDER_TAG};

use super::{cut, echo, patched};
use crate::{
    family::{Family, tcp},
    member::{CLIENT_MAC, FRONT_MAC, L2_FRONT, PORT_L2_FRONT},
    row::{Row, row},
};

const ETHER_TYPE: usize = 12;

fn ether_type(value: u16) -> Vec<u8> {
    let frame = tcp(Family::V4, PORT_L2_FRONT).frame();
    patched(frame, ETHER_TYPE, &value.to_be_bytes())
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = vec![
        row("arp").passes(&ether_type(0x0806), Outcome::NotIp),
        row("lldp").passes(&ether_type(0x88cc), Outcome::NotIp),
        row("a length instead of an ethertype").passes(&ether_type(60), Outcome::NotIp),
        row("the outdated ethertype of double tags").passes(&ether_type(0x9100), Outcome::NotIp),
        row("an ethernet header alone").passes(&cut(ether_type(0x0800), 14), Outcome::NotIp),
        row("a frame that ends inside a vlan tag").passes(
            &cut(
                tcp(Family::V4, PORT_L2_FRONT).tag(CUSTOMER_TAG, 7).frame(),
                16,
            ),
            Outcome::NotIp,
        ),
        row("arp inside a vlan").passes(
            &patched(
                tcp(Family::V4, PORT_L2_FRONT).tag(CUSTOMER_TAG, 7).frame(),
                16,
                &[0x08, 0x06],
            ),
            Outcome::NotIp,
        ),
        row("three vlan tags").passes(
            &tcp(Family::V4, PORT_L2_FRONT)
                .tag(PROVIDER_TAG, 5)
                .tag(CUSTOMER_TAG, 6)
                .tag(CUSTOMER_TAG, 7),
            Outcome::NotIp,
        ),
    ];
    let groups: [(&str, Mac); 4] = [
        ("broadcast", [0xff; 6]),
        ("ipv4 multicast", [0x01, 0x00, 0x5e, 0, 0, 1]),
        ("ipv6 multicast", [0x33, 0x33, 0, 0, 0, 1]),
        ("locally administered group", [0x03, 0, 0, 0, 0, 1]),
    ];
    for family in Family::BOTH {
        for (name, mac) in groups {
            let packet = tcp(family, PORT_L2_FRONT).macs(CLIENT_MAC, mac);
            rows.push(
                row(format!("{family:?}: to the vip, by a {name} mac address"))
                    .passes(&packet, Outcome::GroupAddressed),
            );
            // Nobody is answered who asks all (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)).
            let name = format!("{family:?}: by a {name} mac address: nothing is answered");
            rows.push(
                row(name)
                    .then(|world| world.narrow(L2_FRONT, 600))
                    .passes(&packet.clone().ttl(1), Outcome::GroupAddressed)
                    .passes(&packet.payload([0; 1_000]), Outcome::GroupAddressed)
                    .passes(
                        &echo::request(family, b"who is there?").macs(CLIENT_MAC, mac),
                        Outcome::GroupAddressed,
                    ),
            );
        }
    }
    // Nothing is said of MAC addresses but their group bit: whoever sent the frame here knows why.
    let packet = tcp(Family::V4, 9_999).macs([0; 6], FRONT_MAC);
    rows.push(row("from no mac address at all").passes(&packet, Outcome::Unmatched));
    rows
}
