//! Explanations of made-up trials, word by word.

use std::sync::Arc;

use lb_common::{outcome::Outcome, table::Slot, vlan::Vlan};

use super::*;
use crate::{
    dataplane::{Region, trial::Remembered},
    model::{Algorithm, Mode, QuicLb},
    neighbor::NextHop,
};
use frame::Recipe;

const REGION: Region = Region {
    offset: 0,
    slots: 1,
};
const BACKEND: BackendId = BackendId(3);
const OTHER: BackendId = BackendId(4);

fn entry(mode: Mode, address: &str) -> BackendEntry {
    BackendEntry {
        generation: 7,
        service: ServiceId(1),
        address: address.parse().unwrap(),
        mode,
        next_hop: NextHop {
            interface: 5,
            mtu: 1_500,
            vlan: Vlan::NONE,
            ..NextHop::default()
        },
        source: None,
        active: true,
        load_weight: 0,
    }
}

/// One service with one slot, on a VIP and on a prefix.
fn known(mode: Mode) -> Known {
    let vip = VipEntry {
        region: REGION,
        generation: 7,
        service: ServiceId(1),
        source_limit: None,
        quic_lb: QuicLb::default(),
        algorithm: Algorithm::Maglev,
    };
    let mut known = Known {
        services: [(ServiceId(1), "web".to_owned())].into(),
        interfaces: [
            (4, ("eth0".to_owned(), None)),
            (5, ("eth1".to_owned(), None)),
        ]
        .into(),
        ingress: 4,
        gue_port: 6_080,
        ..Known::default()
    };
    for text in ["192.0.2.10:80/tcp", "203.0.113.0/28:*/udp"] {
        let at: Vip = text.parse().unwrap();
        known.actual.vips.insert(at, vip);
        known.actual.addresses.insert(at.addresses);
    }
    let table: Arc<[Slot]> = Arc::new([Slot::new(BACKEND).tracked()]);
    known.actual.tables.insert(REGION, table);
    known
        .actual
        .backends
        .insert(BACKEND, entry(mode, "10.0.0.11:80"));
    known
        .actual
        .backends
        .insert(OTHER, entry(mode, "10.0.0.12:80"));
    known
}

fn request() -> Vec<u8> {
    let recipe = Recipe {
        source: "198.51.100.7:40000".parse().unwrap(),
        destination: "192.0.2.10:80".parse().unwrap(),
        protocol: Protocol::Tcp,
        is_first: true,
        hop_limit: 64,
        size: 0,
        destination_mac: [2; 6],
    };
    recipe.frame().unwrap()
}

fn trial(outcome: Outcome, action: Action) -> Trial {
    let frame = request();
    Trial {
        action,
        outcome,
        backend: (outcome == Outcome::Forwarded).then_some(BACKEND),
        known: None,
        remembered: Some(remembered(BACKEND)),
        reply: None,
        flow: Seen::read(&frame, 0).flow(),
        frame,
    }
}

const fn remembered(backend: BackendId) -> Remembered {
    Remembered {
        backend,
        generation: 7,
        source_port: 0,
    }
}

fn told(known: &Known, trial: &Trial) -> (Explanation, Vec<String>) {
    let explanation = explain(known, &request(), trial, "x".to_owned());
    let stages = explanation.stages.iter();
    let lines = stages.map(|stage| format!("{}: {}", stage.stage, stage.what));
    let lines = lines.collect();
    (explanation, lines)
}

#[test]
fn a_forwarded_packet_is_told_stage_by_stage() {
    let (explanation, lines) = told(
        &known(Mode::L2),
        &trial(Outcome::Forwarded, Action::Redirect),
    );
    let expected = [
        "parse: TCP SYN from 198.51.100.7:40000 to 192.0.2.10:80, hop limit 64, 54 bytes, in by eth0",
        "classify: VIP 192.0.2.10:80/tcp of service web",
        "guard: the source may send",
        "select: slot 0 of 1 in the lookup table: backend 10.0.0.11:80; a new flow, remembered from here on",
        "guard: hop limit 64 is enough, and 40 bytes and 0 of outer headers fit 1500",
        "rewrite: mode l2: as it is, but for its hop limit, now 63",
        "emit: out by eth1 from 02:00:00:00:00:01 to 02:02:02:02:02:02; sent to the backend",
    ];
    assert_eq!(lines, expected);
    assert_eq!(explanation.verdict, Verdict::Redirect);
    assert_eq!(explanation.service.as_deref(), Some("web"));
    assert_eq!(explanation.backend.as_deref(), Some("10.0.0.11:80"));
    assert_eq!(
        explanation.output.unwrap().interface.as_deref(),
        Some("eth1")
    );
}

#[test]
fn a_remembered_flow_is_believed_only_as_the_program_believes_it() {
    let known = known(Mode::L2);
    let of_flow = |known_before, counted| Trial {
        known: Some(known_before),
        backend: Some(counted),
        ..trial(Outcome::Forwarded, Action::Redirect)
    };
    let (explanation, lines) = told(&known, &of_flow(remembered(OTHER), OTHER));
    assert_eq!(
        lines[3],
        "select: the flow is remembered: backend 10.0.0.12:80"
    );
    assert_eq!(explanation.backend.as_deref(), Some("10.0.0.12:80"));
    let stale = Remembered {
        generation: 6,
        ..remembered(OTHER)
    };
    let (_, lines) = told(&known, &of_flow(stale, BACKEND));
    assert!(lines[3].starts_with("select: slot 0 of 1"), "{lines:?}");
}

#[test]
fn the_program_is_right_where_the_maps_say_something_else() {
    let other = Trial {
        backend: Some(OTHER),
        ..trial(Outcome::Forwarded, Action::Redirect)
    };
    let (explanation, lines) = told(&known(Mode::L2), &other);
    assert!(lines[3].starts_with("select: the program chose backend 10.0.0.12:80"));
    assert_eq!(explanation.backend.as_deref(), Some("10.0.0.12:80"));
}

#[test]
fn the_last_stage_is_the_one_that_decided() {
    let known = known(Mode::L2);
    for (outcome, action, stages, last, words) in [
        (
            Outcome::NotIp,
            Action::Pass,
            1,
            "parse",
            "neither IPv4 nor IPv6",
        ),
        (Outcome::NotVip, Action::Pass, 2, "classify", "no VIP"),
        (
            Outcome::Unmatched,
            Action::Pass,
            2,
            "classify",
            "no service has that port",
        ),
        (
            Outcome::Blocked,
            Action::Drop,
            3,
            "guard",
            "on the blocklist",
        ),
        (
            Outcome::NoBackend,
            Action::Drop,
            4,
            "select",
            "no backend of the service",
        ),
        (
            Outcome::Local,
            Action::Pass,
            4,
            "select",
            "this host's own stack",
        ),
        (
            Outcome::TooBig,
            Action::Drop,
            5,
            "guard",
            "are more than 1500",
        ),
        (
            Outcome::TimeExceededSent,
            Action::Transmit,
            6,
            "reply",
            "time exceeded",
        ),
        (
            Outcome::PortsExhausted,
            Action::Drop,
            6,
            "translate",
            "no source port",
        ),
        (Outcome::NoRoom, Action::Drop, 6, "rewrite", "made longer"),
        (Outcome::NoDevice, Action::Drop, 7, "emit", "not allowed"),
    ] {
        let (explanation, lines) = told(&known, &trial(outcome, action));
        let line = lines.last().unwrap();
        assert_eq!(lines.len(), stages, "{lines:#?}");
        assert!(line.starts_with(last) && line.contains(words), "{line}");
        let sent = action == Action::Transmit;
        assert_eq!(explanation.output.is_some(), sent, "{outcome:?}");
    }
}

#[test]
fn a_reply_is_told_as_one() {
    let reply = Tuple {
        source: [192, 0, 2, 10].into(),
        destination: [198, 51, 100, 7].into(),
        ports: [80, 40_000],
        protocol: 6,
    };
    let mut known = known(Mode::Nat);
    known.actual.vips.clear();
    let replied = Trial {
        reply: Some(reply),
        backend: None,
        ..trial(Outcome::Replied, Action::Redirect)
    };
    let (explanation, lines) = told(&known, &replied);
    let expected =
        "classify: a backend's reply, which client 198.51.100.7:40000 is to see from 192.0.2.10:80";
    assert_eq!(lines[1], expected);
    assert!(lines[2].starts_with("translate: from "), "{lines:?}");
    assert!(lines[3].ends_with("sent to the client"), "{lines:?}");
    assert_eq!(explanation.backend, None);
}

#[test]
fn vips_are_found_as_the_program_finds_them() {
    let known = known(Mode::L2);
    let vip = |destination: &str, port, protocol| {
        let flow = Tuple {
            source: [198, 51, 100, 7].into(),
            destination: destination.parse().unwrap(),
            ports: [1, port],
            protocol,
        };
        known.vip(&flow).map(|(vip, _)| vip.to_string())
    };
    assert_eq!(
        vip("192.0.2.10", 80, 6).as_deref(),
        Some("192.0.2.10:80/tcp")
    );
    assert_eq!(
        vip("203.0.113.9", 5, 17).as_deref(),
        Some("203.0.113.0/28:*/udp")
    );
    assert_eq!(vip("203.0.113.9", 5, 6), None);
    assert_eq!(vip("192.0.2.10", 81, 6), None);
}

#[test]
fn how_a_slot_was_chosen_is_told() {
    let with = |algorithm| {
        let mut known = known(Mode::L2);
        for entry in known.actual.vips.values_mut() {
            entry.algorithm = algorithm;
        }
        known
    };
    let fresh = trial(Outcome::Forwarded, Action::Redirect);
    for (algorithm, words) in [
        (
            Algorithm::SourceHash,
            "slot 0 of 1 in the lookup table, by the source address: backend 10.0.0.11:80; a new flow, remembered from here on",
        ),
        (
            Algorithm::Random,
            "a slot by chance: backend 10.0.0.11:80 in this trial, which draws for itself; a new flow, remembered from here on",
        ),
        (
            Algorithm::RoundRobin,
            "the slot whose turn it is on the CPU that takes the packet: backend 10.0.0.11:80 in this trial, which draws for itself; a new flow, remembered from here on",
        ),
        (
            Algorithm::LeastConnections,
            "of two slots by its hash the one whose backend has fewer flows for its weight: backend 10.0.0.11:80 in this trial, which draws for itself; a new flow, remembered from here on",
        ),
    ] {
        let (explanation, lines) = told(&with(algorithm), &fresh);
        assert_eq!(lines[3], format!("select: {words}"));
        assert_eq!(
            explanation.stages[3].facts["algorithm"],
            algorithm.to_string()
        );
        let of_flow = Trial {
            known: Some(remembered(OTHER)),
            backend: Some(OTHER),
            ..fresh.clone()
        };
        let (_, lines) = told(&with(algorithm), &of_flow);
        assert_eq!(
            lines[3],
            "select: the flow is remembered: backend 10.0.0.12:80"
        );
    }
}
