//! How new flows get their slots: by their source, by turns, by chance.

use std::net::IpAddr;

use lb_common::{
    backend::BackendId,
    family::{V4, V6},
    hash::source_hash,
    outcome::Outcome,
    table::{Slot, slot_of},
    vip::Vip,
};
use lb_tests::packet::{Flags, Packet};

use crate::{
    family::{Family, client, tcp, udp},
    member::{FIRST, Member, PORT_CHANGING, PORT_EMPTY, SECOND},
    row::{Row, row},
    world::World,
};

const SLOTS: u32 = 13;

fn slot(member: Member) -> Slot {
    Slot::new(BackendId(member.id))
}

/// The slot that a source falls on.
fn place(source: IpAddr) -> usize {
    let hash = match source {
        IpAddr::V4(source) => source_hash::<V4>(&source.into(), 0),
        IpAddr::V6(source) => source_hash::<V6>(&source.into(), 0),
    };
    usize::try_from(slot_of(hash, SLOTS)).expect("a small table")
}

/// The first backend has the slot of the client, the second all others.
fn by_source(world: &mut World) {
    for family in Family::BOTH {
        let mut slots = [slot(SECOND); SLOTS as usize];
        slots[place(client(family).ip())] = slot(FIRST);
        for port in [PORT_CHANGING, PORT_EMPTY] {
            world.spread(family, port, Vip::BY_SOURCE, &slots);
        }
    }
}

/// Two of three turns are the first backend's.
fn by_turns(world: &mut World) {
    let slots = [FIRST, SECOND, FIRST].map(|member| slot(member).tracked());
    for family in Family::BOTH {
        world.spread(family, PORT_CHANGING, Vip::ROUND_ROBIN, &slots);
    }
}

/// Nobody has a turn.
fn by_no_turns(world: &mut World) {
    for family in Family::BOTH {
        world.spread(family, PORT_CHANGING, Vip::ROUND_ROBIN, &[]);
    }
}

/// Whichever slot it is, it is the first backend's.
fn by_chance(world: &mut World) {
    let slots = [slot(FIRST).tracked(); SLOTS as usize];
    for family in Family::BOTH {
        world.spread(family, PORT_CHANGING, Vip::RANDOM, &slots);
    }
}

/// Now it is the second's.
fn by_other_chance(world: &mut World) {
    let slots = [slot(SECOND).tracked(); SLOTS as usize];
    for family in Family::BOTH {
        world.spread(family, PORT_CHANGING, Vip::RANDOM, &slots);
    }
}

/// The same from another port.
fn from_port(packet: &Packet, port: u16) -> Packet {
    packet.clone().from((packet.source.ip(), port).into())
}

pub(crate) fn rows() -> Vec<Row> {
    Family::BOTH.into_iter().flat_map(of_family).collect()
}

/// Where the settings say that no service does, it is not asked: the flag is not looked at.
pub(crate) fn unused() -> Vec<Row> {
    let of_family = |family| {
        let packet = tcp(family, PORT_CHANGING);
        // Its 5-tuple has another slot than its source.
        row(format!(
            "{family:?}: without algorithms, the 5-tuple chooses"
        ))
        .then(by_source)
        .transmits(&packet, &SECOND.receives(&packet))
    };
    Family::BOTH.map(of_family).into()
}

fn of_family(family: Family) -> [Row; 5] {
    let syn = tcp(family, PORT_CHANGING);
    let goes = |row: Row, packet: &Packet, to: Member| row.transmits(packet, &to.receives(packet));
    let others = [family.router(), family.unresolved()];
    let other = others
        .into_iter()
        .find(|it| place(*it) != place(client(family).ip()));
    let stranger = syn
        .clone()
        .from((other.expect("one on another slot"), 40_000).into());
    let ends = [
        syn.clone(),
        from_port(&syn, 50_000),
        udp(family, PORT_CHANGING),
        tcp(family, PORT_EMPTY),
        udp(family, PORT_EMPTY),
    ];
    let by_source = row(format!("{family:?}: all flows of a source have its slot")).then(by_source);
    let by_source = ends
        .iter()
        .fold(by_source, |row, packet| goes(row, packet, FIRST));
    let by_source = goes(by_source, &stranger, SECOND).remembers(0, 0);

    let [second, third, fourth] = [50_001, 50_002, 50_003].map(|port| from_port(&syn, port));
    let ack = second.clone().flags(Flags::ACK);
    let turns = row(format!("{family:?}: new flows take turns, known ones stay")).then(by_turns);
    let turns = goes(
        goes(goes(turns, &syn, FIRST), &second, SECOND),
        &third,
        FIRST,
    );
    let turns = goes(goes(turns, &ack, SECOND), &fourth, FIRST);
    let datagram = udp(family, PORT_CHANGING);
    let turns = goes(goes(turns, &datagram, SECOND), &datagram, SECOND).remembers(5, 0);

    let reset = from_port(&syn, 50_009).flags(Flags::RST);
    let stray = row(format!("{family:?}: what begins no flow has no turn"))
        .then(by_turns)
        .transmits(&reset, &FIRST.receives(&reset));
    let stray = goes(goes(stray, &syn, FIRST), &second, SECOND).remembers(2, 0);

    let nobody = row(format!(
        "{family:?}: without a table nobody has a turn, and flows stay"
    ))
    .then(by_turns);
    let nobody = goes(nobody, &syn, FIRST)
        .then(by_no_turns)
        .drops(&second, Outcome::NoBackend);
    let nobody = goes(nobody, &syn, FIRST).remembers(1, 0);

    let chance = row(format!("{family:?}: a flow that chance has placed stays")).then(by_chance);
    let chance = goes(chance, &syn, FIRST).then(by_other_chance);
    let chance = goes(goes(chance, &syn, FIRST), &second, SECOND).remembers(2, 0);
    [by_source, turns, stray, nobody, chance]
}
