//! What the kernel holds, as values.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use lb_common::{backend::BackendId, table::Slot, vlan::VlanDevice};

use super::{
    BackendEntry, Features, PathEntry, Region, ServerEntry, ServerKey, ServiceId, Step, VipEntry,
};
use crate::model::{Prefix, Vip};

/// What the kernel holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actual {
    /// The last publication.
    pub generation: u32,
    /// The VIPs.
    pub vips: BTreeMap<Vip, VipEntry>,
    /// Addresses with an address entry, and prefixes that stand in the trie.
    pub addresses: BTreeSet<Prefix>,
    /// The blocklist.
    pub blocklist: BTreeSet<Prefix>,
    /// The backends.
    pub backends: BTreeMap<BackendId, BackendEntry>,
    /// Who has the QUIC server ids.
    pub servers: BTreeMap<ServerKey, ServerEntry>,
    /// What aliases stand for.
    pub paths: BTreeMap<IpAddr, PathEntry>,
    /// The lookup tables that VIPs point to.
    pub tables: BTreeMap<Region, Arc<[Slot]>>,
    /// Interfaces that packets may be redirected to.
    pub devices: BTreeSet<u32>,
    /// How frames for VLAN devices leave, and for those that carry some.
    pub vlans: BTreeMap<u32, VlanDevice>,
    /// Regions that no VIP points to any more, but a packet under way may still read.
    pub retired: BTreeSet<Region>,
}

impl Actual {
    /// The number under which a service with these VIPs is published, if it is.
    #[must_use]
    pub fn service_of(&self, vips: &BTreeSet<Vip>) -> Option<ServiceId> {
        let published = vips.iter().find_map(|vip| self.vips.get(vip));
        published.map(|entry| entry.service)
    }

    /// What the program must do for it.
    #[must_use]
    pub fn features(&self) -> Features {
        let modes = self.backends.values().map(|entry| entry.mode);
        let algorithms = self.vips.values().map(|entry| entry.algorithm);
        let features = Features::of(self.vips.keys(), modes, algorithms, &self.blocklist);
        if self.paths.is_empty() {
            features
        } else {
            features.with(Features::REPLIES)
        }
    }

    /// Whether `vip` is the only one left of its addresses.
    #[must_use]
    pub fn is_last_of_addresses(&self, vip: Vip) -> bool {
        let mut others = self.vips.keys().filter(|other| **other != vip);
        others.all(|other| other.addresses != vip.addresses)
    }

    /// Whether a VIP points to `region`.
    #[must_use]
    pub fn is_published(&self, region: Region) -> bool {
        self.vips.values().any(|entry| entry.region == region)
    }

    /// What the kernel holds after `step` has been done.
    pub fn record(&mut self, step: &Step) {
        match step {
            Step::PutDevice(index) => {
                self.devices.insert(*index);
            }
            Step::RemoveDevice(index) => {
                self.devices.remove(index);
            }
            Step::PutVlan(index, device) => {
                self.vlans.insert(*index, *device);
            }
            Step::RemoveVlan(index) => {
                self.vlans.remove(index);
            }
            Step::PutBackend(id, entry) => {
                self.generation = self.generation.max(entry.generation);
                self.backends.insert(*id, *entry);
            }
            Step::RemoveBackend(id) => {
                self.backends.remove(id);
            }
            Step::PutServer(key, entry) => {
                self.servers.insert(*key, *entry);
            }
            Step::RemoveServer(key) => {
                self.servers.remove(key);
            }
            Step::PutPath(alias, entry) => {
                self.paths.insert(*alias, *entry);
            }
            Step::RemovePath(alias) => {
                self.paths.remove(alias);
            }
            Step::WriteTable(region, table) => {
                self.tables.insert(*region, Arc::clone(table));
            }
            Step::PutVip(vip, entry) => {
                self.generation = self.generation.max(entry.generation);
                self.addresses.insert(vip.addresses);
                let before = self.vips.insert(*vip, *entry);
                self.retire(before);
            }
            Step::RemoveVip(vip) => {
                if self.is_last_of_addresses(*vip) {
                    self.addresses.remove(&vip.addresses);
                }
                let before = self.vips.remove(vip);
                self.retire(before);
            }
            Step::Block(prefix) => {
                self.blocklist.insert(*prefix);
            }
            Step::Unblock(prefix) => {
                self.blocklist.remove(prefix);
            }
            Step::Grace => self.retired.clear(),
        }
    }

    /// A region that `before` pointed to and nobody does any more is kept until the next grace period.
    fn retire(&mut self, before: Option<VipEntry>) {
        let Some(VipEntry { region, .. }) = before else {
            return;
        };
        if region.slots > 0 && !self.is_published(region) {
            self.tables.remove(&region);
            self.retired.insert(region);
        }
    }
}
