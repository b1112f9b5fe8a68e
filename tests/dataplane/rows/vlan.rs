//! 802.1Q, 802.1ad, two tags: kept out of the same interface, gone out of another one, pushed or replaced where the
//! egress asks for one.

use lb_common::{backend::Mode, outcome::Outcome, vlan::Vlan};
use lb_tests::{
    object::Action,
    packet::{CUSTOMER_TAG, PROVIDER_TAG, Packet},
};

use super::tunnel;
use crate::{
    family::{Family, tcp, udp},
    member::{
        CLIENT_MAC, FRONT_MAC, L2_BACK, L2_FRONT, NAT_BACK, NAT_FRONT, PORT_L2_BACK, PORT_L2_FRONT,
        PORT_NAT_BACK, PORT_NAT_FRONT, PORT_TAGGED, PORT_UNMATCHED, SIDE_MAC, Side, TAGGED, of,
        tag,
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
    for family in Family::BOTH {
        rows.extend(asked_for(family));
        rows.extend(not_asked_for(family));
        rows.extend(replies(family));
    }
    rows
}

/// Without a tag, and each of [`TAGS`].
fn every_tag() -> impl Iterator<Item = (&'static str, Tagged)> {
    let untagged: Tagged = |packet| packet;
    [("untagged", untagged)].into_iter().chain(TAGS)
}

/// Pushed, changed, or the outer one replaced and the inner one gone; the priority stays.
fn asked_for(family: Family) -> Vec<Row> {
    let mut rows = Vec::new();
    for (port, member) in (PORT_TAGGED..).zip(TAGGED) {
        if member.mode == Mode::NAT && member.family != family {
            continue;
        }
        for (name, tagged) in every_tag() {
            let name = format!("{family:?}: {name}, to {member:?}");
            let packet = tagged(udp(family, port)).priority(5);
            let out = member.receives(&packet);
            rows.push(match (member.mode, member.side) {
                (Mode::IPIP | Mode::GUE, _) => tunnel::leaves(row(name), member, &packet),
                (_, Side::Front) => row(name).transmits(&packet, &out),
                (_, Side::Back) => row(name).redirects(&packet, &out),
                (_, Side::Aside | Side::Probes) => row(name).drops(&packet, Outcome::NoDevice),
            });
        }
        if member.side != Side::Aside && !matches!(member.mode, Mode::IPIP | Mode::GUE) {
            let short = tcp(family, port).payload([]).padding(6);
            let name = format!("{family:?}: a padded frame, to {member:?}");
            let out = member.receives(&short);
            rows.push(if member.side == Side::Front {
                row(name).transmits(&short, &out)
            } else {
                row(name).redirects(&short, &out)
            });
        }
    }
    rows
}

/// Where the interface carries VLAN devices, what leaves by itself is in no VLAN.
fn not_asked_for(family: Family) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, tagged) in every_tag() {
        let packet = tagged(tcp(family, PORT_L2_FRONT)).priority(7);
        let mut out = L2_FRONT.receives(&packet);
        out.tags.clear();
        let name = format!("{family:?}: {name}, out of the same interface, which carries VLANs");
        rows.push(
            row(name)
                .then(|world| world.put_vlan(Side::Front, Side::Front, Vlan::NONE))
                .transmits(&packet, &out),
        );
    }
    rows
}

/// The kernel's routes name the VLAN device that a client is behind.
fn replies(family: Family) -> Vec<Row> {
    let backend = of(family, NAT_BACK);
    let request = tcp(family, PORT_NAT_BACK).from((family.behind_side(), 40_000).into());
    let (customer, provider) = (Vlan::new(100, false), Vlan::new(200, true));
    let mut rows = Vec::new();
    for (name, tagged) in every_tag() {
        let reply = tagged(backend.replies_to(&request)).priority(3);
        let seen = |vlan| {
            let mut out = reply.clone().from(request.destination);
            out.tags = vec![tag(vlan, &reply)];
            out.macs(SIDE_MAC, CLIENT_MAC).ttl(reply.ttl - 1)
        };
        let answered = |row: Row, action, vlan| {
            let out = seen(vlan);
            row.redirects(&request, &backend.receives(&request))
                .answers(Side::Back, &reply, Outcome::Replied, action, Some(&out))
        };
        let name = format!("{family:?}: a reply, {name}, to a client behind a VLAN device");
        let by_front = row(format!("{name} on another interface"))
            .then(|world| world.put_vlan(Side::Aside, Side::Front, Vlan::new(100, false)));
        let by_back = row(format!("{name} on the same interface"))
            .then(|world| world.put_vlan(Side::Aside, Side::Back, Vlan::new(200, true)));
        rows.extend([
            answered(by_front, Action::Redirect, customer),
            answered(by_back, Action::Transmit, provider),
            row(format!("{name} on an interface that is not allowed"))
                .then(|world| world.put_vlan(Side::Aside, Side::Aside, Vlan::new(100, false)))
                .redirects(&request, &backend.receives(&request))
                .answers(Side::Back, &reply, Outcome::NoDevice, Action::Drop, None),
        ]);
    }
    let near = of(family, NAT_FRONT);
    let hairpin = tcp(family, PORT_NAT_FRONT);
    let reply = near.replies_to(&hairpin).tag(CUSTOMER_TAG, 9);
    let mut out = reply.clone().from(hairpin.destination);
    out.tags.clear();
    let out = out.macs(FRONT_MAC, CLIENT_MAC).ttl(reply.ttl - 1);
    rows.push(
        row(format!(
            "{family:?}: a tagged reply to an untagged client of an interface that carries VLANs"
        ))
        .then(|world| world.put_vlan(Side::Front, Side::Front, Vlan::NONE))
        .transmits(&hairpin, &near.receives(&hairpin))
        .answers(
            Side::Front,
            &reply,
            Outcome::Replied,
            Action::Transmit,
            Some(&out),
        ),
    );
    rows
}
