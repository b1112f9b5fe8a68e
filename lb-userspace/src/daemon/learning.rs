//! Slots that move, in time: which have learnt their flows for long enough, which backends' shares have grown how far, and
//! when the flow tables are to be looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;
use tracing::warn;

use super::{
    core::Core,
    strays::{Findings, Look, Search},
};
use crate::{
    control::protocol::BackendRemove,
    dataplane::{Dataplane, ServiceId},
    desired::Desired,
    health::Target,
    model::{AdminState, Backend, Scope, Service, ServiceName, Tracking},
    plan::{Knowledge, Moving, Plan, Serving, Strays},
};

/// A share grows by so many steps, each a twentieth of it.
const STEPS: u32 = 20;
/// All of a share, in thousandths.
const FULL: u32 = 1_000;
/// For so long after its start the daemon finds out who is well.
const BEGINNING: Duration = Duration::from_secs(10);
/// The shortest and the longest pause before the flow tables are looked at again; between them, as long as flows are
/// learnt.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// What the daemon alone remembers of slots that move.
#[derive(Debug)]
pub(super) struct Learning {
    /// Since when batches have been learning.
    batches: BTreeMap<(ServiceName, u8), Instant>,
    /// When backends began to serve whose share grows, or has grown.
    begun: BTreeMap<Target, Instant>,
    /// The last that was found out of strays.
    strays: Arc<BTreeMap<ServiceId, Strays>>,
    /// Flows that backends have that are to have no slots.
    left: BTreeMap<Target, u64>,
    pub(super) look: Look,
    last_look: Instant,
    next_look: Instant,
    started: Instant,
}

impl Learning {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            batches: BTreeMap::new(),
            begun: BTreeMap::new(),
            strays: Arc::default(),
            left: BTreeMap::new(),
            look: Look::default(),
            last_look: now,
            next_look: now,
            started: now,
        }
    }

    /// Takes note of what `plan`, just published, has begun.
    fn follow(&mut self, plan: &Plan, now: Instant) {
        let moves = plan.moves.iter();
        let batches = moves.flat_map(|(name, moving)| {
            let batches = moving.batches.iter();
            batches.map(move |batch| (name.clone(), *batch))
        });
        let since = |key| {
            let since = self.batches.get(&key).copied().unwrap_or(now);
            (key, since)
        };
        self.batches = batches.map(since).collect();
        self.begun
            .retain(|target, _| matches!(plan.serving.get(target), Some(Serving::Slots(_))));
        for target in &plan.growing {
            self.begun.entry(target.clone()).or_insert(now);
        }
        if !plan.publish.is_empty() {
            // Packets under way may yet be remembered as the last table said.
            let (soonest, latest) = PAUSE;
            let soon = (now + soonest).min(self.last_look + latest);
            self.next_look = self.next_look.max(soon);
        }
    }

    fn knowledge(&self, desired: &Desired, plan: &Plan, now: Instant) -> Knowledge {
        let learnt = self.batches.iter().filter_map(|((name, batch), since)| {
            let service = desired.services.get(name)?;
            let number = ServiceId(plan.moves.get(name)?.service);
            (*since + service.moves.learn_for <= now).then_some((number, *batch))
        });
        let grown = self.begun.iter().filter_map(|(target, since)| {
            let service = desired.services.get(&target.service)?;
            Some((
                target.clone(),
                grown(now - *since, service.moves.slow_start),
            ))
        });
        Knowledge {
            is_complete: false,
            is_beginning: now < self.started + BEGINNING,
            learnt: learnt.collect(),
            strays: Arc::clone(&self.strays),
            grown: grown.collect(),
            scales: BTreeMap::new(),
        }
    }

    /// When a batch will have learnt for long enough, or a share grown by a step, that `used`, what the last plan knew,
    /// does not know of; it may be over.
    fn next(&self, desired: &Desired, plan: &Plan, used: &Knowledge) -> Option<Instant> {
        let batches = self.batches.iter().filter_map(|((name, batch), since)| {
            let number = ServiceId(plan.moves.get(name)?.service);
            let service = desired.services.get(name)?;
            let is_new = !used.learnt.contains(&(number, *batch));
            is_new.then(|| *since + service.moves.learn_for)
        });
        let steps = self.begun.iter().filter_map(|(target, since)| {
            let slow_start = desired.services.get(&target.service)?.moves.slow_start;
            let grown = used.grown.get(target).copied().unwrap_or_default();
            (grown < FULL).then(|| *since + slow_start / STEPS * (grown / (FULL / STEPS)))
        });
        batches.chain(steps).min()
    }
}

/// The services of whose backends one map has something else than the other.
fn differences<'a, T: PartialEq>(
    one: &'a BTreeMap<Target, T>,
    other: &'a BTreeMap<Target, T>,
) -> impl Iterator<Item = ServiceName> + 'a {
    let targets = one.keys().chain(other.keys());
    let different = targets.filter(move |target| one.get(target) != other.get(target));
    different.map(|target| target.service.clone())
}

/// How much of a share has grown in this time, in thousandths.
fn grown(elapsed: Duration, slow_start: Duration) -> u32 {
    let steps = (0..STEPS).filter(|step| slow_start / STEPS * *step <= elapsed);
    let steps = u32::try_from(steps.count()).unwrap_or(STEPS);
    FULL / STEPS * steps.max(1)
}

impl Core {
    pub(super) fn knowledge(&self) -> Knowledge {
        let now = Instant::now();
        let learnt = self.learning.knowledge(&self.desired, &self.plan, now);
        Knowledge {
            scales: self.weights.scales(),
            ..learnt
        }
    }

    /// Whom it concerns what `knowledge` has otherwise than the last plan knew it.
    pub(super) fn news(&self, knowledge: &Knowledge) -> Scope {
        let used = &self.knowledge_used;
        let is_general = knowledge.is_beginning != used.is_beginning
            || knowledge.is_complete != used.is_complete
            || knowledge.strays != used.strays;
        if is_general {
            return Scope::All;
        }
        let learnt = knowledge.learnt.symmetric_difference(&used.learnt);
        let learnt: BTreeSet<u16> = learnt.map(|(service, _)| service.0).collect();
        let moves = self.plan.moves.iter();
        let learnt = moves.filter(|(_, moving)| learnt.contains(&moving.service));
        let learnt = learnt.map(|(name, _)| name.clone());
        let grown = differences(&knowledge.grown, &used.grown);
        let scales = differences(&knowledge.scales, &used.scales);
        Scope::Services(learnt.chain(grown).chain(scales).collect())
    }

    /// Takes note of the plan, just published.
    pub(super) fn follow_moves(&mut self) {
        let now = Instant::now();
        self.learning.follow(&self.plan, now);
    }

    /// When something of this is due.
    pub(super) fn next_lesson(&self) -> Option<Instant> {
        let next = self
            .learning
            .next(&self.desired, &self.plan, &self.knowledge_used);
        let next = if self.is_held_up() {
            Some(Instant::now())
        } else {
            next
        };
        let look = (self.is_worth_a_look() && !self.learning.look.is_under_way())
            .then_some(self.learning.next_look);
        next.into_iter().chain(look).min()
    }

    /// Has slots moved whose flows have been learnt, and shares grown; looks at the flow tables when it is time.
    pub(super) fn learn(&mut self, now: Instant) {
        if self.is_held_up() {
            self.reconcile(Scope::All);
        } else if self.knowledge() != self.knowledge_used {
            // News are whom it concerns.
            self.reconcile(Scope::none());
        }
        if self.is_worth_a_look()
            && !self.learning.look.is_under_way()
            && self.learning.next_look <= now
        {
            self.look(now);
        }
    }

    /// Whether slots wait to learn and none does: all numbers of batches were in use when it was planned, and are free now.
    fn is_held_up(&self) -> bool {
        let waits = |moving: &Moving| moving.waiting > 0 && moving.batches.is_empty();
        self.plan.shortages.is_empty() && self.plan.moves.values().any(waits)
    }

    /// Whether flows may be elsewhere than their slots say, or are to be counted.
    fn is_worth_a_look(&self) -> bool {
        let lingers = |moving: &Moving| moving.lingering > 0;
        self.plan.moves.values().any(lingers)
            || self.draining().next().is_some()
            || self.counts_flows()
    }

    /// Whether the program counts flows, which is to be put right from time to time.
    fn counts_flows(&self) -> bool {
        let mut services = self.desired.within(self.restless.scope());
        services.any(|service| service.algorithm.counts_flows())
    }

    /// Backends that drain, of services that remember flows.
    fn draining(&self) -> impl Iterator<Item = Target> {
        let services = self.desired.within(self.restless.scope());
        let services = services.filter(|service| service.moves.tracking != Tracking::Off);
        services.flat_map(|service| {
            let backends = service.backends.values();
            let is_drained_by_agent = |backend: &Backend| {
                let standing = self.weights.standing(&service.name, backend.address);
                standing.is_some_and(|it| it.drains)
            };
            // This is asked before each event: what is cheap comes first.
            let draining = backends.filter(move |backend| {
                backend.state == AdminState::Drain
                    || (service.dynamic_weights.is_some() && is_drained_by_agent(backend))
            });
            draining.map(|backend| Target::of(service, backend.address))
        })
    }

    /// How long nobody looks after a look: as long as those services learn that it is for.
    fn pause(&self) -> Duration {
        let (shortest, longest) = PAUSE;
        let draining: BTreeSet<ServiceName> = self.draining().map(|it| it.service).collect();
        let services = self.desired.services.values();
        let concerned = services.filter(|service| {
            let moving = self.plan.moves.get(&service.name);
            draining.contains(&service.name)
                || moving.is_some_and(|it| it.lingering > 0)
                || service.algorithm.counts_flows()
        });
        let pause = concerned.map(|service| service.moves.learn_for).min();
        pause.unwrap_or(longest).clamp(shortest, longest)
    }

    fn look(&mut self, now: Instant) {
        self.learning.next_look = now + self.pause();
        let dataplane = self.reconciler.dataplane();
        let opened = dataplane.loads().and_then(|counted| {
            let search = Search::new(dataplane.actual(), counted);
            Ok((search, dataplane.flows()?))
        });
        match opened {
            Ok((search, tables)) => self.learning.look.begin(search, tables),
            Err(error) => warn!(
                error = format!("{error:#}"),
                "cannot look at the flow tables"
            ),
        }
    }

    /// Takes over what a look at the flow tables has found.
    pub(super) fn looked(&mut self, findings: Option<Findings>) {
        let now = Instant::now();
        self.learning.last_look = now;
        self.learning.next_look = now + self.pause();
        let Some(findings) = findings else {
            return;
        };
        let actual = self.reconciler.dataplane().actual();
        let targets: Vec<Target> = self.draining().collect();
        let left = targets.into_iter().filter_map(|target| {
            let service = self.desired.services.get(&target.service)?;
            let number = actual.service_of(&service.vips)?;
            let flows = findings.flows.get(&(number, target.address));
            Some((target, flows.copied().unwrap_or_default()))
        });
        self.learning.left = left.collect();
        let counted = findings.counted(actual);
        let mended = self
            .reconciler
            .dataplane_mut()
            .mend_loads(&counted, &findings.loads);
        if let Err(error) = mended {
            warn!(
                error = format!("{error:#}"),
                "cannot put right how many flows backends have"
            );
        }
        if *self.learning.strays != findings.strays {
            self.learning.strays = Arc::new(findings.strays);
            self.reconcile(Scope::All);
        }
    }

    /// How long the slots of a backend learn before they move, if they do when it is removed.
    pub(super) fn learning_of(&self, remove: &BackendRemove) -> Duration {
        let service = remove.service.parse().ok();
        let service = service.and_then(|name: ServiceName| self.desired.services.get(&name));
        let learns = |service: &&Arc<Service>| {
            let backend = remove.address.parse().ok();
            let backend = backend.and_then(|address| service.backends.get(&address));
            let has_slots = |backend: &Backend| {
                let target = Target::of(service, backend.address);
                matches!(self.plan.serving.get(&target), Some(Serving::Slots(1..)))
                    || self.is_leaving(&target)
            };
            service.moves.tracking == Tracking::OnDemand && backend.is_some_and(has_slots)
        };
        let learning = service.filter(learns);
        learning.map_or(Duration::ZERO, |service| service.moves.learn_for)
    }

    /// Whether a backend that is to have no slots has some yet.
    pub(super) fn is_leaving(&self, target: &Target) -> bool {
        let slots = self.plan.leaving.get(target);
        slots.is_some_and(|slots| *slots > 0)
    }

    /// How many flows a backend that drains has yet, as far as that has been counted.
    pub(super) fn flows_left(&self, target: &Target) -> Option<u64> {
        self.learning.left.get(target).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_grows_by_twentieths() {
        let slow_start = Duration::from_mins(1);
        for (seconds, thousandths) in [
            (0, 50),
            (2, 50),
            (3, 100),
            (30, 550),
            (57, 1_000),
            (99, 1_000),
        ] {
            let elapsed = Duration::from_secs(seconds);
            assert_eq!(grown(elapsed, slow_start), thousandths, "{seconds} s");
        }
        assert_eq!(grown(Duration::ZERO, Duration::ZERO), FULL);
    }
}
