//! The conclusions of all targets: results go in, changes of health come out. No clock, no I/O.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Observation, Target,
    machine::{Machine, Transition},
};
use crate::model::{Health, Probe};

/// A [`Machine`] for every target.
#[derive(Clone, Debug, Default)]
pub struct Book {
    entries: BTreeMap<Target, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    probe: Probe,
    machine: Machine,
}

impl Book {
    /// Takes over the set of targets. What was concluded about a target stays as long as it is one, also if
    /// its probe changes: results of another kind of probe, of another way or port are forgotten, its health
    /// is not. A new target is unknown, or up if it is `adopted`: the data plane has been sending it
    /// flows.
    pub fn set_targets(&mut self, targets: &BTreeMap<Target, Probe>, adopted: &BTreeSet<Target>) {
        let mut before = std::mem::take(&mut self.entries);
        let entry = |(target, probe): (&Target, &Probe)| {
            let machine = match before.remove(target) {
                Some(entry) => continued(entry, probe),
                None if adopted.contains(target) => Machine::new(probe, Health::Up),
                None => Machine::new(probe, Health::Unknown),
            };
            let probe = probe.clone();
            (target.clone(), Entry { probe, machine })
        };
        self.entries = targets.iter().map(entry).collect();
    }

    /// Takes one result; tells if it changed the target's health. Results of targets that are gone are
    /// ignored.
    pub fn observe(&mut self, observation: &Observation) -> Option<Transition> {
        self.entries
            .get_mut(&observation.target)?
            .machine
            .observe(&observation.attempt, observation.at)
    }

    /// The health of a backend; up if nobody probes it.
    #[must_use]
    pub fn health(&self, target: &Target) -> Health {
        self.entry(target).map_or(Health::Up, Machine::health)
    }

    /// The health of all that are probed.
    #[must_use]
    pub fn concluded(&self) -> BTreeMap<Target, Health> {
        let entries = self.entries.iter();
        entries
            .map(|(target, entry)| (target.clone(), entry.machine.health()))
            .collect()
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
