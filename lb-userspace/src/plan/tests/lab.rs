//! A world to plan in: what is wanted, what is known of backends, and a data plane in memory whose every step
//! is watched.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use lb_common::{
    backend::BackendId,
    vlan::{Vlan, VlanDevice},
};

use super::super::{Input, Knowledge, Plan, Serving, Tables, World, plan};
use crate::{
    dataplane::{
        Actual, BackendEntry, Capacity, Dataplane as _, DataplaneError, Region, Step, VipEntry,
        memory::Memory,
    },
    desired::Desired,
    health::Target,
    model::{
        AdminState, Backend, ChosenSources, Health, Mode, Moves, Prefix, ProbeWay, QuicLb, Service,
        TableSlots, Tracking, Weight,
    },
    neighbor::{NextHop, NextHops, Unresolved},
};

/// The interface that all next hops lead to unless a test says otherwise.
pub(super) const INTERFACE: u32 = 3;

pub(super) struct Lab {
    pub(super) desired: Desired,
    pub(super) health: BTreeMap<Target, Health>,
    pub(super) next_hops: NextHops,
    pub(super) interfaces: BTreeSet<u32>,
    pub(super) vlans: BTreeMap<u32, VlanDevice>,
    pub(super) sources: ChosenSources,
    pub(super) probes: ProbeWay,
    pub(super) knowledge: Knowledge,
    pub(super) memory: Memory,
    pub(super) tables: Tables,
}

impl Lab {
    /// Wants `services`, all backends healthy and on the link; nothing is published yet.
    pub(super) fn new(services: impl IntoIterator<Item = Service>) -> Self {
        let mut lab = Self::sized(Capacity::default());
        for service in services {
            lab.want(service);
        }
        lab
    }

    /// Wants nothing, and has so much room.
    pub(super) fn sized(capacity: Capacity) -> Self {
        Self {
            desired: Desired::default(),
            health: BTreeMap::new(),
            next_hops: NextHops::new(),
            interfaces: BTreeSet::new(),
            vlans: BTreeMap::new(),
            sources: ChosenSources::default(),
            probes: ProbeWay::default(),
            knowledge: Knowledge::default(),
            memory: Memory::new(capacity),
            tables: Tables::default(),
        }
    }

    /// As [`new`](Self::new), and all of it published.
    pub(super) fn published(services: impl IntoIterator<Item = Service>) -> Self {
        let mut lab = Self::new(services);
        lab.settle();
        lab
    }

    /// Adds or replaces a service; backends not heard of before are on the link.
    pub(super) fn want(&mut self, service: Service) {
        for address in service.backends.keys().map(SocketAddr::ip) {
            let hop = self.next_hops.entry(address);
            hop.or_insert_with(|| Ok(next_hop(address)));
        }
        self.desired
            .services
            .insert(service.name.clone(), Arc::new(service));
    }

    pub(super) fn drop_service(&mut self, name: &str) {
        let name = name.parse().unwrap();
        self.desired.services.remove(&name).unwrap();
    }

    pub(super) fn service_mut(&mut self, name: &str) -> &mut Service {
        let name = name.parse().unwrap();
        Arc::make_mut(self.desired.services.get_mut(&name).unwrap())
    }

    pub(super) fn backend_mut(&mut self, service: &str, address: &str) -> &mut Backend {
        let backends = &mut self.service_mut(service).backends;
        backends.get_mut(&address.parse().unwrap()).unwrap()
    }

    pub(super) fn set_health(&mut self, service: &str, address: &str, health: Health) {
        self.health.insert(target(service, address), health);
    }

    pub(super) fn lose_next_hop(&mut self, address: &str) {
        let lost = Err(Unresolved::NoRoute);
        self.next_hops.insert(address.parse().unwrap(), lost);
    }

    pub(super) fn plan(&mut self) -> Plan {
        let world = World {
            health: &self.health,
            next_hops: &self.next_hops,
            interfaces: &self.interfaces,
            vlans: &self.vlans,
            sources: self.sources,
            probes: self.probes,
            knowledge: &self.knowledge,
        };
        let input = Input {
            desired: &self.desired,
            world,
            actual: &self.memory.actual,
            capacity: self.memory.capacity,
        };
        plan(input, &mut self.tables)
    }

    /// Plans and does the steps that publish.
    pub(super) fn publish(&mut self) -> Plan {
        let plan = self.plan();
        assert_eq!(plan.shortages, []);
        self.run(&plan.publish).unwrap();
        self.memory.published(plan.generation);
        plan
    }

    /// Plans, publishes and cleans up.
    pub(super) fn settle(&mut self) -> Plan {
        let plan = self.publish();
        self.run(&plan.clean).unwrap();
        plan
    }

    /// Does `steps` and holds each to what must be true before and after it.
    pub(super) fn run(&mut self, steps: &[Step]) -> Result<(), DataplaneError> {
        for step in steps {
            self.assert_allowed(step);
            self.memory.apply(step)?;
            self.assert_consistent(step);
        }
        Ok(())
    }

    /// Nothing is written where a packet under way may read, and nothing is published that was not written.
    fn assert_allowed(&self, step: &Step) {
        let actual = &self.memory.actual;
        match step {
            Step::WriteTable(region, _) => {
                let taken = actual.vips.values().map(|entry| entry.region);
                for other in taken.chain(actual.retired.iter().copied()) {
                    assert!(!overlap(*region, other), "{step} overwrites {other:?}");
                }
            }
            Step::PutVip(_, VipEntry { region, .. }) => {
                let written = region.slots == 0 || actual.tables.contains_key(region);
                assert!(written, "{step}: {region:?} was never written");
                let missing = self.desired.blocklist.difference(&actual.blocklist);
                assert_eq!(missing.count(), 0, "{step}: not all are blocked yet");
            }
            Step::PutBackend(id, entry) => {
                let before = actual.backends.get(id);
                let same = before.is_none_or(|before| identity(before) == identity(entry));
                assert!(same, "{step}: the number is {before:?}'s");
            }
            Step::Unblock(prefix) => {
                let wanted = &self.desired.blocklist;
                assert!(!wanted.contains(prefix), "{step}: it is wanted");
            }
            Step::PutServer(key, entry) => {
                let backend = actual.backends.get(&entry.backend);
                let is_there = backend.is_some_and(|it| {
                    it.generation == entry.generation && it.service == key.service
                });
                assert!(is_there, "{step}: the number is {backend:?}'s");
            }
            Step::PutPath(_, entry) => {
                let backend = actual.backends.get(&entry.backend);
                let is_there = backend.is_some_and(|it| it.generation == entry.generation);
                assert!(is_there, "{step}: the number is {backend:?}'s");
                assert!(actual.devices.contains(&entry.interface), "{step}");
            }
            Step::PutDevice(_)
            | Step::PutVlan(..)
            | Step::RemovePath(_)
            | Step::RemoveServer(_)
            | Step::RemoveVip(_)
            | Step::Block(_)
            | Step::Grace
            | Step::RemoveBackend(_)
            | Step::RemoveDevice(_)
            | Step::RemoveVlan(_) => {}
        }
    }

    /// Whatever packet comes now finds a table that names backends that are there, active, and can be reached.
    fn assert_consistent(&self, step: &Step) {
        let Actual {
            vips,
            addresses,
            backends,
            tables,
            devices,
            retired,
            ..
        } = &self.memory.actual;
        let regions: BTreeSet<Region> = vips.values().map(|entry| entry.region).collect();
        for region in regions.iter().filter(|region| region.slots > 0) {
            let slots = self.memory.slots(*region);
            assert_eq!(
                slots, &*tables[region],
                "after \"{step}\": {region:?} was overwritten"
            );
            // A slot that is nobody's says so to its packets.
            for id in names(slots).into_iter().filter(|id| id.0 != 0) {
                let entry = backends.get(&id);
                let leads_somewhere = |it: &BackendEntry| {
                    it.mode == Mode::Local || devices.contains(&it.next_hop.interface)
                };
                let good = entry.is_some_and(|it| it.active && leads_somewhere(it));
                assert!(good, "after \"{step}\": {region:?} names {id:?}, {entry:?}");
            }
        }
        let held: Vec<Region> = regions.union(retired).copied().collect();
        for pair in held.windows(2) {
            assert!(!overlap(pair[0], pair[1]), "after \"{step}\": {pair:?}");
        }
        let announced: BTreeSet<Prefix> = vips.keys().map(|vip| vip.addresses).collect();
        assert_eq!(*addresses, announced, "after \"{step}\"");
    }

    /// The number and entry of a backend that is in the kernel; panics if it is not.
    pub(super) fn entry(&self, address: &str) -> (BackendId, BackendEntry) {
        self.find(address)
            .unwrap_or_else(|| panic!("{address} is not in the kernel"))
    }

    /// The number and entry of a backend, the active one if there are several.
    pub(super) fn find(&self, address: &str) -> Option<(BackendId, BackendEntry)> {
        let address: SocketAddr = address.parse().unwrap();
        let backends = self.memory.actual.backends.iter();
        backends
            .map(|(id, entry)| (*id, *entry))
            .filter(|(_, entry)| entry.address == address)
            .max_by_key(|(_, entry)| entry.active)
    }

    pub(super) fn vip(&self, vip: &str) -> VipEntry {
        let vip = vip.parse().unwrap();
        *self
            .memory
            .actual
            .vips
            .get(&vip)
            .unwrap_or_else(|| panic!("{vip} is not published"))
    }

    /// The addresses of the backends that get the new flows of `vip`.
    pub(super) fn served_by(&self, vip: &str) -> Vec<String> {
        let region = self.vip(vip).region;
        if region.slots == 0 {
            return Vec::new();
        }
        let ids = names(self.memory.slots(region));
        let addresses: BTreeSet<SocketAddr> = ids
            .iter()
            .filter(|id| id.0 != 0)
            .map(|id| self.memory.actual.backends[id].address)
            .collect();
        addresses.iter().map(ToString::to_string).collect()
    }
}

pub(super) fn service(name: &str, vips: &[&str], backends: &[&str]) -> Service {
    let backends = backends.iter().map(|address| backend(address));
    Service {
        name: name.parse().unwrap(),
        vips: vips.iter().map(|vip| vip.parse().unwrap()).collect(),
        mode: Mode::L2,
        table_slots: TableSlots::Auto,
        probe: None,
        thresholds: crate::model::Thresholds::default(),
        moves: at_once(),
        algorithm: crate::model::Algorithm::Maglev,
        source_limit: None,
        dynamic_weights: None,
        quic_lb: QuicLb::default(),
        backends: backends.map(|backend| (backend.address, backend)).collect(),
    }
}

/// All flows are remembered, so that slots may move at once.
pub(super) fn at_once() -> Moves {
    Moves {
        tracking: Tracking::Always,
        ..Moves::default()
    }
}

pub(in crate::plan) fn backend(address: &str) -> Backend {
    Backend {
        address: address.parse().unwrap(),
        weight: Weight::default(),
        mode: Mode::L2,
        state: AdminState::Up,
        role: crate::model::Role::Ordinary,
        server_ids: BTreeSet::new(),
        remove_at: None,
    }
}

pub(super) fn target(service: &str, address: &str) -> Target {
    Target {
        service: service.parse().unwrap(),
        address: address.parse().unwrap(),
    }
}

pub(super) fn serving<'a>(plan: &'a Plan, service: &str, address: &str) -> &'a Serving {
    &plan.serving[&target(service, address)]
}

/// On the link, by [`INTERFACE`]; the MAC address ends like `address`.
pub(super) fn next_hop(address: IpAddr) -> NextHop {
    let last = match address {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    };
    NextHop {
        interface: INTERFACE,
        vlan: Vlan::NONE,
        source_mac: [2, 0, 0, 0, 0, 1],
        destination_mac: [2, 0, 0, 0, 1, last],
        on_link: true,
        source: None,
        mtu: 1_500,
    }
}

/// The steps in words; a backend that becomes inactive is silenced.
pub(super) fn words(steps: &[Step]) -> Vec<String> {
    let words = steps.iter().map(|step| match step {
        Step::PutBackend(_, entry) if !entry.active => format!("silence {}", entry.address),
        Step::PutDevice(_)
        | Step::PutBackend(..)
        | Step::PutServer(..)
        | Step::RemoveServer(_)
        | Step::PutPath(..)
        | Step::RemovePath(_)
        | Step::WriteTable(..)
        | Step::PutVip(..)
        | Step::RemoveVip(_)
        | Step::Block(_)
        | Step::Unblock(_)
        | Step::Grace
        | Step::RemoveBackend(_)
        | Step::RemoveDevice(_)
        | Step::PutVlan(..)
        | Step::RemoveVlan(_) => step.to_string(),
    });
    words.collect()
}

/// The backends that a table names.
pub(super) fn names(slots: &[lb_common::table::Slot]) -> BTreeSet<BackendId> {
    let mut ids: Vec<BackendId> = slots.iter().map(|slot| slot.backend()).collect();
    ids.dedup();
    ids.into_iter().collect()
}

fn identity(entry: &BackendEntry) -> (u32, crate::dataplane::ServiceId, SocketAddr, Mode) {
    (entry.generation, entry.service, entry.address, entry.mode)
}

const fn overlap(a: Region, b: Region) -> bool {
    a.slots > 0 && b.slots > 0 && a.offset < b.end() && b.offset < a.end()
}
