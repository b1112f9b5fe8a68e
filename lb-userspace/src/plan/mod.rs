//! From what is wanted and what is, to ordered steps. Pure: the same input gives the same plan.
//!
//! Order of publication: devices and backends, then tables, then VIPs; the reverse on removal. Nothing that a
//! packet under way may still use is overwritten: a table goes into a free [`regions`] of the arena, and what it
//! replaces is cleaned up after a grace period.

mod regions;
mod tables;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    sync::Arc,
};

use lb_common::{backend::BackendId, table::Slot};

use crate::{
    dataplane::{Actual, BackendEntry, Capacity, Region, ServiceId, Step, VipEntry},
    desired::Desired,
    health::Target,
    model::{AdminState, Backend, Health, Mode, Service, Vip},
    neighbor::{NextHop, NextHops, Unresolved},
};

use self::regions::Regions;
pub use self::tables::Tables;

/// All that a plan depends on.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// What the operator wants.
    pub desired: &'a Desired,
    /// What probing has concluded; backends without an entry are taken to be up.
    pub health: &'a BTreeMap<Target, Health>,
    /// Where packets to the backends go.
    pub next_hops: &'a NextHops,
    /// Interfaces that replies may leave by.
    pub interfaces: &'a BTreeSet<u32>,
    /// What the kernel holds.
    pub actual: &'a Actual,
    /// How much it can hold.
    pub capacity: Capacity,
}

/// What to do, and what will then be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The publication's number: a new one if anything is published.
    pub generation: u32,
    /// The steps that bring what is wanted, in order.
    pub publish: Vec<Step>,
    /// The steps that take away what is no longer used; they begin with a grace period.
    pub clean: Vec<Step>,
    /// For every configured backend, whether new flows go to it.
    pub serving: BTreeMap<Target, Serving>,
    /// What is wanted and does not fit.
    pub shortages: Vec<Shortage>,
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.publish.is_empty() && self.clean.is_empty()
    }
}

/// Whether new flows go to a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serving {
    /// Yes: so many slots of the lookup table are its own.
    Slots(u32),
    /// No, and why.
    No(NotServing),
}

/// Why no new flows go to a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotServing {
    /// The operator drains it.
    Draining,
    /// The operator has switched it off.
    Disabled,
    /// Not enough probes yet.
    HealthUnknown,
    /// Probes fail.
    Unhealthy,
    /// The kernel has not been asked for its next hop yet.
    NextHopPending,
    /// It has no next hop.
    Unresolved(Unresolved),
    /// Mode `l2` needs a backend on the same link, and this one is behind a gateway.
    BehindGateway,
    /// See [`Plan::shortages`].
    NoRoom,
}

impl fmt::Display for NotServing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Draining => f.write_str("draining"),
            Self::Disabled => f.write_str("disabled"),
            Self::HealthUnknown => f.write_str("health not known yet"),
            Self::Unhealthy => f.write_str("unhealthy"),
            Self::NextHopPending => f.write_str("its next hop is being looked up"),
            Self::Unresolved(why) => why.fmt(f),
            Self::BehindGateway => f.write_str(
                "mode l2 needs a backend on the same link, and the route to it has a gateway",
            ),
            Self::NoRoom => f.write_str("no room in the maps"),
        }
    }
}

/// Something that is wanted and does not fit into the maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// All backend numbers are in use.
    Backends {
        /// Who got none.
        target: Target,
        /// How many there are.
        capacity: u32,
    },
    /// No free region for a table. The service keeps the table it has.
    Slots {
        /// Whose table.
        service: String,
        /// The table's size.
        slots: u32,
        /// The arena's size.
        capacity: u32,
    },
    /// More VIPs and addresses than the map of their family holds.
    Vips {
        /// Wanted of one family, address entries counted.
        wanted: usize,
        /// The map's size.
        capacity: u32,
    },
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backends { target, capacity } => write!(
                f,
                "no number left for backend {} of service {}: there are {capacity}, raise max_backends",
                target.address, target.service
            ),
            Self::Slots {
                service,
                slots,
                capacity,
            } => write!(
                f,
                "no room for a table of {slots} slots for service {service} among {capacity}: raise max_slots or choose smaller tables"
            ),
            Self::Vips { wanted, capacity } => write!(
                f,
                "{wanted} VIPs and addresses of one IP version are wanted, {capacity} fit: raise max_vips"
            ),
        }
    }
}

/// Plans the way from `input.actual` to what is wanted.
///
/// `tables` remembers tables already computed; it changes how long this takes, never the answer.
#[must_use]
pub fn plan(input: Input<'_>, tables: &mut Tables) -> Plan {
    let mut planner = Planner::new(input);
    planner.devices();
    let services = input.desired.services.values();
    let numbered: Vec<(ServiceId, &Service)> = services
        .map(|service| (planner.number(service), service))
        .collect();
    for &(id, service) in &numbered {
        planner.service(id, service, tables);
    }
    tables.retain(numbered.iter().map(|(id, _)| *id));
    planner.vip_room();
    planner.finish()
}

/// A plan in the making.
struct Planner<'a> {
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
    fn new(input: Input<'a>) -> Self {
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
    fn devices(&mut self) {
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
    fn number(&mut self, service: &Service) -> ServiceId {
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

    fn service(&mut self, id: ServiceId, service: &Service, tables: &mut Tables) {
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
    fn vip_room(&mut self) {
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

    fn finish(mut self) -> Plan {
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

#[cfg(test)]
mod tests;
