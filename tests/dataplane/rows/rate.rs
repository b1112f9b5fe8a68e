//! Services that limit how many packets each source may send.
//!
//! What a client may still send is put into its budget, so that no row depends on how fast it runs.

use std::net::IpAddr;

use lb_common::{budget::Budget, outcome::Outcome};
use lb_tests::{object::Action, packet::Packet};

use super::{echo, icmp_error, reply::seen_by_client};
use crate::{
    family::{Family, tcp, udp},
    member::{
        L2_FRONT, NAT_BACK, PORT_EMPTY, PORT_L2_FRONT, PORT_NAT_BACK, PORT_UNMATCHED, Side, of,
    },
    row::{Row, row},
    world::{SERVICE, World},
};

/// Long after every test.
const USED_UP: Budget = Budget {
    spent_until: u64::MAX / 2,
};
/// As good as the beginning of time, but not a full bucket's mark.
const LONG_AGO: Budget = Budget { spent_until: 1 };
const SECOND: u64 = 1_000_000_000;
const ONE_A_NANOSECOND: u32 = 1_000_000_000;

/// One packet in a second, but gathered for as long as the machine has been up.
fn one_a_second(world: &mut World) {
    world.limit(1, u32::MAX);
}

/// The bucket is full after a nanosecond, with one packet.
fn one_at_once(world: &mut World) {
    world.limit(ONE_A_NANOSECOND, 1);
}

/// What these two, one of each IP version, may still send to a service.
fn put(world: &mut World, service: u32, source: fn(Family) -> IpAddr, budget: Budget) {
    for family in Family::BOTH {
        world.object.put_budget(service, source(family), budget);
    }
}

/// What the client of one IP version may still send to the service.
fn put_one(world: &mut World, family: Family, budget: Budget) {
    world.object.put_budget(SERVICE, family.client(), budget);
}

/// The client has sent all that it may.
fn use_up(world: &mut World) {
    one_a_second(world);
    put(world, SERVICE, Family::client, USED_UP);
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        rows.extend(limited(family));
        rows.extend(unlimited(family));
        rows.extend(spent(family));
        rows.extend(errors(family));
    }
    rows
}

fn limited(family: Family) -> Vec<Row> {
    let packet = tcp(family, PORT_L2_FRONT);
    let neighbour = packet.clone().from((family.unresolved(), 40_000).into());
    let neighbours = row(format!(
        "{family:?}: a neighbour of one who has sent too much"
    ))
    .then(use_up);
    vec![
        row(format!("{family:?}: tcp beyond the limit"))
            .then(use_up)
            .drops(&packet, Outcome::RateLimited)
            .remembers(0, 0),
        row(format!("{family:?}: udp beyond the limit"))
            .then(use_up)
            .drops(&udp(family, PORT_NAT_BACK), Outcome::RateLimited)
            .remembers(0, 0),
        row(format!("{family:?}: beyond the limit, from another port"))
            .then(use_up)
            .drops(
                &packet.clone().from((family.client(), 1).into()),
                Outcome::RateLimited,
            ),
        row(format!(
            "{family:?}: beyond the limit of a service without backends"
        ))
        .then(use_up)
        .drops(&tcp(family, PORT_EMPTY), Outcome::RateLimited),
        row(format!("{family:?}: a known flow beyond the limit"))
            .transmits(&packet, &L2_FRONT.receives(&packet))
            .then(use_up)
            .drops(&packet, Outcome::RateLimited)
            .remembers(1, 0),
        match family {
            Family::V4 => neighbours.transmits(&neighbour, &L2_FRONT.receives(&neighbour)),
            // Of one /64.
            Family::V6 => neighbours.drops(&neighbour, Outcome::RateLimited),
        },
        row(format!(
            "{family:?}: one who is blocked does not use up a limit"
        ))
        .then(|world| {
            one_a_second(world);
            for family in Family::BOTH {
                world.object.block((family.client(), 8));
            }
        })
        .drops(&packet, Outcome::Blocked)
        .budgets("none", <[Budget]>::is_empty),
        row(format!(
            "{family:?}: an impossible source does not use up a limit"
        ))
        .then(one_a_second)
        .drops(
            &packet.from((family.vip(), 40_000).into()),
            Outcome::BadSource,
        )
        .budgets("none", <[Budget]>::is_empty),
    ]
}

/// What no limit is about.
fn unlimited(family: Family) -> Vec<Row> {
    let packet = tcp(family, PORT_L2_FRONT);
    let forwarded = L2_FRONT.receives(&packet);
    let kind = match family {
        Family::V4 => 8,
        Family::V6 => 128,
    };
    let ping = echo::message(family, kind, 0, [0x12, 0x34, 0, 9], b"ping");
    let request = udp(family, PORT_NAT_BACK);
    let backend = of(family, NAT_BACK);
    let reply = backend.replies_to(&request);
    let to_client = seen_by_client(&reply, &request);
    vec![
        row(format!("{family:?}: a service without a limit"))
            .then(use_up)
            .then(|world| world.limit(0, 0))
            .transmits(&packet, &forwarded),
        row(format!("{family:?}: beyond another service's limit"))
            .then(one_a_second)
            .then(|world| put(world, SERVICE + 1, Family::client, USED_UP))
            .transmits(&packet, &forwarded),
        row(format!(
            "{family:?}: beyond the limit on a port of no service"
        ))
        .then(use_up)
        .passes(&tcp(family, PORT_UNMATCHED), Outcome::Unmatched),
        echo::echoed(
            row(format!(
                "{family:?}: an echo request of one who has sent too much"
            ))
            .then(use_up),
            family,
            &ping,
        ),
        row(format!("{family:?}: a reply to one who has sent too much"))
            .redirects(&request, &backend.receives(&request))
            .then(use_up)
            .answers(
                Side::Back,
                &reply,
                Outcome::Replied,
                Action::Redirect,
                Some(&to_client),
            ),
    ]
}

/// What a packet takes from its source's budget.
fn spent(family: Family) -> Vec<Row> {
    let packet = tcp(family, PORT_L2_FRONT);
    let forwarded = L2_FRONT.receives(&packet);
    vec![
        row(format!("{family:?}: a client never seen before"))
            .then(one_at_once)
            .transmits(&packet, &forwarded)
            .budgets("one, up to now", |all| {
                matches!(
                    all,
                    [Budget {
                        spent_until: SECOND..
                    }]
                )
            }),
        row(format!("{family:?}: a client with something left"))
            .then(one_a_second)
            .then(match family {
                Family::V4 => |world| put_one(world, Family::V4, LONG_AGO),
                Family::V6 => |world| put_one(world, Family::V6, LONG_AGO),
            })
            .transmits(&packet, &forwarded)
            .budgets(
                "one, a packet later than it was",
                |all| matches!(all, [Budget { spent_until }] if *spent_until == SECOND + 1),
            )
            .transmits(&packet, &forwarded)
            .budgets(
                "one, two packets later than it was",
                |all| matches!(all, [Budget { spent_until }] if *spent_until == 2 * SECOND + 1),
            ),
        row(format!(
            "{family:?}: a packet beyond the limit takes nothing"
        ))
        .then(use_up)
        .drops(&packet, Outcome::RateLimited)
        .budgets("as before, of both families", |all| *all == [USED_UP; 2]),
    ]
}

/// An error counts for who sends it, not for whom it is about.
fn errors(family: Family) -> Vec<Row> {
    let answer = icmp_error::answer(&udp(family, PORT_L2_FRONT));
    let (router, client) = (family.router(), family.client());
    let error = |from, quoted: &Packet| icmp_error::error(from, quoted, icmp_error::LEAST);
    let sent = |from| error(from, &answer);
    let mut rows = vec![
        row(format!("{family:?}: an error of one who has sent too much"))
            .then(use_up)
            .drops(&sent(client), Outcome::RateLimited),
    ];
    // The two share a /64.
    if family == Family::V4 {
        let steered = icmp_error::steered(L2_FRONT, &answer, |quoted| error(router, quoted));
        rows.extend([
            row("V4: an error about one who has sent too much")
                .then(use_up)
                .transmits(&sent(router), &steered),
            row("V4: an error of a router that has sent too much")
                .then(one_a_second)
                .then(|world| put(world, SERVICE, Family::router, USED_UP))
                .drops(&sent(router), Outcome::RateLimited),
        ]);
    }
    rows
}
