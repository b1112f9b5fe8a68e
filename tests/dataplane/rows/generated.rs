//! ICMP errors that the program makes, and those that it does not make.

use std::thread;

use lb_common::{outcome::Outcome, settings::Settings};
use lb_tests::{
    object::Action,
    packet::{CUSTOMER_TAG, Extension, NO_OPERATIONS, PROVIDER_TAG, Packet},
};

use super::{echo::checked, fragment::pieces, patched};
use crate::{
    family::{Family, sctp, tcp, udp},
    member::{
        FIRST, L2_BACK, L2_FRONT, NAT_BACK, PORT_CHANGING, PORT_EMPTY, PORT_L2_BACK, PORT_L2_FRONT,
        PORT_NAT_BACK, Side, of,
    },
    row::{Row, row},
    world::World,
};

/// Bytes that an error quotes at most.
const QUOTE: usize = 128;
/// What the narrow way carries.
const MTU: u16 = 600;

/// The error about `packet`, built from nothing: `rest` is its header's last word.
fn error(packet: &Packet, [kind, code]: [u8; 2], rest: u32) -> Packet {
    let layers = packet.layers();
    let quoted = (layers.end - layers.ip).min(QUOTE) / 4 * 4;
    let quote = &packet.frame()[layers.ip..layers.ip + quoted];
    let bytes = [&[kind, code, 0, 0], rest.to_be_bytes().as_slice(), quote].concat();
    let (from, to) = (packet.destination.ip(), packet.source.ip());
    let protocol = if from.is_ipv4() { 1 } else { 58 };
    let mut error = Packet::raw(from, to, protocol, bytes)
        .macs(packet.destination_mac, packet.source_mac)
        .identification(0)
        .ttl(64);
    error.tags.clone_from(&packet.tags);
    checked(&error)
}

fn time_exceeded(packet: &Packet) -> Packet {
    let kind = if packet.source.is_ipv4() { 11 } else { 3 };
    error(packet, [kind, 0], 0)
}

pub(super) fn too_big(packet: &Packet, mtu: u16) -> Packet {
    let kind = if packet.source.is_ipv4() {
        [3, 4]
    } else {
        [2, 0]
    };
    error(packet, kind, mtu.into())
}

/// How packets may differ without making a difference.
fn variants(packet: &Packet) -> Vec<(&'static str, Packet)> {
    let mut variants = vec![
        ("untagged", packet.clone()),
        ("802.1q", packet.clone().tag(CUSTOMER_TAG, 7)),
        (
            "802.1ad over 802.1q",
            packet.clone().tag(PROVIDER_TAG, 5).tag(CUSTOMER_TAG, 7),
        ),
        ("bytes after the packet", packet.clone().padding(23)),
    ];
    if packet.source.is_ipv4() {
        let longest = NO_OPERATIONS.repeat(10);
        variants.push(("options", packet.clone().options(&NO_OPERATIONS)));
        variants.push(("40 bytes of options", packet.clone().options(&longest)));
    } else {
        let options = |length| Extension::DestinationOptions { length };
        variants.push(("options", packet.clone().extension(options(0))));
        variants.push((
            "264 bytes of options",
            packet.clone().extension(options(32)),
        ));
        variants.push((
            "an atomic fragment",
            packet.clone().extension(Extension::ATOMIC),
        ));
    }
    variants
}

/// Rows for a budget that is never used up.
pub(crate) fn sent() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        rows.extend(used_up(family));
        rows.extend(narrow(family));
    }
    rows
}

fn used_up(family: Family) -> Vec<Row> {
    let told = |row: Row, packet: &Packet| {
        let out = time_exceeded(packet);
        let outcome = Outcome::TimeExceededSent;
        row.answers(Side::Front, packet, outcome, Action::Transmit, Some(&out))
            .remembers(0, 0)
    };
    let mut rows = Vec::new();
    for (name, packet) in [
        ("tcp", tcp(family, PORT_L2_FRONT)),
        ("udp", udp(family, PORT_NAT_BACK)),
        ("sctp", sctp(family, PORT_L2_FRONT)),
    ] {
        for (variant, packet) in variants(&packet.ttl(1)) {
            let name = format!("{family:?}: {name} with its last hop, {variant}");
            rows.push(told(row(name), &packet));
        }
    }
    rows.push(told(
        row(format!("{family:?}: hop limit 0")),
        &tcp(family, PORT_L2_BACK).ttl(0),
    ));
    // Nothing is forwarded, so no hop is used.
    rows.push(
        row(format!(
            "{family:?}: last hop to a service without backends"
        ))
        .drops(&tcp(family, PORT_EMPTY).ttl(1), Outcome::NoBackend),
    );
    let fragments = pieces(&udp(family, PORT_L2_FRONT).payload(vec![0x5a; 200]), 64);
    rows.push(
        row(format!("{family:?}: a later fragment with its last hop"))
            .transmits_bytes(&fragments[0], L2_FRONT.receives(&fragments[0]).frame())
            .drops(&fragments[1].clone().ttl(1), Outcome::TtlExceeded),
    );
    rows.push(told(
        row(format!("{family:?}: a first fragment with its last hop")),
        &fragments[0].clone().ttl(1),
    ));
    let lengths = (0..=140).chain([500, 1_000, 1_452]);
    rows.push(lengths.fold(
        row(format!("{family:?}: last hop, payloads of every length")),
        |row, length| {
            let payload: Vec<u8> = (0..=250).cycle().take(length).collect();
            told(row, &udp(family, PORT_L2_FRONT).ttl(1).payload(payload))
        },
    ));
    // The last word of the quote takes the error's checksum through both zeros.
    let sums = (0..=u16::MAX)
        .step_by(509)
        .chain(0..16)
        .chain(0xfff0..=0xffff);
    rows.push(sums.fold(
        row(format!("{family:?}: last hop, sums of every kind")),
        |row, value| {
            let payload = [[0; 2], value.to_be_bytes()].concat();
            let packet = udp(family, PORT_L2_FRONT).ttl(1).payload(payload);
            // A datagram's own checksum makes up for its payload; without that it counts.
            let at = packet.layers().transport + 6;
            let out = time_exceeded(&packet);
            let row = told(row, &packet);
            let frame = patched(packet.frame(), at, &[0x55, 0xaa]);
            let quoted = 8 + at - packet.layers().ip;
            let out = out
                .clone()
                .payload(patched(out.payload, quoted, &[0x55, 0xaa]));
            row.answers(
                Side::Front,
                &frame,
                Outcome::TimeExceededSent,
                Action::Transmit,
                Some(&checked(&out)),
            )
        },
    ));
    rows
}

/// `packet` with a payload such that the IP packet has `length` bytes.
fn of_length(packet: Packet, length: u16) -> Packet {
    let layers = packet.layers();
    let headers = layers.payload - layers.ip;
    packet.payload(vec![0x5a; usize::from(length) - headers])
}

fn narrow(family: Family) -> Vec<Row> {
    let told = |row: Row, packet: &Packet| {
        let out = too_big(packet, MTU);
        row.answers(
            Side::Front,
            packet,
            Outcome::TooBigSent,
            Action::Transmit,
            Some(&out),
        )
        .remembers(0, 0)
    };
    let nat = of(family, NAT_BACK);
    let narrowed = |name: String| {
        row(name).then(|world| {
            for member in [L2_FRONT, L2_BACK, FIRST].into_iter().chain(NAT_BACK) {
                world.narrow(member, MTU);
            }
        })
    };
    let mut rows = Vec::new();
    let fitting = of_length(tcp(family, PORT_L2_FRONT), MTU);
    rows.push(
        narrowed(format!("{family:?}: as long as the way carries, l2"))
            .transmits(&fitting, &L2_FRONT.receives(&fitting)),
    );
    let fitting = of_length(udp(family, PORT_NAT_BACK), MTU);
    rows.push(
        narrowed(format!("{family:?}: as long as the way carries, nat"))
            .redirects(&fitting, &nat.receives(&fitting)),
    );
    for (name, packet) in [
        ("tcp by l2", tcp(family, PORT_L2_FRONT)),
        ("udp by l2, redirected", udp(family, PORT_L2_BACK)),
        ("tcp by nat", tcp(family, PORT_NAT_BACK)),
        ("udp by nat", udp(family, PORT_NAT_BACK)),
    ] {
        for length in [MTU + 1, 1_500] {
            let packet = of_length(packet.clone(), length);
            let name = format!("{family:?}: {length} bytes on a narrow way, {name}");
            rows.push(told(narrowed(name), &packet));
        }
    }
    for (variant, packet) in variants(&tcp(family, PORT_CHANGING)) {
        let packet = of_length(packet, 1_400);
        let name = format!("{family:?}: a big packet, {variant}");
        rows.push(told(narrowed(name), &packet));
    }
    let padded = of_length(tcp(family, PORT_L2_FRONT), MTU).padding(40);
    rows.push(
        narrowed(format!("{family:?}: bytes after the packet do not count"))
            .transmits(&padded, &L2_FRONT.receives(&padded)),
    );
    let last = of_length(tcp(family, PORT_L2_FRONT), 1_500).ttl(1);
    rows.push(
        narrowed(format!("{family:?}: big, with its last hop")).answers(
            Side::Front,
            &last,
            Outcome::TimeExceededSent,
            Action::Transmit,
            Some(&time_exceeded(&last)),
        ),
    );
    let known = tcp(family, PORT_CHANGING);
    rows.push(
        told(
            row(format!("{family:?}: a known flow whose way becomes narrow"))
                .then(|world| world.narrow(FIRST, MTU)),
            &of_length(known, 700),
        )
        .then(|world| world.narrow(FIRST, 0))
        .transmits(
            &of_length(tcp(family, PORT_CHANGING), 1_500),
            &FIRST.receives(&of_length(tcp(family, PORT_CHANGING), 1_500)),
        )
        .remembers(1, 0),
    );
    // Later fragments may be longer than the first.
    let whole = udp(family, PORT_L2_FRONT).payload(vec![0x5a; 1_400]);
    let (first, later) = (&pieces(&whole, 64)[0], &pieces(&whole, 648)[1]);
    rows.push(
        narrowed(format!("{family:?}: a big later fragment"))
            .transmits_bytes(first, L2_FRONT.receives(first).frame())
            .drops(later, Outcome::TooBig),
    );
    if family == Family::V4 {
        let packet = of_length(udp(family, PORT_L2_FRONT), MTU + 1);
        let frame = patched(packet.frame(), packet.layers().ip + 6, &[0, 0]);
        rows.push(
            narrowed("V4: a big packet that routers may fragment".to_owned())
                .drops(&frame, Outcome::TooBig),
        );
    }
    rows
}

/// Rows for no budget at all.
pub(crate) fn untold() -> Vec<Row> {
    let mut rows = Vec::new();
    for family in Family::BOTH {
        for (name, packet) in [
            ("tcp", tcp(family, PORT_L2_FRONT)),
            ("udp", udp(family, PORT_L2_FRONT)),
        ] {
            let packet = of_length(packet, MTU + 1);
            rows.push(
                row(format!("{family:?}: a big packet without a budget, {name}"))
                    .then(|world| world.narrow(L2_FRONT, MTU))
                    .drops(&packet, Outcome::TooBig)
                    .remembers(0, 0),
            );
        }
    }
    rows
}

/// Sends until every CPU's budget is used up.
pub(crate) fn exhausts_the_budget(world: &mut World) {
    const BURST: u64 = Settings::ICMP_ERROR_BURST as u64;
    world.renew();
    let cpus = thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
    let (most, frame) = (cpus * BURST, tcp(Family::V4, PORT_L2_FRONT).ttl(1));
    let ingress = world.index(Side::Front);
    let mut sent = 0;
    for _ in 0..most + 100 {
        let ran = world.object.run(&frame.frame(), ingress);
        match (ran.outcome, ran.action) {
            (Outcome::TimeExceededSent, Action::Transmit) => sent += 1,
            (Outcome::TtlExceeded, Action::Drop) => {}
            other => panic!("neither told nor dropped: {other:?}"),
        }
    }
    // The bucket fills by one in a second: some may be more than the bursts.
    assert!(
        (BURST..most + 100).contains(&sent),
        "{sent} errors sent, with a burst of {BURST} on each of {cpus} CPUs"
    );
}
