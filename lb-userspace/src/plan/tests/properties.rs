//! What holds for every sequence of changes, health, next hops, kernel failures and restarts.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};

use super::{
    super::{Plan, Serving, Tables},
    lab::{Lab, backend, names, next_hop, service, target},
    rules::should_serve,
};
use crate::{
    dataplane::{Capacity, ServiceId, VipEntry},
    desired::Desired,
    model::{
        AdminState, Health, Mode, Prefix, Role, Service, SourceLimit, TableSlots, Thresholds, Vip,
        Weight,
    },
    neighbor::{NextHop, Unresolved},
};

const SERVICES: [&str; 3] = ["a", "b", "c"];
const VIPS: [&str; 9] = [
    "192.0.2.1:80/tcp",
    "192.0.2.1:443/tcp",
    "192.0.2.1:53/udp",
    "192.0.2.2:80/tcp",
    "[2001:db8::1]:80/tcp",
    "[2001:db8::1]:53/udp",
    "203.0.113.0/28:80/tcp",
    "203.0.113.0/28:*/sctp",
    "[2001:db8:1::/64]:53/udp",
];
const BACKENDS: [&str; 5] = [
    "10.0.0.1:80",
    "10.0.0.1:81",
    "10.0.0.2:80",
    "10.0.0.3:80",
    "[fd00::4]:80",
];

const BLOCKED: [&str; 3] = ["203.0.113.0/24", "198.51.100.7/32", "2001:db8::/32"];

/// Room for all that the operations below may want, before and after a change.
const ROOMY: Capacity = Capacity {
    slots: 1 << 16,
    backends: 128,
    vips: 16,
    flows: 1,
    sources: 1,
};

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    /// The operator applies a whole configuration.
    Want(Desired),
    /// The operator changes one backend, if it is there.
    Change(&'static str, &'static str, AdminState, Mode, u32),
    Health(&'static str, &'static str, Health),
    NextHop(&'static str, Option<Result<NextHop, Unresolved>>),
    Interfaces(BTreeSet<u32>),
    /// The daemon is replaced by another.
    Restart,
}

fn states() -> impl Strategy<Value = AdminState> {
    let states = vec![
        AdminState::Up,
        AdminState::Up,
        AdminState::Drain,
        AdminState::Down,
    ];
    select(states)
}

fn modes() -> impl Strategy<Value = Mode> {
    select(vec![Mode::L2, Mode::Nat])
}

fn services(name: &'static str) -> impl Strategy<Value = Service> {
    let roles = select(vec![Role::Ordinary, Role::Ordinary, Role::Fallback]);
    let backends = vec(
        (select(&BACKENDS), states(), modes(), 1..4_u32, roles),
        0..5,
    );
    let thresholds = (0..4_u32, select(vec![0, 0, 50, 100]));
    let sizes = vec![TableSlots::Auto, TableSlots::Auto, TableSlots::Fixed(4_093)];
    let limits = prop::option::of(1..3_u32);
    let settings = (select(sizes), limits, thresholds);
    (backends, settings).prop_map(move |(backends, (table_slots, limit, thresholds))| {
        let mut service = service(name, &[], &[]);
        service.thresholds = Thresholds {
            min_healthy: thresholds.0,
            panic_threshold: thresholds.1,
        };
        service.table_slots = table_slots;
        service.source_limit = limit.map(|rate| SourceLimit::new(rate, None));
        for (address, state, mode, weight, role) in backends {
            let mut backend = backend(address);
            backend.weight = Weight::try_from(weight).unwrap();
            (backend.state, backend.mode, backend.role) = (state, mode, role);
            service.backends.insert(backend.address, backend);
        }
        service
    })
}

/// Every VIP belongs to one of the services or to nobody.
fn configurations() -> impl Strategy<Value = Desired> {
    let owners = vec(0..=SERVICES.len(), VIPS.len());
    let blocked = subsequence(BLOCKED.to_vec(), 0..=BLOCKED.len());
    (SERVICES.map(services), owners, blocked).prop_map(|(mut services, owners, blocked)| {
        for (vip, owner) in VIPS.iter().zip(owners) {
            if let Some(service) = services.get_mut(owner) {
                service.vips.insert(vip.parse().unwrap());
            }
        }
        let published = services.into_iter().filter(|it| !it.vips.is_empty());
        Desired {
            services: published
                .map(|it| (it.name.clone(), Arc::new(it)))
                .collect(),
            blocklist: blocked.iter().map(|text| text.parse().unwrap()).collect(),
        }
    })
}

fn next_hops(address: &'static str) -> impl Strategy<Value = Option<Result<NextHop, Unresolved>>> {
    let ip = address.parse::<SocketAddr>().unwrap().ip();
    let known =
        (1..4_u32, any::<bool>(), any::<u8>()).prop_map(move |(interface, on_link, last)| {
            Some(Ok(NextHop {
                interface,
                on_link,
                source_mac: [2, 0, 0, 0, 0, last],
                ..next_hop(ip)
            }))
        });
    prop_oneof![
        4 => known,
        1 => Just(None),
        1 => Just(Some(Err(Unresolved::NoRoute))),
    ]
}

/// What an operator does.
fn changes() -> impl Strategy<Value = Event> {
    let change = (
        select(&SERVICES),
        select(&BACKENDS),
        states(),
        modes(),
        1..4_u32,
    );
    prop_oneof![
        configurations().prop_map(Event::Want),
        change.prop_map(|(service, address, state, mode, weight)| {
            Event::Change(service, address, state, mode, weight)
        }),
    ]
}

/// What anybody does.
fn events() -> impl Strategy<Value = Event> {
    let health = select(vec![Health::Unknown, Health::Up, Health::Down]);
    let next_hop = select(&BACKENDS)
        .prop_flat_map(|address| next_hops(address).prop_map(move |hop| (address, hop)));
    prop_oneof![
        4 => changes(),
        3 => (select(&SERVICES), select(&BACKENDS), health)
            .prop_map(|(service, address, health)| Event::Health(service, address, health)),
        3 => next_hop.prop_map(|(address, hop)| Event::NextHop(address, hop)),
        1 => proptest::collection::btree_set(1..6_u32, 0..3).prop_map(Event::Interfaces),
        1 => Just(Event::Restart),
    ]
}

/// Nothing is published; every backend is on the link.
fn empty(capacity: Capacity) -> Lab {
    let mut lab = Lab::sized(capacity);
    for address in BACKENDS {
        let ip = address.parse::<SocketAddr>().unwrap().ip();
        lab.next_hops.insert(ip, Ok(next_hop(ip)));
    }
    lab
}

fn happen(lab: &mut Lab, event: &Event) {
    match event {
        Event::Want(desired) => lab.desired = desired.clone(),
        Event::Change(service, address, state, mode, weight) => {
            let service = lab.desired.services.get_mut(&service.parse().unwrap());
            let address = address.parse().unwrap();
            if let Some(backend) =
                service.and_then(|it| Arc::make_mut(it).backends.get_mut(&address))
            {
                (backend.state, backend.mode) = (*state, *mode);
                backend.weight = Weight::try_from(*weight).unwrap();
            }
        }
        Event::Health(service, address, health) => {
            lab.health.insert(target(service, address), *health);
        }
        Event::NextHop(address, hop) => {
            let ip = address.parse::<SocketAddr>().unwrap().ip();
            lab.next_hops.remove(&ip);
            lab.next_hops.extend(hop.clone().map(|hop| (ip, hop)));
        }
        Event::Interfaces(interfaces) => lab.interfaces.clone_from(interfaces),
        Event::Restart => {
            lab.memory = std::mem::take(&mut lab.memory).restarted();
            lab.tables = Tables::default();
        }
    }
}

/// What is in the kernel is what is wanted, no more and no less.
fn assert_settled(lab: &mut Lab, plan: &Plan) {
    let again = lab.plan();
    assert!(again.is_empty(), "planned again: {again:?}");
    assert_eq!(again.serving, plan.serving);
    let actual = &lab.memory.actual;
    let mut vips: BTreeMap<Vip, VipEntry> = BTreeMap::new();
    let mut numbers: BTreeSet<ServiceId> = BTreeSet::new();
    for service in lab.desired.services.values() {
        let first = service.vips.first().unwrap();
        let entry = actual.vips[first];
        assert!(numbers.insert(entry.service), "{:?} twice", entry.service);
        assert_eq!(entry.source_limit, service.source_limit, "{first}");
        for vip in &service.vips {
            let generation = actual.vips[vip].generation;
            vips.insert(
                *vip,
                VipEntry {
                    generation,
                    ..entry
                },
            );
        }
        assert_serves(lab, service, entry, plan);
    }
    assert_eq!(actual.vips, vips);
    let addresses: BTreeSet<Prefix> = vips.keys().map(|vip| vip.addresses).collect();
    assert_eq!(actual.addresses, addresses);
    assert_eq!(actual.blocklist, lab.desired.blocklist);
    for (id, entry) in &actual.backends {
        let mut owners = lab.desired.services.values();
        let owner = owners.find(|it| vips[it.vips.first().unwrap()].service == entry.service);
        let wanted = owner.and_then(|it| it.backends.get(&entry.address));
        assert!(
            wanted.is_some_and(|it| it.mode == entry.mode),
            "{id:?} is nobody's: {entry:?}"
        );
    }
    let hops = lab.next_hops.values().flatten().map(|hop| hop.interface);
    let kept = actual
        .backends
        .values()
        .map(|entry| entry.next_hop.interface);
    let used: BTreeSet<u32> = hops.chain(kept).chain(lab.interfaces.clone()).collect();
    assert_eq!(actual.devices, used);
}

/// The slots that `entry` leads to name the backends that should serve, and only those.
fn assert_serves(lab: &Lab, service: &Service, entry: VipEntry, plan: &Plan) {
    let serving: BTreeSet<SocketAddr> = service
        .backends
        .keys()
        .copied()
        .filter(|address| should_serve(lab, service, *address))
        .collect();
    let slots = match serving.len() {
        0 => 0,
        _ => service.table_slots.slots(service.backends.len()),
    };
    assert_eq!(entry.region.slots, slots, "{service:?}");
    let table = if slots == 0 {
        &[]
    } else {
        lab.memory.slots(entry.region)
    };
    let mut named = BTreeSet::new();
    for id in names(table) {
        let backend = lab.memory.actual.backends[&id];
        assert_eq!(backend.service, entry.service);
        named.insert(backend.address);
    }
    assert_eq!(named, serving, "{service:?}");
    for address in service.backends.keys() {
        let said = &plan.serving[&target(service.name.as_str(), &address.to_string())];
        assert_eq!(
            matches!(said, Serving::Slots(_)),
            serving.contains(address),
            "{address}: {said:?}"
        );
    }
}

/// Publishes; every publication has a number of its own, larger than the last.
fn publish(lab: &mut Lab, last: &mut u32) -> Plan {
    let plan = lab.publish();
    let new = if plan.publish.is_empty() {
        *last
    } else {
        *last + 1
    };
    assert!(
        plan.generation >= new,
        "generation {} after {last}",
        plan.generation
    );
    *last = plan.generation;
    plan
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_published_is_what_is_wanted_and_no_step_on_the_way_harms_a_packet(
        events in vec((events(), any::<bool>()), 1..16),
    ) {
        let mut lab = empty(ROOMY);
        let mut last = 0;
        for (event, clean_up_late) in events {
            happen(&mut lab, &event);
            let plan = publish(&mut lab, &mut last);
            if clean_up_late {
                continue;
            }
            lab.run(&plan.clean).unwrap();
            assert_settled(&mut lab, &plan);
        }
        publish(&mut lab, &mut last);
        let plan = lab.settle();
        assert_settled(&mut lab, &plan);
    }

    #[test]
    fn after_a_failure_at_any_step_the_old_can_be_restored_and_the_new_finished(
        before in vec(events(), 1..6),
        next in vec(events(), 1..4),
        works in 0..30_usize,
        undo: bool,
    ) {
        let mut lab = empty(ROOMY);
        let mut last = 0;
        for event in before {
            happen(&mut lab, &event);
            lab.settle();
        }
        for event in next {
            let old = lab.desired.clone();
            happen(&mut lab, &event);
            let plan = lab.plan();
            lab.memory.fails_after = Some(works);
            let steps = [plan.publish, plan.clean].concat();
            let failed = lab.run(&steps).is_err();
            assert_eq!(failed, works < steps.len());
            lab.memory.fails_after = None;
            if failed && undo {
                lab.desired = old;
            }
            let plan = publish(&mut lab, &mut last);
            lab.run(&plan.clean).unwrap();
            assert_settled(&mut lab, &plan);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_harms_nothing(
        changes in vec(changes(), 1..12),
        tables in 1..10_u32,
        backends in 2..24_u32,
        vips in 2..12_u32,
    ) {
        let mut lab = empty(Capacity { slots: tables * 1_024, backends, vips, ..ROOMY });
        lab.settle();
        let mut settled = lab.desired.clone();
        for change in changes {
            happen(&mut lab, &change);
            let plan = lab.plan();
            if plan.shortages.is_empty() {
                lab.run(&plan.publish).unwrap();
                lab.run(&plan.clean).unwrap();
                settled = lab.desired.clone();
            } else {
                lab.desired = settled.clone();
            }
            let plan = lab.plan();
            assert_settled(&mut lab, &plan);
        }
    }

    #[test]
    fn what_fits_is_published_as_far_as_it_goes(
        desired in configurations(),
        tables in 1..10_u32,
        backends in 2..24_u32,
        vips in 2..12_u32,
    ) {
        let mut lab = empty(Capacity { slots: tables * 1_024, backends, vips, ..ROOMY });
        lab.desired = desired;
        let plan = lab.plan();
        lab.run(&plan.publish).unwrap();
        lab.run(&plan.clean).unwrap();
        let again = lab.plan();
        prop_assert!(again.is_empty(), "planned again: {:?}", again);
        prop_assert_eq!(again.shortages, plan.shortages);
    }
}
