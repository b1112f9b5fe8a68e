//! The conclusions of all targets: results go in, changes of health come out. No clock, no I/O.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Observation, Target,
    machine::{Machine, Transition},
};
use crate::model::{Health, Probe, Scope};

/// A [`Machine`] for every target.
#[derive(Clone, Debug, Default)]
pub struct Book {
    entries: BTreeMap<Target, Entry>,
    /// What the machines say.
    concluded: BTreeMap<Target, Health>,
}

/// What a [`Book`] knew of some services.
#[derive(Debug)]
pub struct Page(BTreeMap<Target, Entry>);

#[derive(Clone, Debug)]
struct Entry {
    probe: Probe,
    machine: Machine,
}

impl Book {
    /// Takes over the set of targets of those that are concerned. What was concluded about a target stays as long as it is one, also if
    /// its probe changes: results of another kind of probe, of another way or port are forgotten, its health
    /// is not. A new target is unknown, or up if it is `adopted`: the data plane has been sending it
    /// flows.
    pub fn set_targets(
        &mut self,
        scope: &Scope,
        targets: &BTreeMap<Target, Probe>,
        adopted: &BTreeSet<Target>,
    ) {
        let mut before = scope.take_part(&mut self.entries);
        let entry = |(target, probe): (&Target, &Probe)| {
            let machine = match before.remove(target) {
                Some(entry) => continued(entry, probe),
                None if adopted.contains(target) => Machine::new(probe, Health::Up),
                None => Machine::new(probe, Health::Unknown),
            };
            let probe = probe.clone();
            (target.clone(), Entry { probe, machine })
        };
        let entries = targets.iter().map(entry).collect();
        self.put(scope, entries);
    }

    /// What is known of those that are concerned, for [`turn_back`](Self::turn_back).
    #[must_use]
    pub fn page(&self, scope: &Scope) -> Page {
        let part = scope.part(&self.entries);
        Page(
            part.map(|(target, entry)| (target.clone(), entry.clone()))
                .collect(),
        )
    }

    /// Knows of those that are concerned what it knew before, and nothing else.
    pub fn turn_back(&mut self, scope: &Scope, before: Page) {
        scope.take_part(&mut self.entries);
        self.put(scope, before.0);
    }

    fn put(&mut self, scope: &Scope, entries: BTreeMap<Target, Entry>) {
        scope.take_part(&mut self.concluded);
        let concluded = entries.iter();
        let concluded = concluded.map(|(target, entry)| (target.clone(), entry.machine.health()));
        self.concluded.extend(concluded);
        self.entries.extend(entries);
    }

    /// Takes one result; tells if it changed the target's health. Results of targets that are gone are
    /// ignored.
    pub fn observe(&mut self, observation: &Observation) -> Option<Transition> {
        let target = &observation.target;
        let machine = &mut self.entries.get_mut(target)?.machine;
        let transition = machine.observe(&observation.attempt, observation.at)?;
        self.concluded.insert(target.clone(), transition.to);
        Some(transition)
    }

    /// The health of a backend; up if nobody probes it.
    #[must_use]
    pub fn health(&self, target: &Target) -> Health {
        self.entry(target).map_or(Health::Up, Machine::health)
    }

    /// The health of all that are probed.
    #[must_use]
    pub const fn concluded(&self) -> &BTreeMap<Target, Health> {
        &self.concluded
    }

    /// Since when, why, and whether that may change soon; `None` if nobody probes it.
    #[must_use]
    pub fn entry(&self, target: &Target) -> Option<&Machine> {
        self.entries.get(target).map(|entry| &entry.machine)
    }
}

/// The machine of `entry` from now on, with `probe`.
fn continued(entry: Entry, probe: &Probe) -> Machine {
    let Entry {
        probe: before,
        mut machine,
    } = entry;
    if (&before.kind, before.via, before.port) == (&probe.kind, probe.via, probe.port) {
        machine.retune(probe);
    } else {
        machine.restart(probe);
    }
    machine
}

#[cfg(test)]
mod tests;
