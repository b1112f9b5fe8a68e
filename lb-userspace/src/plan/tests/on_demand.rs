//! What holds of slots that learn before they move, for every sequence of changes, deaths, weights, times and restarts.
//!
//! The watch beside the planner sees nothing but the slots that are published, and when: it knows of each since when its
//! flows are remembered, and believes nothing that the planner says of itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lb_common::{backend::BackendId, table::Slot};
use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    super::{Knowledge, Plan, Scale, Strays, Tables},
    lab::{Lab, backend, service, target},
};
use crate::{
    dataplane::{ServiceId, Step},
    model::{AdminState, Algorithm, DynamicWeights, Health, Moves, TableSlots, Tracking, Weight},
};

const VIP: &str = "192.0.2.1:80/tcp";
const BACKENDS: [&str; 4] = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"];
/// Slots learn for so many units of time.
const LEARN: u32 = 3;

#[derive(Clone, Debug)]
enum Event {
    State(&'static str, AdminState),
    Health(&'static str, Health),
    Weight(&'static str, u32),
    /// A dynamic weight, in per cent; whether its agent drains it.
    Scale(&'static str, u32, bool),
    /// The backend is configured, or is not.
    Present(&'static str, bool),
    Slots(TableSlots),
    Algorithm(Algorithm),
    /// Time goes by.
    Time(u32),
    /// A look at the flow tables: every so many-th slot has flows elsewhere; 0: none has.
    Look(u32),
    /// The daemon is replaced by another, which knows nothing but what the kernel tells.
    Restart,
}

fn events() -> impl Strategy<Value = Event> {
    let backend = || select(&BACKENDS);
    let states = select(vec![
        AdminState::Up,
        AdminState::Up,
        AdminState::Drain,
        AdminState::Down,
    ]);
    let sizes = select(vec![TableSlots::Auto, TableSlots::Fixed(4_093)]);
    let algorithms = select(vec![Algorithm::Maglev, Algorithm::SourceHash]);
    prop_oneof![
        2 => (backend(), states).prop_map(|(it, state)| Event::State(it, state)),
        2 => (backend(), select(vec![Health::Up, Health::Down]))
            .prop_map(|(it, health)| Event::Health(it, health)),
        2 => (backend(), 1..6_u32).prop_map(|(it, weight)| Event::Weight(it, weight)),
        2 => (backend(), 1..300_u32, prop::bool::weighted(0.2))
            .prop_map(|(it, percent, drains)| Event::Scale(it, percent, drains)),
        1 => (backend(), any::<bool>()).prop_map(|(it, is)| Event::Present(it, is)),
        1 => sizes.prop_map(Event::Slots),
        1 => algorithms.prop_map(Event::Algorithm),
        8 => (1..=LEARN).prop_map(Event::Time),
        4 => (0..5_u32).prop_map(Event::Look),
        1 => Just(Event::Restart),
    ]
}

/// Flows that began on a slot while it was not tracked, and may not be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unremembered {
    /// Whose they are.
    owner: BackendId,
    /// Since when the slot has been tracked; `None`: it is not.
    since: Option<u32>,
}

/// A lab in time, and what has been seen of its slots.
struct Watch {
    lab: Lab,
    now: u32,
    /// What a daemon remembers: since when batches learn.
    batches: BTreeMap<u8, u32>,
    slots: Vec<Slot>,
    algorithm: Algorithm,
    unremembered: Vec<Option<Unremembered>>,
}

impl Watch {
    fn begin(max_step: u32) -> Self {
        let mut web = service("web", &[VIP], &BACKENDS);
        web.moves = Moves {
            max_step,
            ..Moves::default()
        };
        web.dynamic_weights = Some(DynamicWeights::default());
        let lab = Lab::published([web]);
        let mut watch = Self {
            lab,
            now: 0,
            batches: BTreeMap::new(),
            slots: Vec::new(),
            algorithm: Algorithm::Maglev,
            unremembered: Vec::new(),
        };
        watch.see();
        watch
    }

    fn service(&self) -> ServiceId {
        self.lab.vip(VIP).service
    }

    fn happen(&mut self, event: &Event) {
        let lab = &mut self.lab;
        let service = lab.service_mut("web");
        match event {
            Event::State(address, state) => {
                if let Some(it) = service.backends.get_mut(&address.parse().unwrap()) {
                    it.state = *state;
                }
            }
            Event::Weight(address, weight) => {
                if let Some(it) = service.backends.get_mut(&address.parse().unwrap()) {
                    it.weight = Weight::try_from(*weight).unwrap();
                }
            }
            Event::Health(address, health) => lab.set_health("web", address, *health),
            Event::Scale(address, percent, drains) => {
                let scale = Scale {
                    percent: *percent,
                    drains: *drains,
                };
                lab.knowledge.scales.insert(target("web", address), scale);
            }
            Event::Present(address, is_present) => {
                let backend = backend(address);
                if *is_present {
                    service.backends.entry(backend.address).or_insert(backend);
                } else {
                    service.backends.remove(&backend.address);
                }
            }
            Event::Slots(slots) => service.table_slots = *slots,
            Event::Algorithm(algorithm) => service.algorithm = *algorithm,
            Event::Time(units) => self.now += units,
            Event::Look(every) => self.look(*every),
            Event::Restart => {
                let scales = std::mem::take(&mut lab.knowledge.scales);
                lab.knowledge = Knowledge {
                    scales,
                    ..Knowledge::default()
                };
                let went_on = lab.plan();
                lab.memory = std::mem::take(&mut lab.memory).restarted();
                lab.tables = Tables::default();
                let plan = lab.plan();
                // Where tables stand in the arena is another matter.
                assert!(tables(&plan) == tables(&went_on), "other tables");
                assert_eq!(plan.moves, went_on.moves);
                assert_eq!(plan.serving, went_on.serving);
                assert_eq!(plan.leaving, went_on.leaving);
                self.batches.clear();
                self.follow(
                    &plan
                        .moves
                        .values()
                        .flat_map(|it| it.batches.clone())
                        .collect(),
                );
            }
        }
    }

    fn look(&mut self, every: u32) {
        let slots = u32::try_from(self.slots.len()).unwrap();
        let found = Strays {
            generation: self.lab.vip(VIP).generation,
            slots: (0..slots)
                .filter(|it| every > 0 && it % every == 0)
                .collect(),
        };
        self.lab.knowledge.strays = Arc::new([(self.service(), found)].into());
    }

    /// What a daemon takes note of after a publication.
    fn follow(&mut self, batches: &BTreeSet<u8>) {
        let (now, before) = (self.now, std::mem::take(&mut self.batches));
        let since = |batch: &u8| (*batch, before.get(batch).copied().unwrap_or(now));
        self.batches = batches.iter().map(since).collect();
    }

    /// Publishes what is due by now; answers whether anything was.
    fn publish(&mut self) -> bool {
        let service = self.service();
        let learnt = self.batches.iter();
        let learnt = learnt.filter(|(_, since)| **since + LEARN <= self.now);
        self.lab.knowledge.learnt = learnt.map(|(batch, _)| (service, *batch)).collect();
        let due = self.due();
        let plan = self.lab.settle();
        self.follow(
            &plan
                .moves
                .values()
                .flat_map(|it| it.batches.clone())
                .collect(),
        );
        self.judge(&due);
        !plan.publish.is_empty()
    }

    /// The table that all this leads to.
    fn due(&mut self) -> Vec<Slot> {
        let complete = Knowledge {
            scales: self.lab.knowledge.scales.clone(),
            ..Knowledge::complete()
        };
        let knowledge = std::mem::replace(&mut self.lab.knowledge, complete);
        let plan = self.lab.plan();
        self.lab.knowledge = knowledge;
        let mut tables = BTreeMap::new();
        let mut region = self.lab.vip(VIP).region;
        for step in &plan.publish {
            if let Step::WriteTable(at, table) = step {
                tables.insert(*at, table.to_vec());
            }
            if let Step::PutVip(_, entry) = step {
                region = entry.region;
            }
        }
        let held = || self.lab.memory.slots(region).to_vec();
        tables.remove(&region).unwrap_or_else(held)
    }

    fn is_alive(&self, id: BackendId) -> bool {
        let entry = self.lab.memory.actual.backends.get(&id);
        let wanted = &self.lab.desired.services[&"web".parse().unwrap()].backends;
        entry.is_some_and(|it| it.active && wanted.contains_key(&it.address))
    }

    /// Whether a backend is to have no new flows, and keeps those that it has.
    fn is_leaving(&self, id: BackendId) -> bool {
        let entry = self.lab.memory.actual.backends.get(&id);
        let web = &self.lab.desired.services[&"web".parse().unwrap()];
        let wanted = entry.and_then(|it| web.backends.get(&it.address));
        wanted.is_some_and(|it| {
            let scale = self
                .lab
                .knowledge
                .scales
                .get(&target("web", &it.address.to_string()));
            it.state == AdminState::Drain || scale.is_some_and(|scale| scale.drains)
        })
    }

    fn published(&self) -> (Vec<Slot>, Algorithm) {
        let entry = self.lab.vip(VIP);
        (
            self.lab.memory.slots(entry.region).to_vec(),
            entry.algorithm,
        )
    }

    /// Takes over what is published, of which nothing was known.
    fn see(&mut self) {
        (self.slots, self.algorithm) = self.published();
        let unremembered = |slot: &Slot| {
            let owner = slot.backend();
            (!slot.is_tracked()).then_some(Unremembered { owner, since: None })
        };
        self.unremembered = self.slots.iter().map(unremembered).collect();
    }

    /// Holds what is published now against what was before.
    fn judge(&mut self, due: &[Slot]) {
        let (slots, algorithm) = self.published();
        if slots.len() != self.slots.len() || algorithm != self.algorithm {
            return self.judge_replaced(slots, algorithm);
        }
        let was_learning = self
            .slots
            .iter()
            .any(|slot| slot.batch() != 0 && slots.iter().any(|now| now.batch() == slot.batch()));
        let mut begun = 0;
        for (place, after) in slots.iter().enumerate() {
            let before = self.slots[place];
            let known = self.unremembered[place].filter(|it| self.is_alive(it.owner));
            if before.backend() != after.backend() {
                assert!(
                    is_remembered(known, self.now),
                    "slot {place} moves from {before:?} to {after:?} and leaves {known:?} at {}",
                    self.now
                );
            }
            if before.is_tracked() && !after.is_tracked() && before.backend() == after.backend() {
                self.assert_no_strays(place);
            }
            let begins = !before.is_tracked() && after.is_tracked();
            let is_to_move = due
                .get(place)
                .is_some_and(|it| it.backend() != after.backend());
            let stays = before.backend() == after.backend();
            begun += usize::from(
                begins
                    && stays
                    && is_to_move
                    && due.len() == slots.len()
                    && !self.is_leaving(after.backend()),
            );
            self.unremembered[place] = if after.is_tracked() {
                let begun = |it: Unremembered| Unremembered {
                    since: it.since.or(Some(self.now)),
                    ..it
                };
                known
                    .map(begun)
                    .filter(|it| !is_remembered(Some(*it), self.now))
            } else {
                let owner = after.backend();
                Some(Unremembered { owner, since: None })
            };
        }
        let web = &self.lab.desired.services[&"web".parse().unwrap()];
        let most = (slots.len() * web.moves.max_step as usize).div_ceil(100);
        if web.algorithm == algorithm {
            assert!(begun <= most, "{begun} slots begin to learn, {most} may");
            assert!(
                begun == 0 || !was_learning,
                "{begun} begin while others learn"
            );
        }
        self.slots = slots;
    }

    /// A table of other slots, or none: no flow on the old one may be unremembered.
    fn judge_replaced(&mut self, slots: Vec<Slot>, algorithm: Algorithm) {
        for (place, known) in self.unremembered.iter().enumerate() {
            let known = known.filter(|it| self.is_alive(it.owner));
            assert!(
                is_remembered(known, self.now),
                "slot {place} is gone, {known:?}"
            );
        }
        let is_after_nothing = self.slots.is_empty();
        assert!(is_after_nothing || slots.iter().all(|slot| slot.is_tracked()));
        (self.slots, self.algorithm) = (slots, algorithm);
        self.unremembered = vec![None; self.slots.len()];
    }

    fn assert_no_strays(&self, place: usize) {
        let strays = self.lab.knowledge.strays.get(&self.service());
        let place = u32::try_from(place).unwrap();
        let is_clear = strays.is_some_and(|it| !it.slots.contains(&place));
        assert!(
            is_clear,
            "slot {place} is forgotten, though it may have strays"
        );
    }

    /// Time goes by, and nothing else happens, until nothing is published any more.
    fn rest(&mut self) {
        for _ in 0..400 {
            self.now += LEARN;
            self.look(0);
            if !self.publish() {
                return;
            }
        }
        panic!("slots never come to rest: {:?}", self.lab.plan().moves);
    }
}

/// The tables that a plan writes.
fn tables(plan: &Plan) -> Vec<&[Slot]> {
    let steps = plan.publish.iter();
    let mut tables = Vec::new();
    for step in steps {
        if let Step::WriteTable(_, table) = step {
            tables.push(table.as_ref());
        }
    }
    tables
}

fn is_remembered(flows: Option<Unremembered>, now: u32) -> bool {
    flows.is_none_or(|it| it.since.is_some_and(|since| since + LEARN <= now))
}

/// Everybody is well, and has its configured weight.
fn heal(watch: &mut Watch) {
    for address in BACKENDS {
        watch.happen(&Event::Present(address, true));
        watch.happen(&Event::State(address, AdminState::Up));
        watch.happen(&Event::Health(address, Health::Up));
    }
    watch.lab.knowledge.scales.clear();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_slot_moves_before_its_flows_are_remembered_and_all_arrive(
        max_step in 1..=60_u32, events in vec(events(), 1..40),
    ) {
        let mut watch = Watch::begin(max_step);
        for event in &events {
            watch.happen(event);
            watch.publish();
        }
        watch.rest();
        let due = watch.due();
        prop_assert_eq!(&watch.slots, &due, "what is due, and tracked as is due");

        heal(&mut watch);
        watch.rest();
        prop_assert!(watch.slots.iter().all(|slot| !slot.is_tracked()), "all are at home");
        let mut fresh = Lab::published([watch.lab.service_mut("web").clone()]);
        fresh.tables = Tables::default();
        let owners = |lab: &Lab| -> Vec<_> {
            let slots = lab.memory.slots(lab.vip(VIP).region).iter();
            slots.map(|it| lab.memory.actual.backends[&it.backend()].address).collect()
        };
        prop_assert_eq!(owners(&watch.lab), owners(&fresh), "as if nothing had ever happened");
    }

    #[test]
    fn restarts_on_the_way_change_nothing_of_where_it_leads(
        events in vec((events(), any::<bool>()), 1..24),
    ) {
        let [mut steady, mut restarted] = [(); 2].map(|()| Watch::begin(20));
        for (event, restarts) in &events {
            for watch in [&mut steady, &mut restarted] {
                watch.happen(event);
                watch.publish();
            }
            if *restarts {
                restarted.happen(&Event::Restart);
                restarted.publish();
            }
        }
        steady.rest();
        restarted.rest();
        prop_assert_eq!(steady.slots.len(), restarted.slots.len());
        prop_assert_eq!(steady.algorithm, restarted.algorithm);
        let owner = |watch: &Watch, slot: &Slot| {
            let backends = &watch.lab.memory.actual.backends;
            backends.get(&slot.backend()).map(|it| it.address)
        };
        for (one, other) in steady.slots.iter().zip(&restarted.slots) {
            prop_assert_eq!(owner(&steady, one), owner(&restarted, other));
            prop_assert_eq!(one.is_tracked(), other.is_tracked());
        }
    }
}

#[test]
fn the_service_of_these_tests_tracks_on_demand() {
    let watch = Watch::begin(5);
    let web = &watch.lab.desired.services[&"web".parse().unwrap()];
    assert_eq!(web.moves.tracking, Tracking::OnDemand);
    assert!(watch.slots.iter().all(|slot| !slot.is_tracked()));
}
