//! A fleet of balancers under traffic and churn, with every connection that breaks counted by its cause.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use lb_userspace::{
    model::{Health, Tracking},
    plan::Tables,
};

use super::{
    balancer::{Balancer, slots},
    churn::{BALANCERS, Cause, Event},
    time::{Tick, seconds},
    traffic::{Fate, Flow, Traffic},
    wanted::{Server, Wanted},
};

/// How often entries are counted.
const SAMPLE: Tick = seconds(10);

/// What is simulated.
pub(crate) struct Setting<'a> {
    pub(crate) backends: u32,
    /// Flows at a time.
    pub(crate) flows: usize,
    pub(crate) end: Tick,
    pub(crate) seed: u64,
    /// Of each balancer's flow table.
    pub(crate) capacity: usize,
    pub(crate) tracking: Tracking,
    pub(crate) churn: &'a [(Tick, Event)],
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) begun: u64,
    /// By [`Cause`], in its order.
    pub(crate) broken: [u64; 4],
    /// Those whose backend failed.
    pub(crate) dead: u64,
    /// Those that would have broken if nothing had been remembered of them.
    pub(crate) kept: u64,
    pub(crate) packets: u64,
    /// Packets for which the flow tables were asked.
    pub(crate) looked_up: u64,
    samples: f64,
    entries: f64,
    open: f64,
    tracked: f64,
    /// The most entries that there were for a flow that lives.
    pub(crate) peak: f64,
}

impl Outcome {
    /// Entries for a flow that lives.
    pub(crate) fn entries(&self) -> f64 {
        self.entries / self.samples
    }

    /// The same without those of flows that are known to have ended.
    pub(crate) fn open(&self) -> f64 {
        self.open / self.samples
    }

    /// The part of the slots that is tracked.
    pub(crate) fn tracked(&self) -> f64 {
        self.tracked / self.samples
    }
}

/// A balancer's place in the fleet.
struct Place {
    balancer: Balancer,
    is_there: bool,
    /// How many there were before it.
    number: u32,
}

struct Simulation<'a> {
    setting: &'a Setting<'a>,
    wanted: Wanted,
    fleet: Vec<Place>,
    /// What one has computed is as good for the others.
    tables: Tables,
    /// Shows where slots will be in the end; their moves are laid to the event's charge.
    due: Balancer,
    /// Why each slot moved last.
    causes: Vec<Option<Cause>>,
    /// Backends that drain, and since when.
    draining: BTreeMap<Server, Tick>,
    /// How many flows backends have.
    loads: BTreeMap<Server, u64>,
    alive: u64,
    outcome: Outcome,
}

/// Simulates it.
///
/// # Errors
/// A change was refused, the maps had no room, or a flow broke although its slot never moved.
pub(crate) fn simulate(setting: &Setting<'_>) -> Result<Outcome> {
    let mut simulation = Simulation::new(setting)?;
    let mut traffic = Traffic::new(setting.flows, setting.seed);
    let mut churn = setting.churn.iter().peekable();
    for now in 0..setting.end {
        while let Some((_, event)) = churn.next_if(|(at, _)| *at <= now) {
            simulation.happen(*event, now, &mut traffic.flows)?;
        }
        simulation.remove_drained(now)?;
        let is_draining = !simulation.draining.is_empty();
        let (wanted, tables) = (&simulation.wanted, &mut simulation.tables);
        for place in &mut simulation.fleet {
            place.balancer.tick(wanted, tables, now, is_draining)?;
        }
        let mut unexplained = 0;
        traffic.each(now, |flow| unexplained += u64::from(!simulation.send(flow)));
        ensure!(
            unexplained == 0,
            "{unexplained} flows broke at {now}, and their slots had never moved"
        );
        if now % SAMPLE == 0 {
            simulation.sample();
        }
    }
    Ok(simulation.outcome)
}

impl<'a> Simulation<'a> {
    fn new(setting: &'a Setting<'a>) -> Result<Self> {
        let place = |_| Place {
            balancer: Balancer::new(setting.capacity),
            is_there: true,
            number: 0,
        };
        let mut simulation = Self {
            setting,
            wanted: Wanted::new(setting.backends, setting.tracking)?,
            fleet: (0..BALANCERS).map(place).collect(),
            tables: Tables::default(),
            due: Balancer::foreseeing(),
            causes: Vec::new(),
            draining: BTreeMap::new(),
            loads: BTreeMap::new(),
            alive: 0,
            outcome: Outcome::default(),
        };
        simulation.reconcile(0)?;
        simulation
            .due
            .reconcile(&simulation.wanted, &mut simulation.tables, 0)?;
        simulation.causes = vec![None; simulation.due.table().len()];
        Ok(simulation)
    }

    /// All balancers see what is wanted.
    fn reconcile(&mut self, now: Tick) -> Result<()> {
        for place in &mut self.fleet {
            place
                .balancer
                .reconcile(&self.wanted, &mut self.tables, now)?;
        }
        Ok(())
    }

    fn happen(&mut self, event: Event, now: Tick, flows: &mut [Flow]) -> Result<()> {
        match event {
            Event::Add(server) => self.wanted.add(server)?,
            Event::Drain(server) => {
                self.wanted.drain(server)?;
                self.draining.insert(server, now);
            }
            Event::Weigh(server, weight) => self.wanted.weigh(server, weight)?,
            Event::Resize(slots) => self.wanted.resize(slots)?,
            Event::Fail(server) => {
                self.wanted.found(server, Health::Down);
                let theirs = flows.iter_mut();
                for flow in theirs.filter(|flow| flow.fate == Fate::Alive(server)) {
                    self.outcome.dead += 1;
                    self.lose(flow, Fate::Orphaned);
                }
            }
            Event::Recover(server) => self.wanted.found(server, Health::Up),
            // It goes on in the dark, so that it can be asked what it would have done.
            Event::Leave(number) => {
                self.fleet[number].is_there = false;
                return Ok(());
            }
            Event::Return(number) => {
                let place = &mut self.fleet[number];
                *place = Place {
                    balancer: Balancer::new(self.setting.capacity),
                    is_there: true,
                    number: place.number + 1,
                };
                return place
                    .balancer
                    .reconcile(&self.wanted, &mut self.tables, now);
            }
        }
        self.reconcile(now)?;
        self.charge(event.cause(), now)
    }

    /// Lays the slots that will move to the charge of `cause`.
    fn charge(&mut self, cause: Cause, now: Tick) -> Result<()> {
        let owners = |due: &Balancer| -> Vec<Option<Server>> {
            let slots = due.table().iter();
            slots.map(|slot| due.server(*slot)).collect()
        };
        let before = owners(&self.due);
        self.due.reconcile(&self.wanted, &mut self.tables, now)?;
        let after = owners(&self.due);
        if before.len() != after.len() {
            self.causes = vec![Some(cause); after.len()];
            return Ok(());
        }
        let owners = before.iter().zip(&after);
        for (charged, (before, after)) in self.causes.iter_mut().zip(owners) {
            if before != after {
                *charged = Some(cause);
            }
        }
        Ok(())
    }

    /// Removes the backends that have drained.
    fn remove_drained(&mut self, now: Tick) -> Result<()> {
        let learnt = |since: Tick| now >= since + seconds(60);
        let is_done = |(server, since): (&Server, &Tick)| {
            (learnt(*since) && self.loads.get(server).is_none_or(|load| *load == 0))
                .then_some(*server)
        };
        let done: Vec<Server> = self.draining.iter().filter_map(is_done).collect();
        for server in &done {
            self.draining.remove(server);
            self.wanted.remove(*server)?;
        }
        if !done.is_empty() {
            self.reconcile(now)?;
            self.charge(Cause::Planned, now)?;
        }
        Ok(())
    }

    /// The flow is no longer alive.
    fn lose(&mut self, flow: &mut Flow, fate: Fate) {
        if let Fate::Alive(server) = flow.fate {
            self.alive -= 1;
            *self.loads.entry(server).or_default() -= 1;
        }
        flow.fate = fate;
    }

    /// The balancer that routers choose: of those that are there, the one that ranks first for the flow, so that only
    /// flows of one that goes or comes move.
    fn balancer(&self, flow: &Flow) -> usize {
        let rank = |number: usize| {
            let seed = flow.hash.0 ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            lb_tests::random::Random::new(seed).next()
        };
        let there = (0..BALANCERS).filter(|number| self.fleet[*number].is_there);
        there.max_by_key(|number| rank(*number)).unwrap_or_default()
    }

    /// Has `flow` send a packet; whether what came of it has a cause.
    fn send(&mut self, flow: &mut Flow) -> bool {
        if flow.fate == Fate::Over {
            return true;
        }
        let number = self.balancer(flow);
        let before = flow.balancer;
        flow.balancer = (number, self.fleet[number].number);
        // Who has lost its server does not end in good order.
        let is_last = flow.is_last() && flow.fate != Fate::Orphaned;
        let choice = self.fleet[number].balancer.choose(flow.hash, is_last);
        self.outcome.packets += 1;
        self.outcome.looked_up += u64::from(choice.is_looked_up);
        match (flow.fate, choice.server) {
            (Fate::New, Some(server)) => {
                self.outcome.begun += 1;
                self.alive += 1;
                *self.loads.entry(server).or_default() += 1;
                flow.fate = Fate::Alive(server);
            }
            (Fate::Alive(server), chosen) if chosen != Some(server) => {
                let cause = self.cause(flow, before, server);
                self.lose(flow, Fate::Over);
                let Some(cause) = cause else {
                    return false;
                };
                self.outcome.broken[cause as usize] += 1;
                return true;
            }
            (Fate::Alive(_), _) => {
                if choice.is_kept && !flow.is_kept {
                    flow.is_kept = true;
                    self.outcome.kept += 1;
                }
            }
            (Fate::New | Fate::Orphaned | Fate::Over, _) => flow.fate = Fate::Over,
        }
        if flow.is_last() {
            self.lose(flow, Fate::Over);
        }
        true
    }

    /// Why a flow breaks that was with `server`, and whose last packet went to the balancer `before`.
    fn cause(&self, flow: &Flow, before: (usize, u32), server: Server) -> Option<Cause> {
        let (number, age) = before;
        let place = &self.fleet[number];
        let has_moved = before != flow.balancer;
        let is_gone = place.number != age;
        // Where it was it would have been right.
        if has_moved && (is_gone || place.balancer.answer(flow.hash) == Some(server)) {
            return Some(Cause::Ecmp);
        }
        let slot = lb_common::table::slot_of(flow.hash, slots(self.due.table()));
        self.causes.get(slot as usize).copied().flatten()
    }

    fn sample(&mut self) {
        let there = || self.fleet.iter().filter(|place| place.is_there);
        let entries: usize = there().map(|place| place.balancer.entries()).sum();
        let open: usize = there().map(|place| place.balancer.open_entries()).sum();
        let tracked = there().map(|place| place.balancer.tracked());
        let (tracked, slots) = tracked.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let [entries, open] = [entries, open].map(|it| ratio(it as u64, self.alive.max(1)));
        let outcome = &mut self.outcome;
        outcome.samples += 1.0;
        outcome.entries += entries;
        outcome.open += open;
        outcome.peak = outcome.peak.max(entries);
        outcome.tracked += ratio(u64::from(tracked), u64::from(slots));
    }
}

/// A part of a whole.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}
