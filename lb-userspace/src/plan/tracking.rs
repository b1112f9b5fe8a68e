//! From the slots that are published to those that are due, so that no flow is lost on the way.
//!
//! A slot whose flows are all remembered moves at once: they stay where they are. One whose flows are not is tracked
//! first, for a time that the operator chooses, and moves then (**learn, then move**). What a dead backend had moves at
//! once, too: its flows are dead. A slot that is where it belongs is tracked for as long as flows are remembered to be
//! elsewhere (its **strays**), and no longer: then its packets touch no flow table.
//!
//! What state a slot is in is written in the slot, so that the next process knows as well. Slots that begin to be tracked
//! together are a batch, with a number; only since when a batch has been learning is remembered by the daemon alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    sync::Arc,
};

use lb_common::{backend::BackendId, table::Slot};

use super::tables::{Computed, are_same};
use crate::{
    dataplane::ServiceId,
    health::Target,
    model::{Moves, Tracking},
};

/// What has been learnt of the flows on slots that move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// Whether all flows are to be taken for remembered, and all shares for grown: to see where slots move in the end.
    pub is_complete: bool,
    /// Whether the daemon has just begun: backends that are found healthy one after the other then begin together, and
    /// nobody's share grows.
    pub is_beginning: bool,
    /// The batches that have learnt for long enough.
    pub learnt: BTreeSet<(ServiceId, u8)>,
    /// Of services whose flows were looked at: the slots that have strays.
    pub strays: Arc<BTreeMap<ServiceId, Strays>>,
    /// How much of their share those have that began to serve not long ago, in thousandths.
    pub grown: BTreeMap<Target, u32>,
    /// How much of their weight backends have at present whose weights are dynamic; all, if they are not here.
    pub scales: BTreeMap<Target, Scale>,
}

/// What is left of a weight, or added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Per cent of the configured weight.
    pub percent: u32,
    /// Whether the backend's agent wants no new flows for it.
    pub drains: bool,
}

impl Scale {
    /// A weight as it is configured.
    pub const WHOLE: Self = Self {
        percent: 100,
        drains: false,
    };
}

impl Knowledge {
    /// As if all flows were remembered, and all shares had grown.
    #[must_use]
    pub fn complete() -> Self {
        Self {
            is_complete: true,
            ..Self::default()
        }
    }
}

/// The flows of a service that are remembered to be elsewhere than their slot says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strays {
    /// The publication whose lookup table it is about.
    pub generation: u32,
    /// The slots that have any.
    pub slots: BTreeSet<u32>,
}

/// How far the slots of a service have come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moving {
    /// The number of the service.
    pub service: u16,
    /// Slots of the table.
    pub slots: u32,
    /// Slots whose flows are remembered.
    pub tracked: u32,
    /// Of these, those that learn which flows they have, and move then.
    pub learning: u32,
    /// Slots that are to move after these.
    pub waiting: u32,
    /// Slots that are where they belong, and are tracked for their strays alone.
    pub lingering: u32,
    /// The batches that learn.
    pub batches: BTreeSet<u8>,
}

impl Moving {
    /// Nothing, in this table.
    fn of(table: &[Slot], rules: &Rules<'_>) -> Self {
        Self {
            service: rules.service.0,
            slots: u32::try_from(table.len()).unwrap_or(u32::MAX),
            ..Self::default()
        }
    }
}

/// What decides how slots move.
pub(super) struct Rules<'a> {
    pub(super) moves: Moves,
    /// Whether flows are to get their slots otherwise than those of the published table do.
    pub(super) changes_algorithm: bool,
    /// The number of the service, and the publication that its VIPs are of.
    pub(super) service: ServiceId,
    pub(super) generation: u32,
    /// Whether its VIPs are published, if only without a table.
    pub(super) is_published: bool,
    /// Backends that go on serving.
    pub(super) serving: &'a BTreeSet<BackendId>,
    /// Backends that are to have no slots, but keep the flows that they have.
    pub(super) leaving: &'a BTreeSet<BackendId>,
    pub(super) knowledge: &'a Knowledge,
}

/// What is published next.
pub(super) struct Next {
    /// Empty if nobody is left to serve.
    pub(super) table: Arc<[Slot]>,
    pub(super) moving: Moving,
    /// Whether its flows get their slots as they should: not while the old table learns for a new algorithm.
    pub(super) has_algorithm: bool,
}

/// The next table to publish on the way from `held` to the one that is due, and how far that is. `held` is empty if
/// nothing has been published.
pub(super) fn next_table(held: &Arc<[Slot]>, computed: &Computed, rules: &Rules<'_>) -> Next {
    let due = &computed.table;
    // Most of the time nothing moves.
    let arrived = |waiting: u32| Next {
        table: Arc::clone(due),
        moving: Moving {
            tracked: computed.tracked,
            waiting,
            ..Moving::of(due, rules)
        },
        has_algorithm: true,
    };
    if are_same(held, due) && !rules.changes_algorithm {
        return arrived(0);
    }
    if held.is_empty() && rules.is_published && !rules.moves_at_once() {
        // Flows may be remembered from before the table became empty.
        let table: Arc<[Slot]> = due.iter().map(|slot| slot.tracked()).collect();
        return Next {
            moving: progress(&table, due, rules, 0),
            table,
            has_algorithm: true,
        };
    }
    if held.is_empty() || rules.moves_at_once() && due.is_empty() {
        return arrived(0);
    }
    let mut way = Way::new(held, rules);
    let mut has_algorithm = !rules.changes_algorithm;
    let is_alike = held.len() == due.len() && !rules.changes_algorithm;
    let slots = if due.is_empty() || is_alike {
        let nobody = Slot::default();
        let pairs = (0..).zip(held.iter());
        pairs
            .map(|(place, slot)| {
                let due = due.get(place as usize).copied().unwrap_or(nobody);
                way.next(place, *slot, due)
            })
            .collect()
    } else {
        let (slots, is_replaced) = way.replaced(held, due);
        has_algorithm |= is_replaced;
        slots
    };
    let slots: Arc<[Slot]> = slots;
    if slots == *due && has_algorithm {
        return arrived(way.waiting);
    }
    let moving = progress(&slots, due, rules, way.waiting);
    if slots.iter().all(|slot| slot.backend() == BackendId(0)) {
        return Next {
            table: Arc::from([]),
            moving: Moving::default(),
            has_algorithm: true,
        };
    }
    Next {
        table: if slots == *held {
            Arc::clone(held)
        } else {
            slots
        },
        moving,
        has_algorithm,
    }
}

fn progress(slots: &[Slot], due: &[Slot], rules: &Rules<'_>, waiting: u32) -> Moving {
    let mut moving = Moving {
        waiting,
        ..Moving::of(slots, rules)
    };
    let is_alike = slots.len() == due.len();
    let due = due.iter().copied().chain(iter::repeat(Slot::default()));
    for (slot, due) in slots.iter().zip(due).filter(|(slot, _)| slot.is_tracked()) {
        moving.tracked += 1;
        if slot.batch() != 0 {
            moving.learning += 1;
            moving.batches.insert(slot.batch());
        }
        let lingers = is_alike && *slot == due.tracked() && !due.is_tracked();
        moving.lingering += u32::from(lingers);
    }
    moving
}

impl Rules<'_> {
    const fn moves_at_once(&self) -> bool {
        self.knowledge.is_complete || matches!(self.moves.tracking, Tracking::Off)
    }

    fn has_learnt(&self, batch: u8) -> bool {
        batch == 0 || self.knowledge.learnt.contains(&(self.service, batch))
    }

    /// The slots that have strays, if that is known of the table that is published.
    fn strays(&self) -> Option<&BTreeSet<u32>> {
        let strays = self.knowledge.strays.get(&self.service)?;
        (strays.generation == self.generation).then_some(&strays.slots)
    }
}

/// One pass over the slots.
struct Way<'a> {
    rules: &'a Rules<'a>,
    strays: Option<&'a BTreeSet<u32>>,
    /// The number for slots that begin to learn.
    batch: Option<u8>,
    /// How many may yet begin to, of those that move between backends that go on serving.
    room: u32,
    waiting: u32,
}

impl<'a> Way<'a> {
    fn new(held: &[Slot], rules: &'a Rules<'a>) -> Self {
        let taken: BTreeSet<u8> = held.iter().map(|slot| slot.batch()).collect();
        let is_learning = taken.iter().any(|batch| !rules.has_learnt(*batch));
        let slots = u32::try_from(held.len()).unwrap_or(u32::MAX);
        let step = (u64::from(slots) * u64::from(rules.moves.max_step)).div_ceil(100);
        Self {
            rules,
            strays: rules.strays(),
            batch: (1..=Slot::MAX_BATCH).find(|batch| !taken.contains(batch)),
            room: if is_learning {
                0
            } else {
                u32::try_from(step).unwrap_or(u32::MAX)
            },
            waiting: 0,
        }
    }

    /// What becomes of the slot at `place`, which is `held` and should be `due`.
    fn next(&mut self, place: u32, held: Slot, due: Slot) -> Slot {
        if held == due || self.rules.moves_at_once() {
            return due;
        }
        let owner = held.backend();
        if owner == due.backend() {
            return self.stay(place, held, due);
        }
        if !self.is_alive(owner) {
            return moved(held, due);
        }
        if held.is_tracked() {
            return if self.rules.has_learnt(held.batch()) {
                moved(held, due)
            } else {
                held
            };
        }
        let is_leaving = self.rules.leaving.contains(&owner);
        if !is_leaving && self.room == 0 {
            self.waiting += 1;
            return held;
        }
        let learning = self.begin(held);
        if learning.is_tracked() && !is_leaving {
            self.room -= 1;
        }
        learning
    }

    /// A slot that has the backend that it should have.
    fn stay(&mut self, place: u32, held: Slot, due: Slot) -> Slot {
        if !held.is_tracked() {
            // It begins to be tracked where it may have flows.
            return if due.is_tracked() {
                self.begin(held)
            } else {
                due
            };
        }
        if !self.rules.has_learnt(held.batch()) {
            return held;
        }
        if due.is_tracked() {
            return due;
        }
        match self.strays {
            Some(strays) if !strays.contains(&place) => due,
            _ => due.tracked(),
        }
    }

    /// The slot as it begins to be tracked; as it is if it must wait for a number.
    fn begin(&mut self, held: Slot) -> Slot {
        let Some(batch) = self.batch else {
            self.waiting += 1;
            return held;
        };
        held.learning(batch)
    }

    fn is_alive(&self, owner: BackendId) -> bool {
        self.rules.serving.contains(&owner) || self.rules.leaving.contains(&owner)
    }

    /// The next table if flows fall on other slots in it, for its size or the algorithm changes: the one that is due
    /// (`true`), when all flows are remembered.
    fn replaced(&mut self, held: &[Slot], due: &[Slot]) -> (Arc<[Slot]>, bool) {
        let is_ready = |slot: &Slot| {
            !self.is_alive(slot.backend())
                || slot.is_tracked() && self.rules.has_learnt(slot.batch())
        };
        if self.rules.moves_at_once() {
            return (Arc::from(due), true);
        }
        if held.iter().all(is_ready) {
            return (due.iter().map(|slot| slot.tracked()).collect(), true);
        }
        let same_height = |place: usize| place * due.len() / held.len();
        let places = held.iter().enumerate();
        let slots = places
            .map(|(place, slot)| {
                if !self.is_alive(slot.backend()) {
                    let due = due.get(same_height(place)).copied();
                    return due.unwrap_or_default().tracked();
                }
                match slot.is_tracked() {
                    true if self.rules.has_learnt(slot.batch()) => slot.learning(0),
                    true => *slot,
                    false => self.begin(*slot),
                }
            })
            .collect();
        (slots, false)
    }
}

/// A slot that moves. What was remembered there may be with any backend, and stays.
const fn moved(held: Slot, due: Slot) -> Slot {
    if held.is_tracked() {
        due.tracked()
    } else {
        due
    }
}
