//! A plan in the making: one pass over services and backends, collecting steps by their place in the order.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use lb_common::{backend::BackendId, table::Slot, vlan::VlanDevice};

use super::{
    Emergency, Input, NotServing, Plan, Serving, Shortage, Tables,
    emergency::{Candidate, emergency},
    paths::{Numbered, Paths},
    regions::Regions,
    servers::Servers,
    tables::Members,
    vips::Vips,
};
use crate::{
    dataplane::{BackendEntry, Region, ServerEntry, ServerKey, ServiceId, Step, VipEntry},
    health::Target,
    model::{AdminState, Backend, Health, Mode, Protocol, QuicLb, Role, Service, Source, Vip},
    neighbor::{NextHop, Unresolved},
};

/// The steps that allow ways out, and those that forbid them when nothing uses them any more.
struct Ways {
    put: Vec<Step>,
    remove: Vec<Step>,
}

/// Where a backend's packets go, and where the outer headers of a tunnel to it come from.
type Way = (NextHop, Option<Source>);

/// A plan in the making.
pub(super) struct Planner<'a> {
    pub(super) input: Input<'a>,
    /// The number that new publications and new backends get.
    next: u32,
    /// Numbers of backends in the kernel by what they are.
    known: BTreeMap<(ServiceId, SocketAddr, Mode), BackendId>,
    /// Numbers of wanted backends.
    backends: BTreeSet<BackendId>,
    /// Backend numbers below this one are in use.
    lowest_free: u32,
    /// Interfaces that wanted backends are reached by, if only with an old next hop.
    interfaces: BTreeSet<u32>,
    regions: Regions,
    servers: Servers,
    pub(super) paths: Paths,
    vips: Vips,
    write_backends: Vec<Step>,
    write_tables: Vec<Step>,
    write_vips: Vec<Step>,
    silence_backends: Vec<Step>,
    pub(super) plan: Plan,
}

impl<'a> Planner<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        let backends = input.actual.backends.iter();
        Self {
            input,
            next: input.actual.generation + 1,
            known: backends
                .map(|(id, entry)| ((entry.service, entry.address, entry.mode), *id))
                .collect(),
            backends: BTreeSet::new(),
            lowest_free: 1,
            interfaces: BTreeSet::new(),
            servers: Servers::default(),
            paths: Paths::default(),
            regions: Regions::new(input.actual, input.capacity.slots),
            vips: Vips::new(input.desired, input.actual, input.capacity.vips),
            write_backends: Vec::new(),
            write_tables: Vec::new(),
            write_vips: Vec::new(),
            silence_backends: Vec::new(),
            plan: Plan::default(),
        }
    }

    pub(super) fn service(&mut self, id: ServiceId, service: &Service, tables: &mut Tables) {
        let mut members = Members::default();
        let mut serving = Vec::new();
        let emergency = self.emergency(id, service);
        if let Some(emergency) = emergency {
            self.plan
                .emergencies
                .insert(service.name.clone(), emergency);
        }
        for backend in service.backends.values() {
            let target = Target::of(service, backend.address);
            let number = self.backend(id, service, backend, &target, emergency);
            members.push(backend, number.as_ref().ok().copied());
            match number {
                Ok(number) => serving.push((target, number)),
                Err(why) => {
                    self.plan.serving.insert(target, Serving::No(why));
                }
            }
        }
        let slots = service.table_slots.slots(service.backends.len());
        let computed = tables.table(id, slots, members);
        for (target, number) in serving {
            let slots = computed.shares.get(&number).copied().unwrap_or_default();
            self.plan.serving.insert(target, Serving::Slots(slots));
        }
        let vips: Vec<Vip> = service
            .vips
            .intersection(&self.vips.fitting)
            .copied()
            .collect();
        if vips.is_empty() {
            return;
        }
        if let Some(region) = self.region(service, &computed.table) {
            self.publish(id, &vips, region, service);
        }
    }

    /// Plans one backend; its number if new flows are to go to it.
    fn backend(
        &mut self,
        id: ServiceId,
        service: &Service,
        backend: &Backend,
        target: &Target,
        emergency: Option<Emergency>,
    ) -> Result<BackendId, NotServing> {
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
            (AdminState::Up, Health::Up) => Ok(()),
        };
        let (known, before) = self.before(id, backend);
        let way = self.way(backend, before);
        let own = way.as_ref().ok().and_then(|(hop, _)| hop.source);
        let why_not = serves.err().or(way.clone().err());
        // A known backend whose next hop is lost keeps the old one for the flows it has.
        let before_way = before.map(|entry| (entry.next_hop, entry.source));
        let Some((next_hop, source)) = way.ok().or(before_way) else {
            return Err(why_not.unwrap_or(NotServing::NextHopPending));
        };
        let number = match known {
            Some(number) => number,
            None => self.new_number(target)?,
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
        why_not.map_or(Ok(number), Err)
    }

    /// What probing has concluded; a backend that nobody probes is taken to be up.
    fn health(&self, target: &Target) -> Health {
        self.input.health.get(target).copied().unwrap_or(Health::Up)
    }

    /// The number and the entry that a backend has in the kernel.
    fn before(
        &self,
        service: ServiceId,
        backend: &Backend,
    ) -> (Option<BackendId>, Option<BackendEntry>) {
        let key = (service, backend.address, backend.mode);
        let number = self.known.get(&key).copied();
        let entry = number.and_then(|number| self.input.actual.backends.get(&number));
        (number, entry.copied())
    }

    /// Whether too few backends of `service` are left.
    fn emergency(&self, id: ServiceId, service: &Service) -> Option<Emergency> {
        let candidate = |backend: &Backend| {
            let health = self.health(&Target::of(service, backend.address));
            let (_, before) = self.before(id, backend);
            Candidate::new(backend, health, self.way(backend, before).is_ok())
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
    fn write_backend(&mut self, id: BackendId, entry: BackendEntry) {
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
        match self.input.next_hops.get(&address) {
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
                let chosen = self.input.sources.towards(backend.mode, address);
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

    /// Where the service's table is or will be; `None` if there is no room and VIPs stay as they are.
    fn region(&mut self, service: &Service, table: &Arc<[Slot]>) -> Option<Region> {
        let actual = self.input.actual;
        if table.is_empty() {
            return Some(Region::default());
        }
        let published = service.vips.iter().filter_map(|vip| actual.vips.get(vip));
        let holds = |region: &Region| actual.tables.get(region).is_some_and(|held| held == table);
        if let Some(region) = published.map(|entry| entry.region).find(holds) {
            return Some(region);
        }
        let slots = u32::try_from(table.len()).unwrap_or(u32::MAX);
        let region = self.regions.take(slots, &mut self.write_tables);
        if let Some(region) = region {
            self.write_tables
                .push(Step::WriteTable(region, Arc::clone(table)));
        } else {
            self.plan.shortages.push(Shortage::Slots {
                service: service.name.to_string(),
                slots,
                capacity: self.input.capacity.slots,
            });
        }
        region
    }

    fn publish(&mut self, id: ServiceId, vips: &[Vip], region: Region, service: &Service) {
        let actual = self.input.actual;
        for vip in vips {
            let quic_lb = match vip.protocol {
                Protocol::Udp => service.quic_lb,
                Protocol::Tcp | Protocol::Sctp => QuicLb::default(),
            };
            let entry = VipEntry {
                region,
                generation: self.next,
                service: id,
                source_limit: service.source_limit,
                quic_lb,
            };
            // What is there is as good if only its generation is another.
            let same = |before: &VipEntry| {
                let generation = before.generation;
                *before
                    == VipEntry {
                        generation,
                        ..entry
                    }
            };
            let has_address = actual.addresses.contains(&vip.addresses);
            if !actual.vips.get(vip).is_some_and(same) || !has_address {
                self.write_vips.push(Step::PutVip(*vip, entry));
            }
        }
    }

    /// Prefixes that are to be on the blocklist and those that are to be off it.
    ///
    /// What comes on it is blocked before a new VIP is published, and what leaves it let go when all is.
    fn blocklist(&self) -> (Vec<Step>, Vec<Step>) {
        let (wanted, have) = (&self.input.desired.blocklist, &self.input.actual.blocklist);
        let block = wanted.difference(have).copied().map(Step::Block);
        let unblock = have.difference(wanted).copied().map(Step::Unblock);
        (block.collect(), unblock.collect())
    }

    pub(super) fn finish(mut self) -> Plan {
        self.plan.shortages.append(&mut self.vips.shortages);
        let mut clean = self.remove_backends();
        let Ways {
            put: put_ways,
            remove: remove_ways,
        } = self.ways();
        clean.extend(remove_ways);
        if !clean.is_empty() {
            clean.insert(0, Step::Grace);
        }
        let remove_vips = self.remove_vips();
        let (put_paths, remove_paths) = self.path_steps();
        let (block, unblock) = self.blocklist();
        let (held, room) = (&self.input.actual.servers, self.input.capacity.server_ids());
        let servers = self.servers.steps(held, room);
        self.plan.shortages.extend(servers.shortage);
        // An address whose only VIP is replaced by another stays announced all the time, if there is room.
        let (first, second) = if self.vips.crowded {
            (remove_vips, self.write_vips)
        } else {
            (self.write_vips, remove_vips)
        };
        let publish: Vec<Step> = [
            put_ways,
            self.write_backends,
            remove_paths,
            servers.make_room,
            servers.put,
            self.write_tables,
            block,
            first,
            second,
            servers.remove,
            unblock,
            self.silence_backends,
            put_paths,
        ]
        .concat();
        Plan {
            generation: if publish.is_empty() {
                self.next - 1
            } else {
                self.next
            },
            publish,
            clean,
            ..self.plan
        }
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

    /// VIPs that nobody wants any more.
    fn remove_vips(&self) -> Vec<Step> {
        let services = self.input.desired.services.values();
        let wanted: BTreeSet<&Vip> = services.flat_map(|service| &service.vips).collect();
        let published = self.input.actual.vips.keys();
        published
            .filter(|vip| !wanted.contains(vip))
            .map(|vip| Step::RemoveVip(*vip))
            .collect()
    }

    /// Silences backends that nobody wants any more; the steps that free their numbers.
    fn remove_backends(&mut self) -> Vec<Step> {
        let mut free = Vec::new();
        for (id, entry) in &self.input.actual.backends {
            if self.backends.contains(id) {
                continue;
            }
            if entry.active {
                let active = false;
                self.write_backend(*id, BackendEntry { active, ..*entry });
            }
            free.push(Step::RemoveBackend(*id));
        }
        free
    }

    /// Interfaces that backends or replies go out by: the steps that allow them, and that forbid others.
    ///
    /// One that only an old next hop leads to stays allowed, but is not asked for: it may be gone.
    fn ways(&self) -> Ways {
        let hops = self.input.next_hops.values().flatten();
        let mut wanted: BTreeSet<u32> = hops.map(|hop| hop.interface).collect();
        wanted.extend(self.input.interfaces);
        wanted.extend(self.input.probes.interface);
        let have = &self.input.actual.devices;
        let put = wanted.difference(have).copied().map(Step::PutDevice);
        let unused = have.difference(&wanted).copied();
        let unused = unused.filter(|index| !self.interfaces.contains(index));
        let mut ways = Ways {
            put: put.collect(),
            remove: unused.map(Step::RemoveDevice).collect(),
        };
        self.vlans(&wanted, &mut ways);
        ways
    }

    /// Of the VLAN devices those that lie on one of `devices`.
    fn vlans(&self, devices: &BTreeSet<u32>, ways: &mut Ways) {
        let vlans = self.input.vlans.iter();
        let wanted: BTreeMap<u32, VlanDevice> = vlans
            .filter(|(_, device)| devices.contains(&device.parent))
            .take(VlanDevice::ELEMENTS as usize)
            .map(|(index, device)| (*index, *device))
            .collect();
        let have = &self.input.actual.vlans;
        let unused = have.keys().filter(|index| !wanted.contains_key(index));
        // A map that is full takes a new one only when an old one is gone.
        ways.put.splice(0..0, unused.copied().map(Step::RemoveVlan));
        let new = wanted
            .iter()
            .filter(|(index, device)| have.get(index) != Some(device));
        ways.put
            .extend(new.map(|(index, device)| Step::PutVlan(*index, *device)));
    }
}
