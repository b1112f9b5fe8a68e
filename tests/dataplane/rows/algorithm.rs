//! How new flows get their slots: by their source, by turns, by chance, by what backends have to bear.

use std::net::{IpAddr, SocketAddr};

use lb_common::{
    backend::BackendId,
    be::Be16,
    family::{V4, V6},
    flow::FlowKey,
    hash::{FlowHash, flow_hash, source_hash},
    load::Load,
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

/// The two places in the table that the flow of `packet` may get.
fn candidates(packet: &Packet) -> [usize; 2] {
    let (source, destination) = (packet.source, packet.destination);
    let hash = match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            hash::<V4>(source, destination, [from.into(), to.into()])
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            hash::<V6>(source, destination, [from.into(), to.into()])
        }
        _ => unreachable!("packets have one IP version"),
    };
    let place = |hash| usize::try_from(slot_of(hash, SLOTS)).expect("a small table");
    [hash, hash.second()].map(place)
}

/// The hash of a TCP connection.
fn hash<F: lb_common::family::Family>(
    source: SocketAddr,
    destination: SocketAddr,
    [from, to]: [F::Address; 2],
) -> FlowHash {
    let key = FlowKey {
        source: from,
        destination: to,
        source_port: Be16::new(source.port()),
        destination_port: Be16::new(destination.port()),
        protocol: 6,
    };
    flow_hash::<F>(&key, 0)
}

/// The first packet of a flow whose first candidate is the slot of the first backend, and its second one another.
fn of_two(family: Family) -> Packet {
    let syn = tcp(family, PORT_CHANGING);
    let mut packets = (40_000..).map(|port| from_port(&syn, port));
    let is_one_of_two = |packet: &Packet| {
        let [first, second] = candidates(packet);
        first == BY_LOAD && second != BY_LOAD
    };
    packets.find(is_one_of_two).expect("one of many")
}

/// The slot of the first backend; the second has all others.
const BY_LOAD: usize = 5;

/// Flows and weights of both backends.
fn by_load(world: &mut World, loads: [(i64, u32); 2]) {
    let mut slots = [slot(SECOND).tracked(); SLOTS as usize];
    slots[BY_LOAD] = slot(FIRST).tracked();
    for family in Family::BOTH {
        world.spread(family, PORT_CHANGING, Vip::LEAST_CONNECTIONS, &slots);
    }
    for (member, (flows, weight)) in [FIRST, SECOND].into_iter().zip(loads) {
        let load = Load {
            flows,
            weight,
            reserved: 0,
        };
        world.object.put_load(member.id, load);
    }
}

fn loads_of(family: Family) -> [Row; 3] {
    let syn = of_two(family);
    let with = |flags| syn.clone().flags(flags);
    let goes = |row: Row, packet: &Packet, to: Member| row.transmits(packet, &to.receives(packet));
    let less = row(format!(
        "{family:?}: a new flow goes to the backend that has fewer, and stays"
    ));
    let less = less.then(|world| by_load(world, [(5, 100), (2, 100)]));
    let less = goes(less, &syn, SECOND).loads(SECOND, 3);
    let less = less.then(|world| by_load(world, [(0, 100), (9, 100)]));
    let less = goes(less, &with(Flags::ACK), SECOND).loads(SECOND, 9);
    let less = goes(less, &with(Flags::FIN), SECOND).loads(SECOND, 8);
    let less = goes(less, &with(Flags::FIN), SECOND).loads(SECOND, 8);
    // The next connection of the same ends.
    let less = goes(less, &syn, SECOND).loads(SECOND, 9);
    let less = goes(less, &with(Flags::RST), SECOND).loads(SECOND, 8);
    let less = less.loads(FIRST, 0).remembers(1, 0);

    let weighed = row(format!("{family:?}: flows count for a backend's weight"));
    let weighed = weighed.then(|world| by_load(world, [(3, 200), (2, 100)]));
    let weighed = goes(weighed, &syn, FIRST).loads(FIRST, 4).loads(SECOND, 2);

    let uncounted = row(format!(
        "{family:?}: without weights nobody counts, and the first slot counts"
    ));
    let uncounted = uncounted.then(|world| by_load(world, [(9, 0), (0, 0)]));
    let reset = from_port(&syn, 39_999).flags(Flags::RST);
    let to = if candidates(&reset)[0] == BY_LOAD {
        FIRST
    } else {
        SECOND
    };
    let uncounted = goes(goes(uncounted, &syn, FIRST), &reset, to);
    let uncounted = uncounted.loads(FIRST, 9).loads(SECOND, 0).remembers(1, 0);
    [less, weighed, uncounted]
}

/// The same from another port.
fn from_port(packet: &Packet, port: u16) -> Packet {
    packet.clone().from((packet.source.ip(), port).into())
}

pub(crate) fn rows() -> Vec<Row> {
    let loads = Family::BOTH.into_iter().flat_map(loads_of);
    Family::BOTH
        .into_iter()
        .flat_map(of_family)
        .chain(loads)
        .collect()
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
