//! What a publication moves, told before it is made.

use std::net::SocketAddr;

use lb_common::{hash::FlowHash, table::Slot};

use super::lab::{Lab, service};
use crate::{
    dataplane::{Actual, Hashes, RememberedFlow},
    desired::Desired,
    model::{AdminState, Protocol, ServiceName, TableSlots},
    plan::impact::{Fates, Impact, impacts},
};

const VIP: &str = "192.0.2.1:80/tcp";
const BACKENDS: [&str; 4] = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"];

fn name() -> ServiceName {
    "web".parse().unwrap()
}

/// A service with four backends, published, and what the kernel holds before and after `change`.
fn changed(change: impl FnOnce(&mut Lab)) -> ((Desired, Actual), (Desired, Actual)) {
    let mut lab = Lab::published([service("web", &[VIP], &BACKENDS)]);
    let before = (lab.desired.clone(), lab.memory.actual.clone());
    change(&mut lab);
    lab.settle();
    (before, (lab.desired.clone(), lab.memory.actual.clone()))
}

fn impact(change: impl FnOnce(&mut Lab)) -> Impact {
    let (before, after) = changed(change);
    let mut impacts = impacts((&before.0, &before.1), (&after.0, &after.1));
    impacts.remove(&name()).unwrap()
}

/// One flow for each slot, with the slot's owner: how many of them count, and how many of those move.
fn moved_flows(change: impl FnOnce(&mut Lab)) -> (usize, usize) {
    let (before, after) = changed(change);
    let (_, actual) = before;
    let region = actual.vips[&VIP.parse().unwrap()].region;
    let flow = |(place, slot): (u64, &Slot)| RememberedFlow {
        has_ended: false,
        is_closing: false,
        source: "198.51.100.7:4000".parse().unwrap(),
        destination: "192.0.2.1:80".parse().unwrap(),
        protocol: Protocol::Tcp,
        backend: slot.backend(),
        generation: actual.backends[&slot.backend()].generation,
        // The middle of the slot.
        hashes: hashes(FlowHash(
            (((2 * place + 1) << 31) / u64::from(region.slots)) << 32,
        )),
    };
    let flows: Vec<_> = (0..).zip(actual.tables[&region].iter()).map(flow).collect();
    let fates = Fates::new(actual, after.1);
    let fates: Vec<_> = flows.iter().filter_map(|flow| fates.of(flow)).collect();
    (
        fates.len(),
        fates.iter().filter(|(_, moves)| *moves).count(),
    )
}

/// The slots that one of four backends of equal weight has, 1,021 in all.
const SHARE: std::ops::RangeInclusive<u32> = 255..=256;

#[test]
fn nothing_moves_if_nothing_changes() {
    let impact = impact(|_| ());
    assert_eq!((impact.slots, impact.moved_slots), (1_021, 0));
    assert_eq!((impact.added.len(), impact.removed.len()), (0, 0));
    assert_eq!(moved_flows(|_| ()), (1_021, 0));
}

#[test]
fn a_backend_that_goes_moves_its_slots_and_its_flows_at_least() {
    let remove = |lab: &mut Lab| {
        let backends = &mut lab.service_mut("web").backends;
        backends.remove(&BACKENDS[1].parse().unwrap()).unwrap();
    };
    let impact = impact(remove);
    let gone: SocketAddr = BACKENDS[1].parse().unwrap();
    assert_eq!(impact.removed, [gone].into());
    assert!(impact.moved_slots >= *SHARE.start(), "{impact:?}");
    let (flows, moved) = moved_flows(remove);
    assert_eq!(flows, 1_021);
    assert!(
        SHARE.contains(&u32::try_from(moved).unwrap()),
        "{moved} flows"
    );
}

#[test]
fn a_backend_that_drains_moves_slots_and_no_flow() {
    let drain = |lab: &mut Lab| lab.backend_mut("web", BACKENDS[0]).state = AdminState::Drain;
    let impact = impact(drain);
    assert!(SHARE.contains(&impact.moved_slots), "{impact:?}");
    assert_eq!((impact.added.len(), impact.removed.len()), (0, 0));
    assert_eq!(moved_flows(drain), (1_021, 0));
}

#[test]
fn a_table_of_another_size_moves_what_falls_on_other_servers() {
    let resize = |lab: &mut Lab| lab.service_mut("web").table_slots = TableSlots::Fixed(4_093);
    let impact = impact(resize);
    assert_eq!(impact.slots, 4_093);
    // Owners of another table are as good as drawn by lot: three in four are others.
    assert!((2_000..4_093).contains(&impact.moved_slots), "{impact:?}");
    assert_eq!(moved_flows(resize), (1_021, 0));
}

#[test]
fn a_vip_that_goes_moves_all_and_one_that_comes_nothing() {
    let other = "192.0.2.2:80/tcp".parse().unwrap();
    let come = |lab: &mut Lab| {
        lab.service_mut("web").vips.insert(other);
    };
    assert_eq!(impact(come).moved_slots, 0);
    let replace = |lab: &mut Lab| lab.service_mut("web").vips = [other].into();
    assert_eq!(impact(replace).moved_slots, 1_021);
    assert_eq!(moved_flows(replace), (1_021, 1_021));
    let remove = |lab: &mut Lab| lab.drop_service("web");
    assert_eq!(impact(remove).removed.len(), BACKENDS.len());
    assert_eq!(moved_flows(remove), (1_021, 1_021));
}

#[test]
fn a_vip_that_another_service_takes_over_moves_by_what_serves_it_then() {
    let rename = |lab: &mut Lab| {
        lab.drop_service("web");
        lab.want(service("shop", &[VIP], &BACKENDS));
    };
    assert_eq!(impact(rename).moved_slots, 0);
    assert_eq!(moved_flows(rename), (1_021, 0));
}

#[test]
fn a_flow_that_no_longer_counts_is_no_flow() {
    let (before, after) = changed(|_| ());
    let fates = Fates::new(before.1.clone(), after.1);
    let (id, entry) = before.1.backends.first_key_value().unwrap();
    let flow = |destination: &str, generation| RememberedFlow {
        has_ended: false,
        is_closing: false,
        source: "198.51.100.7:4000".parse().unwrap(),
        destination: destination.parse().unwrap(),
        protocol: Protocol::Tcp,
        backend: *id,
        generation,
        hashes: hashes(FlowHash(0)),
    };
    let current = entry.generation;
    let vip = VIP.parse().unwrap();
    assert_eq!(fates.of(&flow("192.0.2.1:80", current)), Some((vip, false)));
    assert_eq!(fates.of(&flow("192.0.2.1:80", current + 1)), None);
    assert_eq!(fates.of(&flow("192.0.2.1:81", current)), None);
}

#[test]
fn flows_belong_to_the_vip_that_takes_their_packets() {
    let vips = [
        "192.0.2.1:80/tcp",
        "192.0.2.1:*/tcp",
        "203.0.113.0/28:80/tcp",
        "203.0.113.0/28:*/tcp",
        "203.0.113.3:81/tcp",
    ];
    let lab = Lab::published([service("web", &vips, &BACKENDS)]);
    let actual = &lab.memory.actual;
    let fates = Fates::new(actual.clone(), actual.clone());
    let (id, entry) = actual.backends.first_key_value().unwrap();
    let vip = |destination: &str| {
        let flow = RememberedFlow {
            has_ended: false,
            is_closing: false,
            source: "198.51.100.7:4000".parse().unwrap(),
            destination: destination.parse().unwrap(),
            protocol: Protocol::Tcp,
            backend: *id,
            generation: entry.generation,
            hashes: hashes(FlowHash(0)),
        };
        fates.of(&flow).map(|(vip, _)| vip.to_string())
    };
    for (destination, expected) in [
        ("192.0.2.1:80", Some(vips[0])),
        ("192.0.2.1:443", Some(vips[1])),
        ("203.0.113.3:80", Some(vips[2])),
        ("203.0.113.3:81", Some(vips[4])),
        ("203.0.113.4:81", Some(vips[3])),
        ("203.0.113.16:80", None),
    ] {
        assert_eq!(vip(destination).as_deref(), expected, "{destination}");
    }
}

/// The same by 5-tuple and by source.
const fn hashes(hash: FlowHash) -> Hashes {
    Hashes {
        flow: hash,
        source: hash,
    }
}
