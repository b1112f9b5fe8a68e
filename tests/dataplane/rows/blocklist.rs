//! Sources on the blocklist: nothing that they send to a VIP address goes on or up.

use std::net::IpAddr;

use lb_common::outcome::Outcome;
use lb_tests::{
    object::Action,
    packet::{CUSTOMER_TAG, Flags, PROVIDER_TAG, Packet},
};

use super::{cut, echo, fragment::pieces, icmp_error, patched, reply::seen_by_client};
use crate::{
    family::{Family, client, tcp, udp},
    member::{
        L2_FRONT, LOCAL, NAT_BACK, PORT_EMPTY, PORT_L2_FRONT, PORT_LOCAL, PORT_NAT_BACK,
        PORT_TUNNELS, PORT_UNMATCHED, Side, of,
    },
    row::{Row, row},
    world::World,
};

fn block(world: &mut World, address: fn(Family) -> IpAddr, length: fn(Family) -> u8) {
    for family in Family::BOTH {
        world.object.block((address(family), length(family)));
    }
}

/// All bits of an address.
const fn whole(family: Family) -> u8 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}

pub(super) fn block_client(world: &mut World) {
    block(world, Family::client, whole);
}

/// A world in which the client is blocked.
fn blocked(name: String) -> Row {
    row(name).then(block_client)
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        rows.extend(packets(family));
        rows.extend(others(family));
        rows.extend(lengths(family));
        rows.extend(changes(family));
        rows.extend(icmp(family));
    }
    rows
}

/// What a blocked client may send to a VIP address.
fn packets(family: Family) -> Vec<Row> {
    let ports = [
        ("l2", PORT_L2_FRONT),
        ("nat", PORT_NAT_BACK),
        ("a tunnel", PORT_TUNNELS),
        ("this host", PORT_LOCAL),
        ("no backend", PORT_EMPTY),
        ("no service", PORT_UNMATCHED),
    ];
    let mut rows = Vec::new();
    for (to, port) in ports {
        for (protocol, packet) in [("tcp", tcp(family, port)), ("udp", udp(family, port))] {
            rows.push(
                blocked(format!(
                    "{family:?}: {protocol} of a blocked client to {to}"
                ))
                .drops(&packet, Outcome::Blocked)
                .remembers(0, 0),
            );
        }
    }
    let plain = tcp(family, PORT_L2_FRONT);
    let any_port = Packet::udp(client(family), (family.any_port_vip(), 7).into());
    let in_prefix = |port| plain.clone().to((family.in_prefix(3), port).into());
    let version = plain.layers().ip;
    let fragments = udp(family, PORT_L2_FRONT).payload([7; 200]);
    let fragments = pieces(&fragments, 64).into_iter().fold(
        blocked(format!("{family:?}: fragments of a blocked client")),
        |row, piece| row.drops(&piece, Outcome::Blocked),
    );
    rows.extend([
        fragments,
        blocked(format!(
            "{family:?}: a blocked client to a vip of every port"
        ))
        .drops(&any_port, Outcome::Blocked),
        blocked(format!(
            "{family:?}: a blocked client to a vip that is a prefix"
        ))
        .drops(&in_prefix(PORT_L2_FRONT), Outcome::Blocked)
        .drops(&in_prefix(PORT_UNMATCHED), Outcome::Blocked),
        blocked(format!("{family:?}: a blocked client behind two tags")).drops(
            &plain.clone().tag(PROVIDER_TAG, 5).tag(CUSTOMER_TAG, 7),
            Outcome::Blocked,
        ),
        blocked(format!("{family:?}: a blocked client's last hop"))
            .drops(&plain.clone().ttl(1), Outcome::Blocked),
        blocked(format!("{family:?}: a blocked client's reset"))
            .drops(&plain.clone().flags(Flags::RST), Outcome::Blocked),
        blocked(format!("{family:?}: another protocol of a blocked client")).drops(
            &Packet::raw(family.client(), family.vip(), 47, vec![0; 8]),
            Outcome::Blocked,
        ),
        blocked(format!(
            "{family:?}: a blocked client's frame that ends early"
        ))
        .drops(
            &cut(plain.frame(), plain.layers().transport + 4),
            Outcome::Blocked,
        ),
        blocked(format!("{family:?}: a blocked client's malformed header"))
            .drops(&patched(plain.frame(), version, &[0]), Outcome::Blocked),
    ]);
    rows
}

/// What the blocklist does not say anything about.
fn others(family: Family) -> Vec<Row> {
    let plain = tcp(family, PORT_L2_FRONT);
    let neighbour = plain.clone().from((family.unresolved(), 40_000).into());
    let elsewhere = Packet::tcp(client(family), (family.elsewhere(), 80).into());
    let request = udp(family, PORT_NAT_BACK);
    let backend = of(family, NAT_BACK);
    let reply = backend.replies_to(&request);
    let to_client = seen_by_client(&reply, &request);
    vec![
        blocked(format!("{family:?}: a blocked client's neighbour"))
            .transmits(&neighbour, &L2_FRONT.receives(&neighbour)),
        blocked(format!("{family:?}: a blocked client to somebody else"))
            .passes(&elsewhere, Outcome::NotVip),
        row(format!("{family:?}: all of the other ip version blocked"))
            .then(match family {
                Family::V4 => |world| world.object.block((Family::V6.client(), 0)),
                Family::V6 => |world| world.object.block((Family::V4.client(), 0)),
            })
            .transmits(&plain, &L2_FRONT.receives(&plain)),
        // What a backend sends was asked for before.
        row(format!("{family:?}: a reply to a client blocked since"))
            .redirects(&request, &backend.receives(&request))
            .then(block_client)
            .answers(
                Side::Back,
                &reply,
                Outcome::Replied,
                Action::Redirect,
                Some(&to_client),
            ),
        blocked(format!("{family:?}: nobody may have the vip as source")).drops(
            &plain.clone().from((family.vip(), 40_000).into()),
            Outcome::BadSource,
        ),
        row(format!("{family:?}: an impossible source that is blocked"))
            .then(|world| block(world, Family::vip, whole))
            .drops(&plain.from((family.vip(), 40_000).into()), Outcome::Blocked),
        row(format!("{family:?}: a blocked client to this host"))
            .then(|world| world.put(LOCAL, 1, 0))
            .then(block_client)
            .drops(&udp(family, PORT_LOCAL), Outcome::Blocked),
    ]
}

/// Prefixes that cover the client, and those that end one bit before it.
fn lengths(family: Family) -> Vec<Row> {
    /// Blocks the client's prefix of this length, with all other bits as they are.
    macro_rules! length {
        ($v4:literal, $v6:literal) => {
            |world: &mut World| {
                block(world, Family::client, |family| match family {
                    Family::V4 => $v4,
                    Family::V6 => $v6,
                });
            }
        };
    }
    let plain = tcp(family, PORT_L2_FRONT);
    // The client's address ends in 7: 8 differs from it in the last 4 bits, 9 too, and 6 in the last one.
    let near = |host: u8| {
        let source = match family.client() {
            IpAddr::V4(it) => {
                let [a, b, c, _] = it.octets();
                IpAddr::from([a, b, c, host])
            }
            IpAddr::V6(it) => {
                let mut bytes = it.octets();
                bytes[15] = host;
                IpAddr::from(bytes)
            }
        };
        plain.clone().from((source, 40_000).into())
    };
    let goes_on = |row: Row, packet: &Packet| row.transmits(packet, &L2_FRONT.receives(packet));
    vec![
        row(format!("{family:?}: everybody blocked"))
            .then(length!(0, 0))
            .drops(&plain, Outcome::Blocked)
            .drops(&near(200), Outcome::Blocked),
        row(format!("{family:?}: the first bit blocked"))
            .then(length!(1, 1))
            .drops(&plain, Outcome::Blocked),
        row(format!("{family:?}: a network blocked"))
            .then(length!(24, 64))
            .drops(&plain, Outcome::Blocked)
            .drops(&near(200), Outcome::Blocked),
        goes_on(
            row(format!("{family:?}: a prefix that ends within a byte"))
                .then(length!(29, 125))
                .drops(&near(0), Outcome::Blocked)
                .drops(&near(7), Outcome::Blocked),
            &near(8),
        ),
        goes_on(
            row(format!("{family:?}: a prefix of two addresses"))
                .then(length!(31, 127))
                .drops(&near(6), Outcome::Blocked)
                .drops(&near(7), Outcome::Blocked),
            &near(5),
        ),
        goes_on(
            row(format!("{family:?}: a blocked prefix in a prefix"))
                .then(length!(32, 128))
                .then(length!(29, 125))
                .drops(&near(7), Outcome::Blocked)
                .drops(&near(1), Outcome::Blocked),
            &near(9),
        ),
    ]
}

/// The blocklist counts from the next packet on.
fn changes(family: Family) -> Vec<Row> {
    let packet = udp(family, PORT_L2_FRONT);
    let forwarded = L2_FRONT.receives(&packet);
    vec![
        row(format!("{family:?}: a known flow, blocked and unblocked"))
            .transmits(&packet, &forwarded)
            .remembers(1, 0)
            .then(block_client)
            .drops(&packet, Outcome::Blocked)
            .then(|world| world.object.unblock_all())
            .transmits(&packet, &forwarded)
            .remembers(1, 0),
    ]
}

fn icmp(family: Family) -> Vec<Row> {
    let kind = match family {
        Family::V4 => 8,
        Family::V6 => 128,
    };
    let request = echo::message(family, kind, 0, [0x12, 0x34, 0, 9], b"ping");
    let other = echo::message(family, kind + 5, 0, [0; 4], &[]);
    let (router, answer) = (
        family.router(),
        icmp_error::answer(&udp(family, PORT_L2_FRONT)),
    );
    let error = |from| icmp_error::error(from, &answer, icmp_error::LEAST);
    let steered = icmp_error::steered(L2_FRONT, &answer, |quoted| {
        icmp_error::error(router, quoted, icmp_error::LEAST)
    });
    vec![
        blocked(format!("{family:?}: a blocked client's echo request"))
            .drops(&request, Outcome::Blocked),
        echo::echoed(
            row(format!("{family:?}: an echo request past the blocklist"))
                .then(|world| block(world, Family::router, whole)),
            family,
            &request,
        ),
        blocked(format!(
            "{family:?}: icmp of a blocked client that is not for us"
        ))
        .drops(&other, Outcome::Blocked),
        blocked(format!("{family:?}: an error of a blocked client"))
            .drops(&error(family.client()), Outcome::Blocked),
        // The outer source sends it: what it quotes is somebody else's.
        blocked(format!(
            "{family:?}: a router's error about a blocked client"
        ))
        .transmits(&error(router), &steered),
        row(format!(
            "{family:?}: a blocked router's error about a client"
        ))
        .then(|world| block(world, Family::router, whole))
        .drops(&error(router), Outcome::Blocked),
    ]
}
