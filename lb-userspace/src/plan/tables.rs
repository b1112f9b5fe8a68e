//! Lookup tables already computed, so that a service that has not changed costs nothing.

use std::{collections::BTreeMap, sync::Arc};

use lb_common::{backend::BackendId, table::Slot};

use crate::{dataplane::ServiceId, maglev, model};

/// A backend that takes new flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its number.
    pub(super) id: BackendId,
    maglev: maglev::Member,
}

impl Member {
    pub(super) fn new(backend: &model::Backend, id: BackendId) -> Self {
        Self {
            id,
            maglev: maglev::Member {
                name: backend.address.to_string(),
                weight: backend.weight.get(),
            },
        }
    }
}

/// The last table of each service, with what it was made from.
#[derive(Debug, Default)]
pub struct Tables {
    computed: BTreeMap<ServiceId, Computed>,
}

#[derive(Debug)]
struct Computed {
    slots: u32,
    members: Vec<Member>,
    table: Arc<[Slot]>,
}

impl Tables {
    /// The table of `slots` slots over `members`; empty if there are none.
    pub(super) fn table(
        &mut self,
        service: ServiceId,
        slots: u32,
        members: Vec<Member>,
    ) -> Arc<[Slot]> {
        let known = self.computed.get(&service);
        if let Some(known) = known.filter(|known| known.slots == slots && known.members == members)
        {
            return Arc::clone(&known.table);
        }
        let table = compute(slots, &members);
        self.computed.insert(
            service,
            Computed {
                slots,
                members,
                table: Arc::clone(&table),
            },
        );
        table
    }

    /// Forgets all services but `services`.
    pub(super) fn retain(&mut self, services: impl Iterator<Item = ServiceId>) {
        let kept: std::collections::BTreeSet<ServiceId> = services.collect();
        self.computed.retain(|service, _| kept.contains(service));
    }
}

fn compute(slots: u32, members: &[Member]) -> Arc<[Slot]> {
    let ids: Vec<BackendId> = members.iter().map(|member| member.id).collect();
    let members: Vec<maglev::Member> = members.iter().map(|member| member.maglev.clone()).collect();
    let owners = maglev::populate(&members, slots);
    let owner = |index: u32| ids.get(index as usize).copied().unwrap_or_default();
    owners
        .into_iter()
        .map(|index| Slot::new(owner(index)))
        .collect()
}
