//! The order of publication: what was collected, put in its place.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::{backend::BackendId, vlan::VlanDevice};

use super::{Plan, planner::Planner};
use crate::{
    dataplane::{BackendEntry, Step},
    model::Vip,
};

/// The steps that allow ways out, and those that forbid them when nothing uses them any more.
struct Ways {
    put: Vec<Step>,
    remove: Vec<Step>,
}

impl Planner<'_> {
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
        let all = self.input.actual.backends.keys().copied();
        let mut clean = self.remove_backends(all);
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

    /// Silences those of `held`, backends that the kernel holds, that nobody wants any more; the steps that free their
    /// numbers.
    pub(super) fn remove_backends(&mut self, held: impl Iterator<Item = BackendId>) -> Vec<Step> {
        let mut free = Vec::new();
        for id in held {
            if self.backends.contains(&id) {
                continue;
            }
            let entry = self.input.actual.backends.get(&id);
            if let Some(entry) = entry.filter(|entry| entry.active) {
                let active = false;
                self.write_backend(id, BackendEntry { active, ..*entry });
            }
            free.push(Step::RemoveBackend(id));
        }
        free
    }

    /// Interfaces that backends or replies go out by: the steps that allow them, and that forbid others.
    ///
    /// One that only an old next hop leads to stays allowed, but is not asked for: it may be gone.
    fn ways(&self) -> Ways {
        let hops = self.input.world.next_hops.values().flatten();
        let mut wanted: BTreeSet<u32> = hops.map(|hop| hop.interface).collect();
        wanted.extend(self.input.world.interfaces);
        wanted.extend(self.input.world.probes.interface);
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
        let vlans = self.input.world.vlans.iter();
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
