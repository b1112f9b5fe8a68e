//! Who is to have which QUIC server id, and the steps from who has it.

use std::collections::{BTreeMap, BTreeSet};

use super::Shortage;
use crate::{
    dataplane::{ServerEntry, ServerKey, ServiceId, Step},
    model::ServerId,
};

/// The server ids that are wanted.
#[derive(Debug, Default)]
pub(super) struct Servers {
    wanted: BTreeMap<ServerKey, ServerEntry>,
}

/// What to do about server ids.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ServerSteps {
    /// Before the others, if there is no room: those that nobody wants go.
    pub(super) make_room: Vec<Step>,
    /// Backends get their ids before VIPs read them.
    pub(super) put: Vec<Step>,
    /// What nobody wants goes when no VIP reads it any more.
    pub(super) remove: Vec<Step>,
    pub(super) shortage: Option<Shortage>,
}

impl Servers {
    /// Notes that `key` is that of the backend in `entry`.
    pub(super) fn want(&mut self, key: ServerKey, entry: ServerEntry) {
        self.wanted.insert(key, entry);
    }

    /// The steps from `actual` for these services, which are all whose ids are wanted here; `None` if there may be no room.
    pub(super) fn steps_of(
        &self,
        services: &BTreeSet<ServiceId>,
        actual: &BTreeMap<ServerKey, ServerEntry>,
        capacity: u32,
    ) -> Option<ServerSteps> {
        if actual.len() + self.wanted.len() > capacity as usize {
            return None;
        }
        let theirs = |service: &ServiceId| {
            let service = *service;
            let id = ServerId::FIRST;
            let held = actual.range(ServerKey { service, id }..);
            held.take_while(move |(key, _)| key.service == service)
        };
        let held: BTreeMap<ServerKey, ServerEntry> = services
            .iter()
            .flat_map(theirs)
            .map(|(key, entry)| (*key, *entry))
            .collect();
        Some(self.differences(&held))
    }

    /// The steps from `actual`, in a map of `capacity` entries.
    pub(super) fn steps(
        mut self,
        actual: &BTreeMap<ServerKey, ServerEntry>,
        capacity: u32,
    ) -> ServerSteps {
        let room = capacity as usize;
        let wanted = self.wanted.len();
        let shortage = (wanted > room).then_some(Shortage::ServerIds { wanted, capacity });
        if shortage.is_some() {
            // Those that are there stay; of the others, the first ones fit.
            let held = self.wanted.keys().filter(|key| actual.contains_key(key));
            let mut left = room.saturating_sub(held.count());
            self.wanted.retain(|key, _| {
                let fits = actual.contains_key(key) || left > 0;
                left -= usize::from(fits && !actual.contains_key(key));
                fits
            });
        }
        let mut steps = ServerSteps {
            shortage,
            ..self.differences(actual)
        };
        if self.wanted.len() + steps.remove.len() > room {
            steps.make_room = std::mem::take(&mut steps.remove);
        }
        steps
    }

    /// What is wanted otherwise than it is held, and what is held and not wanted.
    fn differences(&self, held: &BTreeMap<ServerKey, ServerEntry>) -> ServerSteps {
        let changed = |(key, entry): &(&ServerKey, &ServerEntry)| held.get(key) != Some(entry);
        let changed = self.wanted.iter().filter(changed);
        let put = changed.map(|(key, entry)| Step::PutServer(*key, *entry));
        let unwanted = held.keys().filter(|key| !self.wanted.contains_key(key));
        let remove = unwanted.map(|key| Step::RemoveServer(*key));
        ServerSteps {
            put: put.collect(),
            remove: remove.collect(),
            ..ServerSteps::default()
        }
    }
}
