//! A plan in the making: one pass over services and backends, collecting steps by their place in the order.

use std::collections::BTreeSet;

use lb_common::backend::BackendId;

use super::{
    Emergency, Input, NotServing, Plan, Shortage,
    emergency::{Candidate, emergency},
    index::Index,
    paths::{Numbered, Paths},
    regions::Regions,
    servers::Servers,
    tracking::Scale,
    vips::Vips,
};
use crate::{
    dataplane::{BackendEntry, ServerEntry, ServerKey, ServiceId, Step},
    health::Target,
    model::{AdminState, Backend, Health, Mode, Role, Service, Source},
    neighbor::{NextHop, Unresolved},
};

/// Where a backend's packets go, and where the outer headers of a tunnel to it come from.
type Way = (NextHop, Option<Source>);

/// What becomes of a backend.
pub(super) enum Place {
    /// New flows go to it.
    Serves(BackendId),
    /// None do, and it keeps those that it has, by the way to it that was known last.
    Leaves(BackendId, NotServing),
    /// None do, and its slots move at once.
    Out(NotServing),
}

/// A plan in the making.
pub(super) struct Planner<'a> {
    pub(super) input: Input<'a>,
    /// The number that new publications and new backends get.
    pub(super) next: u32,
    /// Finds things in `input.actual`.
    pub(super) index: &'a Index,
    /// Numbers of wanted backends.
    pub(super) backends: BTreeSet<BackendId>,
    /// Backend numbers below this one are in use.
    lowest_free: u32,
    /// Interfaces that wanted backends are reached by, if only with an old next hop.
    pub(super) interfaces: BTreeSet<u32>,
    pub(super) regions: Regions,
    pub(super) servers: Servers,
    pub(super) paths: Paths,
    pub(super) vips: Vips,
    pub(super) write_backends: Vec<Step>,
    pub(super) write_tables: Vec<Step>,
    pub(super) write_vips: Vec<Step>,
    pub(super) silence_backends: Vec<Step>,
    pub(super) plan: Plan,
}

impl<'a> Planner<'a> {
    pub(super) fn new(input: Input<'a>, index: &'a Index, vips: Vips) -> Self {
        Self {
            input,
            next: input.actual.generation + 1,
            index,
            backends: BTreeSet::new(),
            lowest_free: index.lowest_free,
            interfaces: BTreeSet::new(),
            servers: Servers::default(),
            paths: Paths::default(),
            regions: Regions::new(index.regions(), input.actual, input.capacity.slots),
            vips,
            write_backends: Vec::new(),
            write_tables: Vec::new(),
            write_vips: Vec::new(),
            silence_backends: Vec::new(),
            plan: Plan::default(),
        }
    }

    /// Plans one backend.
    pub(super) fn backend(
        &mut self,
        id: ServiceId,
        service: &Service,
        backend: &Backend,
        target: &Target,
        emergency: Option<Emergency>,
    ) -> Place {
        let health = match (emergency, backend.role) {
            (Some(Emergency::Panic), Role::Ordinary) => Health::Up,
            _ => self.health(target),
        };
        let serves = match (backend.state, health) {
            (AdminState::Down, _) => Err(NotServing::Disabled),
            (AdminState::Drain, _) => Err(NotServing::Draining),
            (AdminState::Up, Health::Down) => Err(NotServing::Unhealthy),
            (AdminState::Up, Health::Unknown) => Err(NotServing::HealthUnknown),
            (AdminState::Up, Health::Up)
                if backend.role == Role::Fallback && emergency != Some(Emergency::Fallback) =>
            {
                Err(NotServing::Standby)
            }
            (AdminState::Up, Health::Up) if self.scale(service, target).drains => {
                Err(NotServing::AgentDrains)
            }
            (AdminState::Up, Health::Up) => Ok(()),
        };
        let (known, before) = self.before(id, backend);
        let way = self.way(backend, before);
        let own = way.as_ref().ok().and_then(|(hop, _)| hop.source);
        let why_not = serves.err().or(way.clone().err());
        // A known backend whose next hop is lost keeps the old one for the flows it has.
        let before_way = before.map(|entry| (entry.next_hop, entry.source));
        let Some((next_hop, source)) = way.ok().or(before_way) else {
            return Place::Out(why_not.unwrap_or(NotServing::NextHopPending));
        };
        let number = match known.map_or_else(|| self.new_number(target), Ok) {
            Ok(number) => number,
            Err(why) => return Place::Out(why),
        };
        let entry = BackendEntry {
            generation: before.map_or(self.next, |entry| entry.generation),
            service: id,
            address: backend.address,
            mode: backend.mode,
            // What the map does not hold is as `actual` reads it.
            next_hop: NextHop {
                on_link: backend.mode == Mode::L2,
                source: None,
                ..next_hop
            },
            source,
            active: backend.state != AdminState::Down && health != Health::Down,
            load_weight: if service.algorithm.counts_flows() {
                backend.weight.get() * self.scale(service, target).percent
            } else {
                0
            },
        };
        self.backends.insert(number);
        self.name(id, service, backend, number, entry.generation);
        let numbered = Numbered {
            number,
            generation: entry.generation,
            source: own,
        };
        self.lead(service, backend, &numbered);
        if backend.mode != Mode::Local {
            self.interfaces.insert(entry.next_hop.interface);
        }
        if before != Some(entry) {
            self.write_backend(number, entry);
        }
        match why_not {
            None => Place::Serves(number),
            Some(why) if entry.active => Place::Leaves(number, why),
            Some(why) => Place::Out(why),
        }
    }

    /// What probing has concluded; a backend that nobody probes is taken to be up.
    fn health(&self, target: &Target) -> Health {
        self.input
            .world
            .health
            .get(target)
            .copied()
            .unwrap_or(Health::Up)
    }

    /// How much of its weight a backend has at present.
    pub(super) fn scale(&self, service: &Service, target: &Target) -> Scale {
        let scales = &self.input.world.knowledge.scales;
        let scale = scales
            .get(target)
            .filter(|_| service.dynamic_weights.is_some());
        scale.copied().unwrap_or(Scale::WHOLE)
    }

    /// The number and the entry that a backend has in the kernel.
    pub(super) fn before(
        &self,
        service: ServiceId,
        backend: &Backend,
    ) -> (Option<BackendId>, Option<BackendEntry>) {
        let number = self.index.backend(service, backend.address, backend.mode);
        let entry = number.and_then(|number| self.input.actual.backends.get(&number));
        (number, entry.copied())
    }

    /// Whether too few backends of `service` are left.
    pub(super) fn emergency(&self, id: ServiceId, service: &Service) -> Option<Emergency> {
        let is_fallback = |backend: &Backend| backend.role == Role::Fallback;
        if service.thresholds.panic_threshold == 0 && !service.backends.values().any(is_fallback) {
            return None;
        }
        let candidate = |backend: &Backend| {
            let target = Target::of(service, backend.address);
            let (_, before) = self.before(id, backend);
            let takes_flows =
                self.way(backend, before).is_ok() && !self.scale(service, &target).drains;
            Candidate::new(backend, self.health(&target), takes_flows)
        };
        let candidates: Vec<Candidate> = service.backends.values().map(candidate).collect();
        emergency(service.thresholds, &candidates)
    }

    /// Gives a backend its QUIC server ids, whether or not it serves: connections that it has go on.
    fn name(
        &mut self,
        service: ServiceId,
        of: &Service,
        backend: &Backend,
        number: BackendId,
        generation: u32,
    ) {
        let ids = backend.server_ids.iter();
        for id in ids.copied().filter(|id| of.quic_lb.may_hold(*id)) {
            let entry = ServerEntry {
                backend: number,
                generation,
            };
            self.servers.want(ServerKey { service, id }, entry);
        }
    }

    /// Before the tables if flows may go to it; after the VIPs if they no longer may, for until then the
    /// old tables name it.
    pub(super) fn write_backend(&mut self, id: BackendId, entry: BackendEntry) {
        let step = Step::PutBackend(id, entry);
        if entry.active {
            self.write_backends.push(step);
        } else {
            self.silence_backends.push(step);
        }
    }

    /// Where packets to `backend` go and, in modes with a source of our own, come from. What has not been asked for yet
    /// is what it was before: at a restart nothing moves only because the answers are late.
    fn way(&self, backend: &Backend, before: Option<BackendEntry>) -> Result<Way, NotServing> {
        let address = backend.address.ip();
        match self.input.world.next_hops.get(&address) {
            None => before
                .map(|entry| (entry.next_hop, entry.source))
                .ok_or(NotServing::NextHopPending),
            Some(Err(Unresolved::Local)) if backend.mode == Mode::Local => {
                Ok((NextHop::default(), None))
            }
            Some(_) if backend.mode == Mode::Local => Err(NotServing::NotThisHost),
            Some(Err(why)) => Err(NotServing::Unresolved(why.clone())),
            Some(Ok(hop)) if backend.mode == Mode::L2 && !hop.on_link => {
                Err(NotServing::BehindGateway)
            }
            Some(Ok(hop)) if backend.mode.has_source() => {
                let chosen = self.input.world.sources.towards(backend.mode, address);
                let source = chosen.or_else(|| hop.source.map(Source::from));
                let source = source.ok_or(NotServing::NoSource(backend.mode))?;
                Ok((*hop, Some(source)))
            }
            Some(Ok(hop)) => Ok((*hop, None)),
        }
    }

    fn new_number(&mut self, target: &Target) -> Result<BackendId, NotServing> {
        let capacity = self.input.capacity.backends;
        let taken = &self.input.actual.backends;
        let free =
            (self.lowest_free..capacity).find(|number| !taken.contains_key(&BackendId(*number)));
        let Some(number) = free else {
            self.lowest_free = capacity;
            self.plan.shortages.push(Shortage::Backends {
                target: target.clone(),
                capacity,
            });
            return Err(NotServing::NoRoom);
        };
        self.lowest_free = number + 1;
        Ok(BackendId(number))
    }

    /// Whether all configured backends could have a number; those that asked for one and got none have said so.
    pub(super) fn backend_room(&mut self) {
        let services = self.input.desired.services.values();
        let wanted = services.map(|service| service.backends.len()).sum();
        let capacity = self.input.capacity.backends;
        let is_told = |shortage: &Shortage| matches!(shortage, Shortage::Backends { .. });
        if wanted >= capacity as usize && !self.plan.shortages.iter().any(is_told) {
            self.plan
                .shortages
                .push(Shortage::TooManyBackends { wanted, capacity });
        }
    }

    /// Whether all services have a number; so many have.
    pub(super) fn service_room(&mut self, numbered: usize) {
        let wanted = self.input.desired.services.len();
        if numbered < wanted {
            self.plan.shortages.push(Shortage::Services { wanted });
        }
    }
}
