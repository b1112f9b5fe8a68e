//! Flows and their backends while tables and backends change.

use lb_common::{backend::Backend, outcome::Outcome, settings::Settings};
use lb_tests::packet::{Flags, Packet};

use crate::{
    family::{Family, client, tcp, udp},
    member::{FIRST, Member, NAT_BACK, PORT_CHANGING, PORT_NAT_BACK, SECOND, of},
    row::{Row, row},
    world::World,
};

/// The table now names the second backend only.
fn moved(world: &mut World) {
    for family in Family::BOTH {
        world.serve(family, PORT_CHANGING, SECOND.id);
    }
}

/// The service has no table any more: all its backends drain.
fn emptied(world: &mut World) {
    for family in Family::BOTH {
        world.publish(family, PORT_CHANGING, 0, 0);
    }
}

/// The first backend's number is given to another one, and the table names the second.
fn recycled(world: &mut World) {
    moved(world);
    world.put(FIRST, 2, 0);
}

/// The first backend is gone, and the table names the second.
fn removed(world: &mut World) {
    moved(world);
    world.put(FIRST, 0, 0);
}

/// The first backend takes no packets any more, and the table names the second.
fn disabled(world: &mut World) {
    moved(world);
    world.put(FIRST, 1, Backend::INACTIVE);
}

/// The table names the first backend, and its flows are not remembered.
fn untracked(world: &mut World) {
    for family in Family::BOTH {
        world.serve_untracked(family, PORT_CHANGING, FIRST.id);
    }
}

/// The table names the second backend, and its flows are not remembered.
fn moved_untracked(world: &mut World) {
    for family in Family::BOTH {
        world.serve_untracked(family, PORT_CHANGING, SECOND.id);
    }
}

/// The table names a NAT backend, and its flows are not remembered.
fn nat_untracked(world: &mut World) {
    for family in Family::BOTH {
        world.serve_untracked(family, PORT_CHANGING, of(family, NAT_BACK).id);
    }
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        rows.extend(changes(family));
        rows.extend(reuse(family));
        rows.extend(beginnings(family));
        rows.extend(without_memory(family));
    }
    rows
}

/// A flow is known, then something changes.
fn changes(family: Family) -> Vec<Row> {
    let syn = tcp(family, PORT_CHANGING);
    let ack = syn.clone().flags(Flags::ACK);
    let fin = syn.clone().flags(Flags::FIN | Flags::ACK);
    let reset = syn.clone().flags(Flags::RST);
    let datagram = udp(family, PORT_CHANGING);
    let mut other = syn.clone();
    other.source.set_port(client(family).port() + 1);
    let known = |name: &str, packet: &Packet| {
        row(format!("{family:?}: {name}"))
            .transmits(packet, &FIRST.receives(packet))
            .remembers(1, 0)
    };
    let goes = |name: &str, change: fn(&mut World), packet: &Packet, to: Member| {
        known(name, &syn)
            .then(change)
            .transmits(packet, &to.receives(packet))
    };
    vec![
        goes("the table changes, the flow stays", moved, &ack, FIRST).remembers(1, 0),
        goes(
            "the table changes, a second syn of the flow stays",
            moved,
            &syn,
            FIRST,
        ),
        goes(
            "the table changes, the flow's fin stays",
            moved,
            &fin,
            FIRST,
        ),
        goes(
            "the table changes, the flow's reset stays",
            moved,
            &reset,
            FIRST,
        ),
        goes(
            "the table changes, a new flow follows it",
            moved,
            &other,
            SECOND,
        )
        .remembers(2, 0),
        known("the table changes, a datagram's flow stays", &datagram)
            .then(moved)
            .transmits(&datagram, &FIRST.receives(&datagram)),
        goes(
            "the number is recycled, the flow chooses again",
            recycled,
            &ack,
            SECOND,
        )
        .remembers(1, 0)
        .transmits(&ack, &SECOND.receives(&ack)),
        goes(
            "the backend is removed, the flow chooses again",
            removed,
            &ack,
            SECOND,
        ),
        goes(
            "the backend is disabled, the flow chooses again",
            disabled,
            &ack,
            SECOND,
        ),
        goes("the table is empty, the flow stays", emptied, &ack, FIRST)
            .drops(&other, Outcome::NoBackend),
        goes(
            "the flow that chose again stays there",
            disabled,
            &ack,
            SECOND,
        )
        .then(|world| world.put(FIRST, 1, 0))
        .transmits(&ack, &SECOND.receives(&ack)),
    ]
}

/// A connection has ended, and the next one has the same ends.
fn reuse(family: Family) -> Vec<Row> {
    let syn = tcp(family, PORT_CHANGING);
    let ack = syn.clone().flags(Flags::ACK);
    let ended = |name: &str, end: Flags, age: fn(&mut World)| {
        row(format!("{family:?}: {name}"))
            .transmits(&syn, &FIRST.receives(&syn))
            .transmits(
                &syn.clone().flags(end),
                &FIRST.receives(&syn.clone().flags(end)),
            )
            .then(moved)
            .then(age)
    };
    let goes = |row: Row, to: Member| {
        row.transmits(&syn, &to.receives(&syn))
            .transmits(&ack, &to.receives(&ack))
            .remembers(1, 0)
    };
    let old: fn(&mut World) = |world| world.object.age_flows(Settings::REUSE_AFTER);
    let recent: fn(&mut World) = |world| world.object.age_flows(Settings::REUSE_AFTER - 2);
    vec![
        goes(
            ended(
                "a port used again chooses again",
                Flags::FIN | Flags::ACK,
                old,
            ),
            SECOND,
        ),
        goes(
            ended(
                "a port used again after a reset chooses again",
                Flags::RST,
                old,
            ),
            SECOND,
        ),
        goes(
            ended(
                "a port used again at once stays",
                Flags::FIN | Flags::ACK,
                recent,
            ),
            FIRST,
        ),
        goes(
            ended("a syn of a connection that is idle stays", Flags::ACK, old),
            FIRST,
        ),
    ]
}

/// Slots that are not tracked: their packets neither ask the flow tables nor write them.
fn without_memory(family: Family) -> Vec<Row> {
    let syn = tcp(family, PORT_CHANGING);
    let ack = syn.clone().flags(Flags::ACK);
    let datagram = udp(family, PORT_CHANGING);
    let nat = of(family, NAT_BACK);
    let named = |name: &str| row(format!("{family:?}: {name}"));
    vec![
        named("an untracked slot's flows are not remembered")
            .then(untracked)
            .transmits(&syn, &FIRST.receives(&syn))
            .transmits(&ack, &FIRST.receives(&ack))
            .transmits(&datagram, &FIRST.receives(&datagram))
            .remembers(0, 0),
        // What is remembered is not asked for, and stands there as it was.
        named("an untracked slot asks nothing, a tracked one does again")
            .transmits(&syn, &FIRST.receives(&syn))
            .transmits(&ack, &FIRST.receives(&ack))
            .then(moved_untracked)
            .transmits(&ack, &SECOND.receives(&ack))
            .remembers(1, 0)
            .then(moved)
            .transmits(&ack, &FIRST.receives(&ack))
            .remembers(1, 0),
        named("an untracked slot that begins to be tracked remembers what goes on")
            .then(untracked)
            .transmits(&syn, &FIRST.receives(&syn))
            .then(|world| {
                for family in Family::BOTH {
                    world.serve(family, PORT_CHANGING, FIRST.id);
                }
            })
            .transmits(&ack, &FIRST.receives(&ack))
            .remembers(1, 0)
            .then(moved)
            .transmits(&ack, &FIRST.receives(&ack)),
        named("nat flows on an untracked slot are remembered for their way back alone")
            .then(nat_untracked)
            .redirects(&syn, &nat.receives(&syn))
            .redirects(&ack, &nat.receives(&ack))
            .redirects(&datagram, &nat.receives(&datagram))
            .remembers(0, 2),
    ]
}

/// Far less than the table of the tests holds.
const MANY: u16 = 200;

/// What begins a flow, and what does not.
fn beginnings(family: Family) -> Vec<Row> {
    let packet = tcp(family, PORT_CHANGING);
    let flags = [
        ("a syn", Flags::SYN, 1),
        ("an acknowledgement", Flags::ACK, 1),
        ("a reset", Flags::RST, 0),
        ("a reset with acknowledgement", Flags::RST | Flags::ACK, 0),
        ("a fin", Flags::FIN | Flags::ACK, 0),
    ];
    let mut rows: Vec<Row> = flags
        .into_iter()
        .map(|(name, flags, flows)| {
            let packet = packet.clone().flags(flags);
            row(format!("{family:?}: {name} begins {flows} flows"))
                .transmits(&packet, &FIRST.receives(&packet))
                .remembers(flows, 0)
        })
        .collect();
    // However fast they come: what is not remembered moves when the table changes.
    rows.push((1..=MANY).fold(
        row(format!(
            "{family:?}: {MANY} syns in a row are all remembered"
        )),
        |row, number| {
            let port = 20_000 + number;
            let packet = packet.clone().from((packet.source.ip(), port).into());
            row.transmits(&packet, &FIRST.receives(&packet))
                .remembers(number.into(), 0)
        },
    ));
    let nat = tcp(family, PORT_NAT_BACK);
    let datagram = udp(family, PORT_NAT_BACK);
    let backend = of(family, NAT_BACK);
    rows.push(
        row(format!(
            "{family:?}: nat flows are remembered for both ways"
        ))
        .redirects(&nat, &backend.receives(&nat))
        .remembers(1, 1)
        .redirects(&datagram, &backend.receives(&datagram))
        .remembers(2, 2)
        .redirects(&datagram, &backend.receives(&datagram))
        .remembers(2, 2),
    );
    rows
}
