//! One balancer: the product's planner over a data plane of values, the daemon's clock for slots that move, and the
//! program's choice of a backend.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::{Result, ensure};
use lb_common::{
    hash::FlowHash,
    table::{Slot, slot_of},
};
use lb_userspace::{
    dataplane::{Actual, ServiceId},
    model::Tracking,
    plan::{Knowledge, Plan, Strays, Tables, plan},
};

use super::{
    memory::{Entry, Memory},
    time::{Tick, seconds},
    wanted::{Server, Wanted},
};

/// What a packet finds in the entry of a backend.
#[derive(Clone, Copy)]
struct Backend {
    server: Server,
    generation: u32,
    is_active: bool,
}

/// Where a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// `None`: it is dropped.
    pub(crate) server: Option<Server>,
    /// Whether the table alone would have sent it elsewhere.
    pub(crate) is_kept: bool,
    /// Whether the flow tables were asked.
    pub(crate) is_looked_up: bool,
}

/// A balancer.
pub(crate) struct Balancer {
    /// Whether it takes all flows for remembered: it shows where slots move in the end.
    foresees: bool,
    actual: Actual,
    plan: Plan,
    used: Knowledge,
    /// Since when batches have been learning.
    batches: BTreeMap<u8, Tick>,
    strays: BTreeMap<ServiceId, Strays>,
    next_look: Tick,
    table: Arc<[Slot]>,
    backends: Vec<Option<Backend>>,
    memory: Memory,
}

impl Balancer {
    /// One that has published nothing and remembers nothing yet, with room for so many flows.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            foresees: false,
            actual: Actual::default(),
            plan: Plan::default(),
            used: Knowledge::default(),
            batches: BTreeMap::new(),
            strays: BTreeMap::new(),
            next_look: 0,
            table: Arc::from([]),
            backends: Vec::new(),
            memory: Memory::new(capacity),
        }
    }

    /// One whose slots move at once.
    pub(crate) fn foreseeing() -> Self {
        Self {
            foresees: true,
            ..Self::new(0)
        }
    }

    pub(crate) fn entries(&self) -> usize {
        self.memory.entries()
    }

    /// Those of flows that are not known to have ended.
    pub(crate) fn open_entries(&self) -> usize {
        self.memory.iter().filter(|entry| !entry.has_ended).count()
    }

    /// How many slots are tracked, and how many there are.
    pub(crate) fn tracked(&self) -> (u32, u32) {
        let mut moves = self.plan.moves.values();
        moves
            .next()
            .map_or((0, 0), |moving| (moving.tracked, moving.slots))
    }

    pub(crate) const fn table(&self) -> &Arc<[Slot]> {
        &self.table
    }

    /// Who serves `slot`.
    pub(crate) fn server(&self, slot: Slot) -> Option<Server> {
        let backend = self.backends.get(slot.backend().0 as usize)?.as_ref()?;
        backend.is_active.then_some(backend.server)
    }

    /// Plans and publishes what is wanted `now`. `tables` may be those that another has computed.
    pub(crate) fn reconcile(
        &mut self,
        wanted: &Wanted,
        tables: &mut Tables,
        now: Tick,
    ) -> Result<()> {
        let knowledge = self.knowledge(wanted, now);
        let plan = plan(wanted.input(&knowledge, &self.actual), tables);
        ensure!(
            plan.shortages.is_empty(),
            "the maps have no room: {:?}",
            plan.shortages
        );
        for step in plan.publish.iter().chain(&plan.clean) {
            self.actual.record(step);
        }
        self.actual.generation = plan.generation;
        let batches = plan.moves.values().flat_map(|moving| &moving.batches);
        let since = |batch: &u8| (*batch, self.batches.get(batch).copied().unwrap_or(now));
        self.batches = batches.map(since).collect();
        self.plan = plan;
        self.used = knowledge;
        self.read(wanted);
        Ok(())
    }

    /// What a packet finds from now on.
    fn read(&mut self, wanted: &Wanted) {
        let entry = self.actual.vips.get(&wanted.vip);
        let table = entry.and_then(|entry| self.actual.tables.get(&entry.region));
        self.table = table.map_or_else(|| Arc::from([]), Arc::clone);
        let last = self.actual.backends.keys().map(|id| id.0).max();
        self.backends = vec![None; last.map_or(0, |last| last as usize + 1)];
        for (id, entry) in &self.actual.backends {
            self.backends[id.0 as usize] = Server::at(entry.address).map(|server| Backend {
                server,
                generation: entry.generation,
                is_active: entry.active,
            });
        }
    }

    /// Does what is due `now`, as `daemon::learning` does it: has slots moved whose flows have been learnt, and looks at
    /// the flow tables while that is worth something; `is_draining`: while flows are to be counted.
    pub(crate) fn tick(
        &mut self,
        wanted: &Wanted,
        tables: &mut Tables,
        now: Tick,
        is_draining: bool,
    ) -> Result<()> {
        if self.learnt(wanted, now) != self.used.learnt {
            self.reconcile(wanted, tables, now)?;
        }
        let lingers = self.plan.moves.values().any(|moving| moving.lingering > 0);
        let is_worth_a_look = lingers || is_draining && wanted.moves.tracking != Tracking::Off;
        if is_worth_a_look && self.next_look <= now {
            self.next_look = now + learn_for(wanted).clamp(seconds(1), seconds(30));
            self.look();
            if self.strays != *self.used.strays {
                self.reconcile(wanted, tables, now)?;
            }
        }
        Ok(())
    }

    fn knowledge(&self, wanted: &Wanted, now: Tick) -> Knowledge {
        if self.foresees {
            return Knowledge::complete();
        }
        Knowledge {
            learnt: self.learnt(wanted, now),
            strays: Arc::new(self.strays.clone()),
            ..Knowledge::default()
        }
    }

    /// The batches that have learnt for long enough.
    fn learnt(&self, wanted: &Wanted, now: Tick) -> BTreeSet<(ServiceId, u8)> {
        let service = self.plan.moves.values().next();
        let service = ServiceId(service.map_or(0, |moving| moving.service));
        let batches = self.batches.iter();
        let learnt = batches.filter(|(_, since)| **since + learn_for(wanted) <= now);
        learnt.map(|(batch, _)| (service, *batch)).collect()
    }

    /// Finds the flows that are with another backend than their slot's, as `daemon::strays` does, and forgets those of
    /// them that have ended.
    fn look(&mut self) {
        self.strays.clear();
        let Some(entry) = self.actual.vips.values().next() else {
            return;
        };
        let mut strays = Strays {
            generation: entry.generation,
            ..Strays::default()
        };
        let mut ended = Vec::new();
        for flow in self.memory.iter() {
            let place = slot_of(flow.hash, slots(&self.table));
            let is_at_home = self.table[place as usize].backend() == flow.backend;
            let backend = self.actual.backends.get(&flow.backend);
            if is_at_home || backend.is_none_or(|it| it.generation != flow.generation) {
                continue;
            }
            if flow.has_ended {
                ended.push(flow.hash);
            } else {
                strays.slots.insert(place);
            }
        }
        for hash in ended {
            self.memory.forget(hash);
        }
        self.strays.insert(entry.service, strays);
    }

    /// Chooses the backend for a packet, and remembers the flow where its slot says so: what `select` of the program does
    /// with a packet of a service without connection ids. `is_last`: with it the client ends the flow.
    pub(crate) fn choose(&mut self, hash: FlowHash, is_last: bool) -> Choice {
        let slot = self.slot(hash);
        let table = self.server(slot);
        let mut choice = Choice {
            server: table,
            is_kept: false,
            is_looked_up: slot.is_tracked(),
        };
        if !slot.is_tracked() {
            return choice;
        }
        if let Some(server) = self.remembered(hash, is_last) {
            choice.server = Some(server);
            choice.is_kept = table != Some(server);
        } else if !is_last && table.is_some() {
            self.remember(hash, slot);
        }
        choice
    }

    /// Where a packet of the flow would go; that leaves no trace.
    pub(crate) fn answer(&self, hash: FlowHash) -> Option<Server> {
        let slot = self.slot(hash);
        let known = [&self.memory.flows, &self.memory.fresh].into_iter();
        let mut known = known.filter_map(|table| self.taking(table.peek(hash)?));
        known
            .next()
            .filter(|_| slot.is_tracked())
            .or_else(|| self.server(slot))
    }

    fn slot(&self, hash: FlowHash) -> Slot {
        let place = slot_of(hash, slots(&self.table));
        let nobody = Slot::default().tracked();
        self.table.get(place as usize).copied().unwrap_or(nobody)
    }

    /// Where the flow is remembered to be. A fresh one has gone on.
    fn remembered(&mut self, hash: FlowHash, is_last: bool) -> Option<Server> {
        if let Some(known) = self.memory.flows.touch(hash) {
            known.has_ended |= is_last;
            let known = *known;
            if let Some(server) = self.taking(known) {
                return Some(server);
            }
        }
        let fresh = *self.memory.fresh.touch(hash)?;
        let server = self.taking(fresh)?;
        self.memory.fresh.remove(hash);
        self.memory.flows.insert(Entry {
            has_ended: is_last,
            ..fresh
        });
        Some(server)
    }

    fn remember(&mut self, hash: FlowHash, slot: Slot) {
        let Some(Some(backend)) = self.backends.get(slot.backend().0 as usize) else {
            return;
        };
        let entry = Entry {
            hash,
            backend: slot.backend(),
            generation: backend.generation,
            has_ended: false,
        };
        if self.memory.flows.peek(hash).is_some() {
            self.memory.flows.insert(entry);
        } else {
            self.memory.fresh.insert(entry);
        }
    }

    /// Whose entry it is, if it still counts.
    fn taking(&self, entry: Entry) -> Option<Server> {
        let backend = self.backends.get(entry.backend.0 as usize)?.as_ref()?;
        let counts = backend.is_active && backend.generation == entry.generation;
        counts.then_some(backend.server)
    }
}

fn learn_for(wanted: &Wanted) -> Tick {
    Tick::try_from(wanted.moves.learn_for.as_secs()).map_or(Tick::MAX, seconds)
}

pub(crate) fn slots(table: &[Slot]) -> u32 {
    u32::try_from(table.len()).unwrap_or(u32::MAX)
}
