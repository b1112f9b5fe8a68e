//! What a row of probe results means: the state machine of one target, without clock or I/O.
//!
//! | health | `rise` successes in a row | `fall` failures in a row | fewer |
//! |---|---|---|---|
//! | unknown | up | down | unknown |
//! | up | up | down | up |
//! | down | up, unless it is held down | down | down |

use std::time::SystemTime;

use humantime_serde::re::humantime::format_rfc3339_seconds;

use super::{Attempt, Interest, damping::Damping};
use crate::model::{Health, Probe};

/// A change of health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// What it was.
    pub from: Health,
    /// What it is now; never equal to `from`.
    pub to: Health,
}

/// The health of one target, and the results that may change it.
#[derive(Clone, Debug)]
pub struct Machine {
    rise: u32,
    fall: u32,
    health: Health,
    since: Option<SystemTime>,
    row: Row,
    damping: Damping,
    /// Why `health` is what it is.
    conclusion: String,
    /// `conclusion`, or how far the row against it has come.
    reason: String,
}

/// Equal results in a row, up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    Empty,
    Successes(u32),
    Failures(u32),
}

impl Row {
    const fn with(self, success: bool) -> Self {
        match (self, success) {
            (Self::Successes(count), true) => Self::Successes(count.saturating_add(1)),
            (Self::Empty | Self::Failures(_), true) => Self::Successes(1),
            (Self::Failures(count), false) => Self::Failures(count.saturating_add(1)),
            (Self::Empty | Self::Successes(_), false) => Self::Failures(1),
        }
    }
}

impl Machine {
    /// A machine that has seen no result. An `initial` other than unknown is what the data plane was
    /// found to be doing after a restart; it stands until probes say otherwise.
    #[must_use]
    pub fn new(probe: &Probe, initial: Health) -> Self {
        let conclusion = match initial {
            Health::Unknown => "not probed yet",
            Health::Up | Health::Down => "adopted from the running data plane",
        };
        Self {
            rise: probe.rise,
            fall: probe.fall,
            health: initial,
            since: None,
            row: Row::Empty,
            damping: Damping::new(probe),
            conclusion: conclusion.to_owned(),
            reason: conclusion.to_owned(),
        }
    }

    /// Takes all that is about results in a row from `probe`; health and results stay.
    pub fn retune(&mut self, probe: &Probe) {
        self.damping.retune(probe);
        self.rise = probe.rise;
        self.fall = probe.fall;
    }

    /// Forgets the results, because `probe` now tries something else. Health stands until the new probe
    /// says otherwise: a changed probe must not take a working service down.
    pub fn restart(&mut self, probe: &Probe) {
        self.retune(probe);
        self.row = Row::Empty;
        if self.health != Health::Unknown {
            "carried over from before the probe was changed".clone_into(&mut self.conclusion);
        }
        self.reason.clone_from(&self.conclusion);
    }

    /// Takes one more result; tells if it changed the health.
    pub fn observe(&mut self, attempt: &Attempt, now: SystemTime) -> Option<Transition> {
        self.row = self.row.with(attempt.is_ok());
        let (count, needed, means) = match self.row {
            Row::Successes(count) => (count, self.rise, Health::Up),
            Row::Failures(count) => (count, self.fall, Health::Down),
            Row::Empty => return None,
        };
        let what = match attempt {
            Ok(_) => ("succeeded", String::new()),
            Err(why) => ("failed", format!(": {why}")),
        };
        if count < needed {
            self.reason = if means == self.health {
                self.conclusion.clone()
            } else {
                format!("{count} of {needed} probes {} so far{}", what.0, what.1)
            };
            return None;
        }
        let held = self.damping.held_until(now);
        if let Some(until) = held.filter(|_| self.health == Health::Down && means == Health::Up) {
            self.reason = format!(
                "probes succeed, but it is held down until {}: it went down {} times, each time soon after it had come up",
                format_rfc3339_seconds(until),
                self.damping.falls()
            );
            return None;
        }
        self.conclusion = format!("{needed} of {needed} probes {}{}", what.0, what.1);
        self.reason.clone_from(&self.conclusion);
        self.conclude(means, now)
    }

    fn conclude(&mut self, to: Health, now: SystemTime) -> Option<Transition> {
        let from = std::mem::replace(&mut self.health, to);
        if from == to {
            return None;
        }
        if (from, to) == (Health::Up, Health::Down) {
            self.damping.fall(self.since, now);
        }
        self.since = Some(now);
        Some(Transition { from, to })
    }

    /// The conclusion.
    #[must_use]
    pub const fn health(&self) -> Health {
        self.health
    }

    /// When probes last changed the health; `None` before they have.
    #[must_use]
    pub const fn since(&self) -> Option<SystemTime> {
        self.since
    }

    /// Why the health is what it is, in words, or how far a change has come:
    /// `3 of 3 probes failed: connection refused`.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether a change is being confirmed: there is no conclusion yet, or the last result speaks
    /// against it. One that is held down is in no hurry.
    #[must_use]
    pub const fn pending(&self) -> bool {
        match (self.health, self.row) {
            (Health::Unknown, _) | (Health::Up, Row::Failures(_)) => true,
            (Health::Down, Row::Successes(count)) => count < self.rise,
            (Health::Up, Row::Empty | Row::Successes(_))
            | (Health::Down, Row::Empty | Row::Failures(_)) => false,
        }
    }

    /// Which results still matter.
    #[must_use]
    pub const fn interest(&self) -> Interest {
        match (self.health, self.row) {
            _ if self.pending() => Interest::Soon,
            (Health::Up, Row::Successes(count)) if count >= self.rise => Interest::Failures,
            _ => Interest::All,
        }
    }
}

#[cfg(test)]
mod tests;
