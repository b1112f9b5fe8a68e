//! A data plane in memory, for tests: holds what it is told, refuses what the kernel would refuse, and can
//! be made to fail.

use lb_common::{backend::BackendId, table::Slot, traffic::Traffic};
use std::collections::BTreeSet;

use super::{Actual, Capacity, Dataplane, DataplaneError, Region, ServerKey, Step};
use crate::model::{Prefix, Vip};

/// The test double.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) actual: Actual,
    pub(crate) capacity: Capacity,
    /// Steps that still work before one fails; `None`: all work.
    pub(crate) fails_after: Option<usize>,
    /// What was done, in order.
    pub(crate) done: Vec<Step>,
    /// As much of the arena as was ever written.
    arena: Vec<Slot>,
}

impl Memory {
    /// Empty, and so large.
    pub(crate) fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            ..Self::default()
        }
    }

    /// What a packet reads in `region`, whatever was last written there.
    pub(crate) fn slots(&self, region: Region) -> &[Slot] {
        let (begin, slots) = (region.offset as usize, region.slots as usize);
        &self.arena[begin..begin + slots]
    }

    /// The same maps as a new process finds them: nothing is known but what they tell.
    pub(crate) fn restarted(self) -> Self {
        let mut memory = Self {
            actual: self.actual,
            arena: self.arena,
            ..Self::new(self.capacity)
        };
        memory.actual.retired.clear();
        memory.read();
        memory
    }

    /// Reads the maps: the tables that VIPs point to, the last generation that any entry tells of.
    fn read(&mut self) {
        let regions = self.actual.vips.values().map(|entry| entry.region);
        let tables = regions
            .filter(|region| region.slots > 0)
            .map(|region| (region, self.slots(region).into()))
            .collect();
        self.actual.tables = tables;
    }

    fn write(&mut self, region: Region, table: &[Slot]) {
        let end = (region.offset + region.slots) as usize;
        if self.arena.len() < end {
            self.arena.resize(end, Slot::default());
        }
        self.arena[region.offset as usize..end].copy_from_slice(table);
    }

    /// Why the kernel would not do `step`, if it would not.
    fn refusal(&mut self, step: &Step) -> Option<&'static str> {
        if let Some(left) = &mut self.fails_after {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => return Some("told to fail"),
            }
        }
        match step {
            Step::PutBackend(id, _) if id.0 == 0 || id.0 >= self.capacity.backends => {
                Some("no such backend number")
            }
            Step::WriteTable(region, table) if region.slots as usize != table.len() => {
                Some("the table is not as large as its region")
            }
            Step::WriteTable(region, _) if region.offset + region.slots > self.capacity.slots => {
                Some("the region lies outside the arena")
            }
            Step::PutVip(vip, _) if self.entries_with(*vip) > self.capacity.vips as usize => {
                Some("the map is full")
            }
            Step::PutServer(key, _) if self.servers_with(key) > self.capacity.server_ids() => {
                Some("the map is full")
            }
            Step::PutDevice(_)
            | Step::PutVlan(..)
            | Step::RemoveVlan(_)
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
            | Step::RemoveDevice(_) => None,
        }
    }

    /// Entries in the map of server ids once `key` is there.
    fn servers_with(&self, key: &ServerKey) -> u32 {
        let more = usize::from(!self.actual.servers.contains_key(key));
        u32::try_from(self.actual.servers.len() + more).unwrap_or(u32::MAX)
    }

    /// Entries in the map of `vip`'s IP version once it is there.
    fn entries_with(&self, vip: Vip) -> usize {
        let of_family = |addresses: Prefix| addresses.is_ipv4() == vip.addresses.is_ipv4();
        let Actual {
            vips, addresses, ..
        } = &self.actual;
        let others = vips
            .keys()
            .filter(|other| **other != vip && of_family(other.addresses));
        let singles = addresses.iter().chain([&vip.addresses]);
        let singles = singles.filter(|it| it.is_single() && of_family(**it));
        others.count() + 1 + singles.collect::<BTreeSet<_>>().len()
    }
}

impl Dataplane for Memory {
    fn actual(&self) -> &Actual {
        &self.actual
    }

    fn capacity(&self) -> Capacity {
        self.capacity
    }

    fn refresh(&mut self) -> Result<(), DataplaneError> {
        self.read();
        Ok(())
    }

    fn apply(&mut self, step: &Step) -> Result<(), DataplaneError> {
        if let Some(why) = self.refusal(step) {
            return Err(DataplaneError {
                action: step.to_string(),
                source: anyhow::anyhow!(why),
            });
        }
        if let Step::WriteTable(region, table) = step {
            self.write(*region, table);
        }
        self.actual.record(step);
        self.done.push(step.clone());
        Ok(())
    }

    fn published(&mut self, generation: u32) {
        self.actual.generation = self.actual.generation.max(generation);
    }

    fn traffic(&self, _: BackendId) -> Result<Traffic, DataplaneError> {
        Ok(Traffic::default())
    }
}
