//! Lookup tables already computed, so that a service that has not changed costs nothing.

use std::{collections::BTreeMap, sync::Arc};

use lb_common::{backend::BackendId, table::Slot};

use crate::{dataplane::ServiceId, maglev, model};

/// The configured backends of a service, and which of them take new flows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Members {
    configured: Vec<maglev::Member>,
    /// By the same index: the numbers of those that take new flows.
    serving: Vec<Option<BackendId>>,
}

impl Members {
    /// Adds a backend; `serving` is its number if it takes new flows.
    pub(super) fn push(&mut self, backend: &model::Backend, serving: Option<BackendId>) {
        self.configured.push(maglev::Member {
            name: backend.address.to_string(),
            weight: backend.weight.get(),
        });
        self.serving.push(serving);
    }
}

/// The last table of each service, with what it was made from. Of a service whose backends only come and go, the base
/// is kept. A copy shares them all.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    computed: BTreeMap<ServiceId, Arc<Computed>>,
}

/// A table, with what it was made from.
#[derive(Debug)]
pub(super) struct Computed {
    members: Members,
    base: Arc<maglev::Base>,
    /// The size that was asked for.
    slots: u32,
    /// The slots; none if nobody takes new flows.
    pub(super) table: Arc<[Slot]>,
    /// By backend: how many of the slots it has.
    pub(super) shares: BTreeMap<BackendId, u32>,
}

impl Tables {
    /// The table of `slots` slots over `members`.
    pub(super) fn table(
        &mut self,
        service: ServiceId,
        slots: u32,
        members: Members,
    ) -> Arc<Computed> {
        let known = self.computed.remove(&service);
        let computed = match known.filter(|known| known.slots == slots) {
            Some(known) if known.members == members => known,
            Some(known) if known.members.configured == members.configured => {
                Arc::new(Computed::new(slots, members, Arc::clone(&known.base)))
            }
            _ => {
                let base = maglev::Base::of(&members.configured, slots);
                Arc::new(Computed::new(slots, members, Arc::new(base)))
            }
        };
        self.computed.insert(service, Arc::clone(&computed));
        computed
    }

    /// Forgets all services but `services`.
    pub(super) fn retain(&mut self, services: impl Iterator<Item = ServiceId>) {
        let kept: std::collections::BTreeSet<ServiceId> = services.collect();
        self.computed.retain(|service, _| kept.contains(service));
    }
}

impl Computed {
    fn new(slots: u32, members: Members, base: Arc<maglev::Base>) -> Self {
        let pairs = members.configured.iter().zip(&members.serving);
        let weights: Vec<u32> = pairs
            .map(|(member, serving)| serving.map_or(0, |_| member.weight))
            .collect();
        let owners = base.pinned(&weights);
        let mut counts = vec![0; members.serving.len()];
        for place in &owners {
            if let Some(count) = counts.get_mut(*place as usize) {
                *count += 1;
            }
        }
        let shares = members.serving.iter().copied().zip(counts);
        let shares = shares.filter_map(|(id, count)| Some((id?, count)));
        let id = |place: u32| members.serving.get(place as usize).copied().flatten();
        let slot = |place| Slot::new(id(place).unwrap_or_default());
        Self {
            slots,
            table: owners.into_iter().map(slot).collect(),
            shares: shares.collect(),
            members,
            base,
        }
    }
}
