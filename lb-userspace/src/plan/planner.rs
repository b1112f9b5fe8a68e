//! A plan in the making: one pass over services and backends, collecting steps by their place in the order.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use lb_common::{backend::BackendId, table::Slot};

use super::{Input, NotServing, Plan, Serving, Shortage, Tables, regions::Regions, tables};
use crate::{
    dataplane::{Actual, BackendEntry, Region, ServiceId, Step, VipEntry},
    health::Target,
    model::{AdminState, Backend, Health, Mode, Service, Vip},
    neighbor::NextHop,
};

/// A plan in the making.
pub(super) struct Planner<'a> {
    input: Input<'a>,
    /// The number that new publications and new backends get.
    next: u32,
    /// Service numbers that are in use, before or after.
    services: BTreeSet<ServiceId>,
    /// Numbers already given to a wanted service.
    given: BTreeSet<ServiceId>,
    /// Numbers of backends in the kernel by what they are.
    known: BTreeMap<(ServiceId, SocketAddr, Mode), BackendId>,
    /// Numbers of wanted backends.
    backends: BTreeSet<BackendId>,
    /// Backend numbers below this one are in use.
    lowest_free: u32,
    regions: Regions,
    write_devices: Vec<Step>,
    write_backends: Vec<Step>,
    write_tables: Vec<Step>,
    write_vips: Vec<Step>,
    silence_backends: Vec<Step>,
    plan: Plan,
}

impl<'a> Planner<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        let backends = input.actual.backends.iter();
        Self {
            input,
            next: input.actual.generation + 1,
            services: actual_services(input.actual),
            given: BTreeSet::new(),
            known: backends
                .map(|(id, entry)| ((entry.service, entry.address, entry.mode), *id))
                .collect(),
            backends: BTreeSet::new(),
            lowest_free: 1,
            regions: Regions::new(input.actual, input.capacity.slots),
            write_devices: Vec::new(),
            write_backends: Vec::new(),
            write_tables: Vec::new(),
            write_vips: Vec::new(),
            silence_backends: Vec::new(),
            plan: Plan::default(),
        }
    }

    /// Interfaces that backends or replies go out by.
    pub(super) fn devices(&mut self) {
        let hops = self.input.next_hops.values().flatten();
        let mut wanted: BTreeSet<u32> = hops.map(|hop| hop.interface).collect();
        wanted.extend(self.input.interfaces);
        let have = &self.input.actual.devices;
        self.write_devices
            .extend(wanted.difference(have).copied().map(Step::PutDevice));
        let unused = have.difference(&wanted).copied().map(Step::RemoveDevice);
        self.plan.clean.extend(unused);
    }

    /// The service's number: the one under which its VIPs are published already, or the lowest free one.
    pub(super) fn number(&mut self, service: &Service) -> ServiceId {
        let published = |vip| self.input.actual.vips.get(vip).map(|entry| entry.service);
        let kept = service
            .vips
            .iter()
            .filter_map(published)
            .find(|id| !self.given.contains(id));
        let id = kept.unwrap_or_else(|| {
            let mut numbers = (1..u32::MAX).map(ServiceId);
            numbers
                .find(|id| !self.services.contains(id))
                .unwrap_or(ServiceId(u32::MAX))
        });
        self.services.insert(id);
        self.given.insert(id);
        id
    }

    pub(super) fn service(&mut self, id: ServiceId, service: &Service, tables: &mut Tables) {
        let mut members = Vec::new();
        for backend in service.backends.values() {
            let target = Target {
                service: service.name.clone(),
                address: backend.address,
            };
            let serving = match self.backend(id, backend, &target) {
                Ok(number) => {
                    members.push((target, tables::Member::new(backend, number)));
                    continue;
                }
                Err(why) => Serving::No(why),
            };
            self.plan.serving.insert(target, serving);
        }
        let slots = service.table_slots.slots(service.backends.len());
        let table = tables.table(
            id,
            slots,
            members.iter().map(|(_, member)| member.clone()).collect(),
        );
        let mut counts: BTreeMap<BackendId, u32> = BTreeMap::new();
        for slot in table.iter() {
            *counts.entry(slot.backend()).or_default() += 1;
        }
        for (target, member) in members {
            let slots = counts.get(&member.id).copied().unwrap_or_default();
            self.plan.serving.insert(target, Serving::Slots(slots));
        }
        if let Some(region) = self.region(service, &table) {
            self.vips(id, &service.vips, region);
        }
    }

    /// Plans one backend; its number if new flows are to go to it.
    fn backend(
        &mut self,
        service: ServiceId,
        backend: &Backend,
        target: &Target,
    ) -> Result<BackendId, NotServing> {
        let health = self.input.health.get(target).copied().unwrap_or(Health::Up);
        let serves = match (backend.state, health) {
            (AdminState::Down, _) => Err(NotServing::Disabled),
            (AdminState::Drain, _) => Err(NotServing::Draining),
            (AdminState::Up, Health::Down) => Err(NotServing::Unhealthy),
            (AdminState::Up, Health::Unknown) => Err(NotServing::HealthUnknown),
            (AdminState::Up, Health::Up) => Ok(()),
        };
        let next_hop = self.next_hop(backend);
        let known = self
            .known
            .get(&(service, backend.address, backend.mode))
            .copied();
        let before = known
            .and_then(|id| self.input.actual.backends.get(&id))
            .copied();
        let why_not = serves.err().or(next_hop.clone().err());
        // A known backend whose next hop is lost keeps the old one for the flows it has.
        let Some(hop) = next_hop.ok().or(before.map(|entry| entry.next_hop)) else {
            return Err(why_not.unwrap_or(NotServing::NextHopPending));
        };
        let id = match known {
            Some(id) => id,
            None => self.new_number(target)?,
        };
        let entry = BackendEntry {
            generation: before.map_or(self.next, |entry| entry.generation),
            service,
            address: backend.address,
            mode: backend.mode,
            next_hop: NextHop {
                on_link: backend.mode == Mode::L2,
                ..hop
            },
            active: backend.state != AdminState::Down && health != Health::Down,
        };
        self.backends.insert(id);
        if before != Some(entry) {
            self.write_backend(id, entry);
        }
        why_not.map_or(Ok(id), Err)
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

    fn next_hop(&self, backend: &Backend) -> Result<NextHop, NotServing> {
        match self.input.next_hops.get(&backend.address.ip()) {
            None => Err(NotServing::NextHopPending),
            Some(Err(why)) => Err(NotServing::Unresolved(why.clone())),
            Some(Ok(hop)) if backend.mode == Mode::L2 && !hop.on_link => {
                Err(NotServing::BehindGateway)
            }
            Some(Ok(hop)) => Ok(*hop),
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

    fn vips(&mut self, service: ServiceId, vips: &BTreeSet<Vip>, region: Region) {
        for vip in vips {
            let before = self.input.actual.vips.get(vip);
            let unchanged =
                before.filter(|entry| entry.region == region && entry.service == service);
            let has_address = self.input.actual.addresses.contains(&vip.address);
            if unchanged.is_none() || !has_address {
                let entry = VipEntry {
                    region,
                    generation: self.next,
                    service,
                };
                self.write_vips.push(Step::PutVip(*vip, entry));
            }
        }
    }

    /// Whether all VIPs and their address entries fit.
    pub(super) fn vip_room(&mut self) {
        let vips = self
            .input
            .desired
            .services
            .values()
            .flat_map(|service| &service.vips);
        let mut entries = [BTreeSet::new(), BTreeSet::new()];
        for vip in vips {
            let [v4, v6] = &mut entries;
            let family = if vip.address.is_ipv4() { v4 } else { v6 };
            family.insert((vip.address, None));
            family.insert((vip.address, Some((vip.port, vip.protocol))));
        }
        let capacity = self.input.capacity.vips;
        for wanted in entries
            .iter()
            .map(BTreeSet::len)
            .filter(|wanted| *wanted > capacity as usize)
        {
            self.plan
                .shortages
                .push(Shortage::Vips { wanted, capacity });
        }
    }

    pub(super) fn finish(mut self) -> Plan {
        let actual = self.input.actual;
        let wanted: BTreeSet<&Vip> = self
            .input
            .desired
            .services
            .values()
            .flat_map(|service| &service.vips)
            .collect();
        let unwanted = actual
            .vips
            .keys()
            .filter(|vip| !wanted.contains(vip))
            .copied();
        let remove_vips: Vec<Step> = unwanted.map(Step::RemoveVip).collect();
        let unused: Vec<BackendId> = actual
            .backends
            .keys()
            .filter(|id| !self.backends.contains(id))
            .copied()
            .collect();
        for id in unused {
            if let Some(entry) = actual.backends.get(&id).filter(|entry| entry.active) {
                self.write_backend(
                    id,
                    BackendEntry {
                        active: false,
                        ..*entry
                    },
                );
            }
            self.plan.clean.push(Step::RemoveBackend(id));
        }
        let Self { mut plan, next, .. } = self;
        plan.publish = self.write_devices;
        plan.publish.extend(self.write_backends);
        plan.publish.extend(self.write_tables);
        plan.publish.extend(self.write_vips);
        plan.publish.extend(remove_vips);
        plan.publish.extend(self.silence_backends);
        if !plan.clean.is_empty() {
            plan.clean.insert(0, Step::Grace);
        }
        plan.generation = if plan.publish.is_empty() {
            next - 1
        } else {
            next
        };
        plan
    }
}

fn actual_services(actual: &Actual) -> BTreeSet<ServiceId> {
    let vips = actual.vips.values().map(|entry| entry.service);
    let backends = actual.backends.values().map(|entry| entry.service);
    vips.chain(backends).collect()
}
