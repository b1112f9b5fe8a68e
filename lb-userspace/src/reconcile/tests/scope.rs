//! Plans for some services come to what plans for all come to: two reconcilers live through the same history, of which
//! one always looks at everything.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use proptest::prelude::*;

use super::*;
use crate::model::{Algorithm, Aliases, Probe, ProbeKind, ServiceName, Via, Vip};

/// Services, backends of each, and their VIPs: few, so that they get into each other's way.
const SERVICES: u8 = 4;
const BACKENDS: u8 = 5;

#[derive(Clone, Debug)]
enum Event {
    /// A service comes, with one backend, or goes.
    Service(u8, bool),
    /// A service has this VIP and no other.
    Vip(u8, u8),
    /// A backend comes, with this mode, or goes.
    Backend(u8, u8, Option<Mode>),
    Weight(u8, u8, u32),
    State(u8, u8, AdminState),
    Algorithm(u8, Algorithm),
    /// What probing says of a backend.
    Health(u8, u8, Health),
    /// The way to a backend is lost, or there again: of whom that is is not known.
    NextHop(u8, bool),
    /// What was published is read again.
    Refresh,
    /// The next step but so many fails, and all is tried again.
    Failure(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let service = 0..SERVICES;
    let backend = 0..BACKENDS;
    let mode = prop::option::weighted(0.7, prop::sample::select(vec![Mode::L2, Mode::Nat]));
    let state = vec![AdminState::Up, AdminState::Drain, AdminState::Down];
    let health = vec![Health::Up, Health::Down, Health::Unknown];
    let algorithm = vec![
        Algorithm::Maglev,
        Algorithm::RoundRobin,
        Algorithm::LeastConnections,
    ];
    let event = prop_oneof![
        2 => (service.clone(), any::<bool>()).prop_map(|(service, comes)| Event::Service(service, comes)),
        1 => (service.clone(), 0..6_u8).prop_map(|(service, vip)| Event::Vip(service, vip)),
        6 => (service.clone(), backend.clone(), mode).prop_map(|(service, backend, mode)| Event::Backend(service, backend, mode)),
        2 => (service.clone(), backend.clone(), 1..4_u32).prop_map(|(service, backend, weight)| Event::Weight(service, backend, weight)),
        3 => (service.clone(), backend.clone(), prop::sample::select(state)).prop_map(|(service, backend, state)| Event::State(service, backend, state)),
        1 => (service.clone(), prop::sample::select(algorithm)).prop_map(|(service, algorithm)| Event::Algorithm(service, algorithm)),
        6 => (service, backend.clone(), prop::sample::select(health)).prop_map(|(service, backend, health)| Event::Health(service, backend, health)),
        1 => (backend, any::<bool>()).prop_map(|(backend, known)| Event::NextHop(backend, known)),
        1 => Just(Event::Refresh),
        1 => (0..4_usize).prop_map(Event::Failure),
    ];
    prop::collection::vec(event, 1..60)
}

fn service_name(service: u8) -> ServiceName {
    format!("s{service}").parse().unwrap()
}

fn vip(number: u8) -> Vip {
    format!("192.0.2.{number}:80/tcp").parse().unwrap()
}

/// All services have the same machines.
fn backend_address(backend: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, backend + 1], 80))
}

fn backend_at(backend: u8, mode: Mode) -> Backend {
    let Service { backends, .. } = web(&[ONE]);
    Backend {
        address: backend_address(backend),
        mode,
        ..backends.into_values().next().unwrap()
    }
}

/// A reconciler, and what its plans have said.
struct Side {
    reconciler: Reconciler<Memory>,
    said: Plan,
}

impl Side {
    fn new(capacity: Capacity) -> Self {
        Self {
            reconciler: Reconciler::new(Memory::new(capacity)),
            said: Plan::default(),
        }
    }

    /// Publishes as the daemon does; after a failure, for all.
    fn reconcile(&mut self, lab: &Lab, scope: &Scope) {
        let world = lab.world();
        let plan = self
            .reconciler
            .publish_what_fits(&lab.desired, world, scope)
            .unwrap_or_else(|_| {
                self.reconciler.dataplane_mut().fails_after = None;
                self.reconciler
                    .publish_what_fits(&lab.desired, world, &Scope::All)
                    .unwrap()
            });
        self.said.absorb(plan);
        self.reconciler.dataplane_mut().fails_after = None;
        self.reconciler.clean(&self.said).unwrap();
    }
}

impl Lab {
    fn world(&self) -> World<'_> {
        World {
            health: &self.health,
            next_hops: &self.next_hops,
            interfaces: &self.interfaces,
            vlans: &self.vlans,
            sources: ChosenSources::default(),
            probes: ProbeWay::default(),
            knowledge: &COMPLETE,
        }
    }

    /// Changes what is wanted or known; whom it concerns.
    fn take(&mut self, event: &Event) -> Scope {
        let before = self.desired.clone();
        let wanted = |service: u8| service_name(service);
        match event {
            Event::Service(number, true)
                if !self.desired.services.contains_key(&wanted(*number)) =>
            {
                let backend = backend_at(*number, Mode::L2);
                let new = Service {
                    name: wanted(*number),
                    vips: [vip(*number)].into(),
                    backends: [(backend.address, backend)].into(),
                    ..web(&[ONE])
                };
                let taken = |other: &Arc<Service>| other.vips.contains(&vip(*number));
                if !self.desired.services.values().any(taken) {
                    self.want(new);
                }
            }
            Event::Service(_, true) => {}
            Event::Service(number, false) => {
                self.desired.services.remove(&wanted(*number));
            }
            Event::Vip(number, new) => {
                let taken = |other: &Arc<Service>| other.vips.contains(&vip(*new));
                if !self.desired.services.values().any(taken) {
                    self.revise(*number, |service| service.vips = [vip(*new)].into());
                }
            }
            Event::Backend(number, backend, mode) => self.revise(*number, |service| {
                let address = backend_address(*backend);
                match mode {
                    Some(mode) => {
                        service
                            .backends
                            .insert(address, backend_at(*backend, *mode));
                    }
                    None => {
                        service.backends.remove(&address);
                    }
                }
            }),
            Event::Weight(number, backend, weight) => self.revise(*number, |service| {
                if let Some(backend) = service.backends.get_mut(&backend_address(*backend)) {
                    backend.weight = Weight::try_from(*weight).unwrap();
                }
            }),
            Event::State(number, backend, state) => self.revise(*number, |service| {
                if let Some(backend) = service.backends.get_mut(&backend_address(*backend)) {
                    backend.state = *state;
                }
            }),
            Event::Algorithm(number, algorithm) => {
                self.revise(*number, |service| service.algorithm = *algorithm);
            }
            Event::Health(number, backend, health) => {
                let target = Target {
                    service: wanted(*number),
                    address: backend_address(*backend),
                };
                if !self.desired.services.contains_key(&target.service) {
                    return Scope::none();
                }
                self.health.insert(target, *health);
                return Scope::of(&wanted(*number));
            }
            Event::NextHop(backend, is_known) => {
                let address: IpAddr = backend_address(*backend).ip();
                let lost = Err(crate::neighbor::Unresolved::NoRoute);
                let known = self.next_hops.values().flatten().next().copied();
                let hop = known.filter(|_| *is_known).map_or(lost, Ok);
                self.next_hops.insert(address, hop);
                return Scope::All;
            }
            Event::Refresh | Event::Failure(_) => return Scope::All,
        }
        self.desired.scope_since(&before)
    }

    fn revise(&mut self, number: u8, revision: impl FnOnce(&mut Service)) {
        if let Some(service) = self.desired.services.get_mut(&service_name(number)) {
            revision(Arc::make_mut(service));
        }
    }
}

#[test]
fn a_backend_where_aliases_are_taken_from_concerns_all() {
    let mut lab = Lab::new(Capacity::default());
    let mut probed = web(&[ONE]);
    probed.probe = Some(Probe {
        via: Via::Vip,
        ..Probe::new(ProbeKind::Tcp)
    });
    lab.want(probed);
    lab.take(&Event::Service(3, true));
    lab.publish().unwrap();
    let taken = Aliases::default().v4.prefix().last();
    lab.revise(3, |service| {
        let address = SocketAddr::new(taken, 80);
        let backend = Backend {
            address,
            ..backend_at(0, Mode::L2)
        };
        service.backends.insert(address, backend);
    });
    let (desired, world, reconciler) = lab.parts();
    let refused = reconciler.publish(desired, world, &Scope::of(&service_name(3)));
    let why = refused.unwrap_err().to_string();
    assert!(why.contains("probe_aliases"), "{why}");
}

proptest! {
    #[test]
    fn what_concerns_some_is_planned_as_if_it_concerned_all(
        events in events(),
        // Where not all fit, and where they do.
        backends in prop::sample::select(vec![6, 64]),
    ) {
        let capacity = Capacity { slots: 1 << 15, backends, ..Capacity::default() };
        let mut lab = Lab::new(capacity);
        let hop = *lab.next_hops.values().next().unwrap().as_ref().unwrap();
        // One way is never lost, so that the interface stays.
        lab.next_hops.insert([10, 0, 9, 9].into(), Ok(hop));
        for backend in 0..BACKENDS {
            lab.next_hops.insert(backend_address(backend).ip(), Ok(hop));
        }
        let [mut whole, mut scoped] = [Side::new(capacity), Side::new(capacity)];
        for event in &events {
            if let Event::Failure(steps) = event {
                for side in [&mut whole, &mut scoped] {
                    side.reconciler.dataplane_mut().fails_after = Some(*steps);
                }
                continue;
            }
            if matches!(event, Event::Refresh) {
                for side in [&mut whole, &mut scoped] {
                    side.reconciler.refresh().unwrap();
                }
            }
            let scope = lab.take(event);
            whole.reconcile(&lab, &Scope::All);
            scoped.reconcile(&lab, &scope);
            prop_assert_eq!(whole.reconciler.dataplane().actual(), scoped.reconciler.dataplane().actual(), "{:?}", event);
            let said = |side: &Side| Plan { scope: Scope::All, ..side.said.clone() };
            prop_assert_eq!(said(&whole), said(&scoped), "{:?}", event);
        }
    }
}
