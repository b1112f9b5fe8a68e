//! A look at the flow tables, on a thread of its own: which flows are with another backend than their slot's, and which
//! have ended and are forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use lb_common::{backend::BackendId, table::Slot};
use tokio::task::JoinHandle;
use tracing::warn;

use crate::{
    dataplane::{Actual, BackendEntry, Counted, FlowTables, RememberedFlow, ServiceId, VipEntry},
    plan::Strays,
};

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// For every service, the slots with flows elsewhere.
    pub(super) strays: BTreeMap<ServiceId, Strays>,
    /// How many flows each backend has.
    pub(super) flows: BTreeMap<(ServiceId, SocketAddr), u64>,
    /// How many flows backends have whose load counts, and what was counted of them when the look began.
    pub(super) loads: Counted,
    counted: Counted,
    /// Since which generation the numbers have been those of the backends that were counted.
    generations: BTreeMap<BackendId, u32>,
}

impl Findings {
    /// What was counted when the look began of backends that have their numbers yet in `actual`: a number that was given
    /// out again since counts for somebody else.
    pub(super) fn counted(&self, actual: &Actual) -> Counted {
        let is_the_same = |id: &BackendId| {
            let now = actual.backends.get(id).map(|entry| entry.generation);
            now.is_some() && now.as_ref() == self.generations.get(id)
        };
        let counted = self.counted.iter().filter(|(id, _)| is_the_same(id));
        counted.map(|(id, flows)| (*id, *flows)).collect()
    }
}

/// The look under way, if there is one.
#[derive(Debug, Default)]
pub(super) struct Look(Option<JoinHandle<Option<Findings>>>);

impl Look {
    pub(super) const fn is_under_way(&self) -> bool {
        self.0.is_some()
    }

    /// Begins to look for `search` in `tables`.
    pub(super) fn begin(&mut self, search: Search, tables: FlowTables) {
        self.0 = Some(tokio::task::spawn_blocking(|| search.run(tables)));
    }

    /// What the look has found, when it has ended, if it saw everything; never, if there is none.
    pub(super) async fn findings(&mut self) -> Option<Findings> {
        let Some(look) = &mut self.0 else {
            return std::future::pending().await;
        };
        let found = look.await;
        self.0 = None;
        found.ok().flatten()
    }
}

/// What the look needs to know.
pub(super) struct Search {
    actual: Actual,
    /// What the program has counted.
    counted: Counted,
    /// By service: the table that is published, and the entry that says so.
    tables: BTreeMap<ServiceId, (Arc<[Slot]>, VipEntry)>,
}

impl Search {
    /// Flows are held against what the kernel holds now.
    pub(super) fn new(actual: &Actual, counted: Counted) -> Self {
        let mut tables: BTreeMap<ServiceId, (Arc<[Slot]>, VipEntry)> = BTreeMap::new();
        for entry in actual.vips.values() {
            let known = tables.get(&entry.service);
            let is_newest = known.is_none_or(|(_, known)| entry.generation > known.generation);
            if let Some(table) = actual.tables.get(&entry.region)
                && is_newest
            {
                tables.insert(entry.service, (Arc::clone(table), *entry));
            }
        }
        Self {
            tables,
            counted,
            actual: actual.clone(),
        }
    }

    fn run(self, mut tables: FlowTables) -> Option<Findings> {
        let backends = self.actual.backends.iter();
        let counted = backends.filter(|(id, _)| self.counted.contains_key(id));
        let mut findings = Findings {
            generations: counted.map(|(id, entry)| (*id, entry.generation)).collect(),
            counted: self.counted.clone(),
            ..Findings::default()
        };
        for (service, (_, entry)) in &self.tables {
            let strays = Strays {
                generation: entry.generation,
                slots: BTreeSet::new(),
            };
            findings.strays.insert(*service, strays);
        }
        let mut ended = Vec::new();
        let read = tables.each(|flow| {
            self.take(&flow, &mut findings, &mut ended);
            true
        });
        let done = read.and_then(|is_whole| {
            tables.forget(&ended)?;
            Ok(is_whole)
        });
        match done {
            Ok(is_whole) => is_whole.then_some(findings),
            Err(error) => {
                warn!(
                    error = format!("{error:#}"),
                    "cannot look at the flow tables"
                );
                None
            }
        }
    }

    /// Sees to one flow. One whose backend has gone is nobody's.
    fn take(
        &self,
        flow: &RememberedFlow,
        findings: &mut Findings,
        ended: &mut Vec<RememberedFlow>,
    ) {
        let Some(BackendEntry {
            generation,
            service,
            address,
            load_weight,
            ..
        }) = self.actual.backends.get(&flow.backend)
        else {
            return;
        };
        if *generation != flow.generation {
            return;
        }
        if !flow.has_ended {
            *findings.flows.entry((*service, *address)).or_default() += 1;
            if *load_weight > 0 && !flow.is_closing {
                *findings.loads.entry(flow.backend).or_default() += 1;
            }
        }
        let Some((table, entry)) = self.tables.get(service) else {
            return;
        };
        let slots = u32::try_from(table.len()).unwrap_or(u32::MAX);
        // A flow whose slot was drawn has none of its own, and strays from none.
        let place = flow.hashes.slot(entry.algorithm, slots);
        let owner = place.and_then(|place| table.get(place as usize));
        if owner.is_some_and(|slot| slot.backend() == flow.backend) {
            return;
        }
        if flow.has_ended {
            ended.push(*flow);
        } else if let Some(place) = place
            && let Some(strays) = findings.strays.get_mut(service)
        {
            strays.slots.insert(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Mode, neighbor::NextHop};

    /// Backends by number and generation.
    fn actual(generations: &[(u32, u32)]) -> Actual {
        let entry = |generation| BackendEntry {
            generation,
            service: ServiceId(1),
            address: ([10, 0, 0, 1], 80).into(),
            mode: Mode::L2,
            next_hop: NextHop::default(),
            source: None,
            active: true,
            load_weight: 100,
        };
        let backends = generations.iter();
        let backends = backends.map(|(id, generation)| (BackendId(*id), entry(*generation)));
        Actual {
            backends: backends.collect(),
            ..Actual::default()
        }
    }

    #[test]
    fn what_was_counted_is_not_taken_for_whoever_has_the_number_now() {
        let findings = Findings {
            counted: (1..=4).map(|id| (BackendId(id), 7)).collect(),
            generations: (1..=3).map(|id| (BackendId(id), 5)).collect(),
            ..Findings::default()
        };
        // The second went, the third's number was given out again, and the fourth was never known.
        let counted = findings.counted(&actual(&[(1, 5), (3, 6), (4, 5)]));
        assert_eq!(counted, [(BackendId(1), 7)].into());
    }
}
