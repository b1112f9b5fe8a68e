//! What is followed for the wanted backends: health by probes, next hops by netlink.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};

use super::{core::Core, event::Event, patience::Patience};
use crate::{
    dataplane::Dataplane,
    desired::Desired,
    health::{Interest, Observation, Target, machine::Machine},
    model::{Health, Probe, Scope},
    neighbor::Unresolved,
    plan::Serving,
};

impl Core {
    /// Backends that the data plane sends new flows to already: an earlier process found them healthy.
    pub(super) fn adopted(&self) -> BTreeSet<Target> {
        let actual = self.reconciler.dataplane().actual();
        let in_tables: BTreeSet<_> = actual
            .tables
            .values()
            .flat_map(|table| table.iter())
            .map(|slot| slot.backend())
            .collect();
        let serving = actual
            .backends
            .iter()
            .filter(|(id, _)| in_tables.contains(id))
            .map(|(_, entry)| entry);
        let serving: BTreeSet<_> = serving
            .map(|entry| (entry.service, entry.address))
            .collect();
        let mut adopted = BTreeSet::new();
        for service in self.desired.services.values() {
            let Some(number) = actual.service_of(&service.vips) else {
                continue;
            };
            let addresses = service
                .backends
                .keys()
                .filter(|address| serving.contains(&(number, **address)));
            adopted.extend(addresses.map(|address| Target::of(service, *address)));
        }
        adopted
    }

    /// Backends of those concerned that new flows go to now: one that is probed for the first time stays in service until
    /// probes say otherwise.
    pub(super) fn serving(&self, scope: &Scope) -> BTreeSet<Target> {
        let serving = scope.part(&self.plan.serving);
        let serving = serving.filter(|(_, serving)| matches!(serving, Serving::Slots(_)));
        serving.map(|(target, _)| target.clone()).collect()
    }

    /// Has the probes and next hops of the wanted backends of those concerned followed, in the place of those that were
    /// wanted `before`.
    pub(super) fn watch(&mut self, scope: &Scope, before: &Desired, adopted: &BTreeSet<Target>) {
        let mut probes: BTreeMap<Target, Probe> = BTreeMap::new();
        for service in self.desired.within(scope) {
            for backend in service.backends.values() {
                if let Some(probe) = service.probe_of(backend) {
                    probes.insert(Target::of(service, backend.address), probe);
                }
            }
        }
        self.book.set_targets(scope, &probes, adopted);
        self.edges.prober.watch(scope, &probes);
        let [added, removed] = [&self.desired, before].map(|it| addresses(it, scope));
        self.edges.resolver.change(added, removed);
        self.restless.follow(&self.desired, scope);
        self.follow_weights(scope);
        // Who is probed already goes on; which results count may be another question now.
        for target in probes.keys() {
            self.attend(target);
        }
    }

    /// Has the results of a target's probes told that matter now.
    fn attend(&mut self, target: &Target) {
        if let Some(interest) = self.interest(target) {
            self.edges.prober.attend(target, interest);
        }
    }

    /// Which results of a target's probes matter; `None` if it is not probed.
    fn interest(&self, target: &Target) -> Option<Interest> {
        let interest = self.book.entry(target)?.interest();
        Some(match interest {
            Interest::Failures if self.is_timed(target) => Interest::All,
            Interest::Failures | Interest::All | Interest::Soon => interest,
        })
    }

    /// Waits until the resolver has an answer for the backends that are new, those that nobody wanted yet when `open` were
    /// unanswered; but not for long (see [`Patience`]): those that do not answer are left out of the tables until they do.
    /// Returns whether next hops of others have changed meanwhile.
    pub(super) async fn await_next_hops(&mut self, open: &BTreeSet<IpAddr>) -> bool {
        let unanswered = self.edges.resolver.unanswered();
        let new: BTreeSet<IpAddr> = unanswered.difference(open).copied().collect();
        let mut patience = Patience::new(new.len(), Instant::now());
        let mut left = new.clone();
        let mut concerns_others = false;
        loop {
            left.retain(|address| self.is_open(address));
            if left.is_empty() {
                break;
            }
            let unanswered = self.edges.resolver.unanswered();
            let is_unanswered = left.iter().any(|address| unanswered.contains(address));
            let deadline = patience.until(is_unanswered);
            match timeout_at(deadline, self.edges.next_hop_updates.recv()).await {
                Ok(Some(changes)) => {
                    concerns_others |= changes.destinations().any(|it| !new.contains(&it));
                    let mut told = changes.changed.keys();
                    if told.any(|address| self.edges.resolver.unanswered().contains(address)) {
                        patience.heard(Instant::now());
                    }
                    self.edges.resolver.take_over(changes, &mut self.next_hops);
                }
                Ok(None) | Err(_) => break,
            }
        }
        concerns_others
    }

    /// Whether the next hop of this destination may yet be found: nothing has been heard of it, or only that its
    /// neighbour is being asked for.
    fn is_open(&self, destination: &IpAddr) -> bool {
        let next_hop = self.next_hops.get(destination);
        self.edges.resolver.unanswered().contains(destination)
            || matches!(next_hop, Some(Err(Unresolved::NoNeighbor { .. })))
    }

    /// Takes over what probes have found and agents said: all that waits in the queue, so that what fails together moves
    /// with one publication. Returns the event that came behind it.
    pub(super) fn hear(
        &mut self,
        first: Event,
        queue: &mut mpsc::Receiver<Event>,
    ) -> Option<Event> {
        let mut concerned = Scope::none();
        let mut next = Some(first);
        let mut waiting = queue.len();
        while let Some((target, changes)) = next.as_ref().and_then(|event| self.note_event(event)) {
            if changes {
                concerned.add(&target.service);
            }
            next = (waiting > 0).then(|| queue.try_recv().ok()).flatten();
            waiting = waiting.saturating_sub(1);
        }
        if !concerned.is_none() {
            self.reconcile(concerned);
        }
        next
    }

    /// Takes note of what a probe or an agent has found; of whom, and whether something is to be published for it. `None`:
    /// it is another event.
    fn note_event<'e>(&mut self, event: &'e Event) -> Option<(&'e Target, bool)> {
        match event {
            Event::Observed(observation) => Some((&observation.target, self.note(observation))),
            Event::Asked(target, answer) => Some((target, self.asked(target, *answer))),
            Event::Call(_)
            | Event::NextHops(_)
            | Event::Interfaces(_)
            | Event::Looked(_)
            | Event::Waited(_)
            | Event::Tick
            | Event::Reload
            | Event::Stop => None,
        }
    }

    /// Takes note of what a probe has found; whether a backend's health is another now.
    fn note(&mut self, observation: &Observation) -> bool {
        self.measured(observation);
        let transition = self.book.observe(observation);
        let target = &observation.target;
        self.attend(target);
        if let Some(transition) = transition {
            let since = self.reacting_since.get_or_insert(observation.over);
            *since = observation.over.min(*since);
            let machine = self.book.entry(target);
            let reason = machine.map(Machine::reason).unwrap_or_default();
            self.edges.announcer.health(target, transition, reason);
        }
        transition.is_some()
    }

    /// The health that the backends of `desired` would begin with.
    pub(super) fn health_of(&self, desired: &Desired) -> BTreeMap<Target, Health> {
        let serving = self.serving(&Scope::All);
        let probed = targets(desired).map(|target| {
            let health = match self.book.entry(&target) {
                Some(machine) => machine.health(),
                None if serving.contains(&target) => Health::Up,
                None => Health::Unknown,
            };
            (target, health)
        });
        probed.collect()
    }
}

/// The addresses of the backends of those concerned, as often as backends have them.
fn addresses(desired: &Desired, scope: &Scope) -> Vec<IpAddr> {
    let services = desired.within(scope);
    let backends = services.flat_map(|service| service.backends.keys());
    backends.map(SocketAddr::ip).collect()
}

/// The backends that are probed.
fn targets(desired: &Desired) -> impl Iterator<Item = Target> {
    let services = desired.services.values();
    let probed = services.filter(|service| service.probe.is_some());
    probed.flat_map(|service| {
        let backends = service.backends.keys();
        backends.map(|address| Target::of(service, *address))
    })
}
