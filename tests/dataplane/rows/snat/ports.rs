//! To whom source ports belong, and for how long.

use lb_common::outcome::Outcome;
use lb_tests::{
    object::Action,
    packet::{Flags, Packet},
};

use crate::{
    TIMEOUTS,
    family::{Family, tcp, udp},
    member::{
        FIRST_PORT, LAST_PORT, Member, PORT_SNAT_BACK, PORT_SNAT_FRONT, PORTS, SNAT_BACK,
        SNAT_FRONT, Side, of,
    },
    row::{Row, row},
    rows::reply::seen_by_client,
    world::World,
};

/// The flow of another client: its `number`th.
fn other(packet: &Packet, number: u16) -> Packet {
    let mut packet = packet.clone();
    packet.source.set_port(41_000 + number);
    packet
}

/// `packet` reaches the backend from `port`.
fn goes(row: Row, member: Member, packet: &Packet, port: u16) -> Row {
    let out = member
        .receives(packet)
        .from((member.family.own(), port).into());
    if member.side == Side::Front {
        row.transmits(packet, &out)
    } else {
        row.redirects(packet, &out)
    }
}

/// What the backend sends to `port` reaches the client of `request`.
fn comes_back(row: Row, member: Member, request: &Packet, port: u16, flags: Option<Flags>) -> Row {
    let reply = member
        .replies_to(request)
        .to((member.family.own(), port).into());
    let reply = match flags {
        Some(flags) => reply.flags(flags),
        None => reply,
    };
    let out = seen_by_client(&reply, request);
    let action = if member.side == Side::Front {
        Action::Transmit
    } else {
        Action::Redirect
    };
    row.answers(member.side, &reply, Outcome::Replied, action, Some(&out))
}

/// All ports but the first are in use, by others.
fn filled(mut row: Row, member: Member, packet: &Packet) -> Row {
    for port in FIRST_PORT + 1..LAST_PORT + PORTS {
        row = goes(row, member, &other(packet, port), port);
    }
    goes(row, member, &other(packet, LAST_PORT), LAST_PORT)
}

/// The flow of `packet` begins, the first towards its backend.
fn begun(name: &str, family: Family, packet: &Packet) -> Row {
    let row = row(format!("{family:?}: {name}"));
    goes(row, of(family, SNAT_BACK), packet, FIRST_PORT)
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        rows.extend(exhaustion(family));
        rows.extend(owners(family));
        rows.extend(changes(family));
        rows.push(refreshed(family));
        rows.extend(udp_expiry(family));
        rows.extend(tcp_expiry(family));
    }
    rows
}

/// In a world that has no ports to give out.
pub(crate) fn without() -> Vec<Row> {
    Family::BOTH
        .map(|family| {
            row(format!("{family:?}: snat without any port"))
                .drops(&tcp(family, PORT_SNAT_BACK), Outcome::PortsExhausted)
                .remembers(0, 0)
        })
        .into()
}

fn exhaustion(family: Family) -> Vec<Row> {
    let (back, front) = (of(family, SNAT_BACK), of(family, SNAT_FRONT));
    let (segment, datagram) = (tcp(family, PORT_SNAT_BACK), udp(family, PORT_SNAT_BACK));
    let all = |name: &str| filled(begun(name, family, &segment), back, &segment);
    let late = other(&segment, 0);
    let elsewhere = tcp(family, PORT_SNAT_FRONT);
    vec![
        all("no port is left")
            .drops(&late, Outcome::PortsExhausted)
            .drops(&late, Outcome::PortsExhausted)
            .remembers(4, 4),
        goes(
            all("known flows go on when no port is left").drops(&late, Outcome::PortsExhausted),
            back,
            &segment.clone().flags(Flags::ACK),
            FIRST_PORT,
        ),
        goes(
            all("another protocol has all ports"),
            back,
            &datagram,
            FIRST_PORT,
        )
        .remembers(5, 5),
        goes(
            all("another backend has all ports"),
            front,
            &elsewhere,
            FIRST_PORT,
        )
        .remembers(5, 5),
    ]
}

/// A port never leads one client's packets to another.
fn owners(family: Family) -> Vec<Row> {
    let member = of(family, SNAT_BACK);
    let datagram = udp(family, PORT_SNAT_BACK);
    let next = other(&datagram, 1);
    // The first flow's port has become the fifth's.
    let reused = |name: &str| {
        let row = filled(begun(name, family, &datagram), member, &datagram);
        let aged = row.then(|world| world.object.age_replies(TIMEOUTS.udp + 1));
        goes(aged, member, &next, FIRST_PORT)
    };
    let moved = |name: &str| goes(reused(name), member, &datagram, FIRST_PORT + 1);
    vec![
        comes_back(
            reused("a reused port leads to its new owner"),
            member,
            &next,
            FIRST_PORT,
            None,
        ),
        moved("who lost its port gets another one"),
        goes(
            moved("who got another port keeps it"),
            member,
            &datagram,
            FIRST_PORT + 1,
        )
        .remembers(5, 4),
    ]
}

/// What becomes of a flow's port when something else changes.
fn changes(family: Family) -> Vec<Row> {
    let member = of(family, SNAT_BACK);
    let segment = tcp(family, PORT_SNAT_BACK);
    let ack = segment.clone().flags(Flags::ACK);
    let forgotten = begun(
        "a forgotten reply is remembered again, under its port",
        family,
        &segment,
    )
    .then(|world| world.object.forget_replies());
    let recycled = begun("a recycled backend is a new one", family, &segment).then(|world| {
        for member in SNAT_BACK {
            world.put(member, 2, 0);
        }
    });
    let drained = begun(
        "a drained backend keeps its flows and their ports",
        family,
        &segment,
    )
    .then(|world| {
        for family in Family::BOTH {
            world.publish(family, PORT_SNAT_BACK, 0, 0);
        }
    });
    vec![
        goes(
            goes(forgotten, member, &ack, FIRST_PORT).remembers(1, 1),
            member,
            &other(&segment, 1),
            FIRST_PORT + 1,
        ),
        goes(recycled, member, &segment, FIRST_PORT + 1).remembers(1, 2),
        goes(drained, member, &ack, FIRST_PORT).drops(&other(&segment, 1), Outcome::NoBackend),
    ]
}

/// Idle, in parts, for longer than the time-out, and never for all of it.
fn refreshed(family: Family) -> Row {
    let member = of(family, SNAT_BACK);
    let datagram = udp(family, PORT_SNAT_BACK);
    let idle = |row: Row| row.then(|world| world.object.age_replies(TIMEOUTS.udp - 1));
    let row = begun("packets of both directions keep a port", family, &datagram);
    let row = goes(idle(row), member, &datagram, FIRST_PORT);
    let row = comes_back(idle(row), member, &datagram, FIRST_PORT, None);
    filled(idle(row), member, &datagram).drops(&other(&datagram, 1), Outcome::PortsExhausted)
}

fn udp_expiry(family: Family) -> Vec<Row> {
    let member = of(family, SNAT_BACK);
    let datagram = udp(family, PORT_SNAT_BACK);
    let next = other(&datagram, 1);
    let idle = |name: &str, by: fn(&mut World)| {
        filled(begun(name, family, &datagram).then(by), member, &datagram)
    };
    vec![
        idle("a datagram's flow that is idle not long enough", |world| {
            world.object.age_replies(TIMEOUTS.udp - 1);
        })
        .drops(&next, Outcome::PortsExhausted),
        goes(
            idle("a datagram's flow that is idle", |world| {
                world.object.age_replies(TIMEOUTS.udp + 1);
            }),
            member,
            &next,
            FIRST_PORT,
        ),
    ]
}

/// Who sends what, in the course of a connection.
#[derive(Clone, Copy)]
enum By {
    Client(Flags),
    Backend(Flags),
}

fn tcp_expiry(family: Family) -> Vec<Row> {
    let fin = Flags::FIN | Flags::ACK;
    let handshake = [
        By::Client(Flags::SYN),
        By::Backend(Flags::SYN | Flags::ACK),
        By::Client(Flags::ACK),
    ];
    let after = |more: &[By]| [&handshake, more].concat();
    let short = [
        ("a syn without an answer", vec![By::Client(Flags::SYN)]),
        (
            "an answer that nobody acknowledges",
            handshake[..2].to_vec(),
        ),
        (
            "a connection that both have finished",
            after(&[By::Client(fin), By::Backend(fin), By::Client(Flags::ACK)]),
        ),
        (
            "a connection that the backend has finished first",
            after(&[By::Backend(fin), By::Client(fin), By::Backend(Flags::ACK)]),
        ),
        (
            "a connection that the client has reset",
            after(&[By::Client(Flags::RST)]),
        ),
        (
            "a connection that the backend has reset",
            after(&[By::Backend(Flags::RST | Flags::ACK)]),
        ),
        (
            "a connection that begins again under the same port",
            after(&[By::Client(fin), By::Backend(fin), By::Client(Flags::SYN)]),
        ),
    ];
    let long = [
        ("an established connection", handshake.to_vec()),
        (
            "a connection that only the client has finished",
            after(&[By::Client(fin), By::Backend(Flags::ACK)]),
        ),
        (
            "a connection that only the backend has finished",
            after(&[By::Backend(fin), By::Client(Flags::ACK)]),
        ),
        (
            "a connection that goes on after a reset",
            after(&[By::Client(Flags::RST), By::Client(Flags::ACK)]),
        ),
        (
            "a connection that has begun again under the same port",
            after(&[
                By::Client(fin),
                By::Backend(fin),
                By::Client(Flags::SYN),
                By::Backend(Flags::SYN | Flags::ACK),
                By::Client(Flags::ACK),
            ]),
        ),
    ];
    let mut rows = Vec::new();
    for (name, course) in short {
        rows.extend(expires(
            family,
            name,
            &course,
            [
                |world| world.object.age_replies(TIMEOUTS.transitory - 1),
                |world| world.object.age_replies(TIMEOUTS.transitory + 1),
            ],
        ));
    }
    for (name, course) in long {
        rows.extend(expires(
            family,
            name,
            &course,
            [
                |world| world.object.age_replies(TIMEOUTS.established - 1),
                |world| world.object.age_replies(TIMEOUTS.established + 1),
            ],
        ));
    }
    rows
}

/// After `course`, the port is still the connection's when the first time has gone by, and free after the second.
fn expires(
    family: Family,
    name: &str,
    course: &[By],
    [kept, free]: [fn(&mut World); 2],
) -> [Row; 2] {
    let member = of(family, SNAT_BACK);
    let segment = tcp(family, PORT_SNAT_BACK);
    let next = other(&segment, 1);
    let taken = |when: &str, by: fn(&mut World)| {
        let mut row = row(format!("{family:?}: {name}, {when}"));
        for step in course {
            row = match *step {
                By::Client(flags) => goes(row, member, &segment.clone().flags(flags), FIRST_PORT),
                By::Backend(flags) => comes_back(row, member, &segment, FIRST_PORT, Some(flags)),
            };
        }
        filled(row.then(by), member, &segment)
    };
    [
        taken("idle not long enough", kept).drops(&next, Outcome::PortsExhausted),
        goes(taken("idle", free), member, &next, FIRST_PORT),
    ]
}
