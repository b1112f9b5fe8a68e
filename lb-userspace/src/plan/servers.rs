//! Who is to have which QUIC server id, and the steps from who has it.

use std::collections::BTreeMap;

use super::Shortage;
use crate::dataplane::{ServerEntry, ServerKey, Step};

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
        let changed = |(key, entry): &(&ServerKey, &ServerEntry)| actual.get(key) != Some(entry);
        let changed = self.wanted.iter().filter(changed);
        let put = changed.map(|(key, entry)| Step::PutServer(*key, *entry));
        let unwanted = actual.keys().filter(|key| !self.wanted.contains_key(key));
        let remove: Vec<Step> = unwanted.map(|key| Step::RemoveServer(*key)).collect();
        let (make_room, remove) = if self.wanted.len() + remove.len() > room {
            (remove, Vec::new())
        } else {
            (Vec::new(), remove)
        };
        ServerSteps {
            make_room,
            put: put.collect(),
            remove,
            shortage,
        }
    }
}
