//! How much of its weight each backend of a service has, by what it is seen to do: pure arithmetic, in steps. Time is
//! counted in steps, too.
//!
//! Each step asks what a weight should be: what the backend's agent says, times what its response time says beside the
//! median of all. The **goal** follows that only if it is further from it than the dead band, and is the whole weight again
//! within half of it; the weight goes to the goal, by one step's worth at most. Who is silent for too long is no longer
//! believed: the goal is then the base weight. That an agent wants no new flows is an order, not a measurement: it holds
//! at once.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::agent::Report;
use crate::model::DynamicWeights;

/// A whole weight, in per cent.
const WHOLE: u32 = 100;
/// What was last heard of a backend counts for so many intervals of its source.
const PATIENCE: u32 = 3;
/// Times that differ by less than this do not differ by much: it is added to both, in microseconds.
const INDIFFERENT_US: u64 = 1_000;
/// A new response time counts a quarter, what it was before the rest.
const SMOOTHING: u64 = 4;

/// How much of its weight a backend has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Per cent of the configured weight.
    pub percent: u32,
    /// Whether its agent wants no new flows for it.
    pub drains: bool,
    /// Why, in words.
    pub reason: String,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            percent: WHOLE,
            drains: false,
            reason: "nothing has been measured or reported lately".to_owned(),
        }
    }
}

/// A weight that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift {
    /// Of which backend.
    pub address: SocketAddr,
    /// Per cent of the configured weight that it had before.
    pub from: u32,
    /// What it is now.
    pub to: Standing,
}

/// What a service's backends were seen to do, and what their weights are for it.
#[derive(Clone, Debug, Default)]
pub struct Scales {
    backends: BTreeMap<SocketAddr, Scale>,
}

#[derive(Clone, Debug)]
struct Scale {
    /// The smoothed response time, in microseconds, and how many steps ago it was measured last.
    response: Option<(u64, u32)>,
    /// What the agent has said, and how many steps ago it said something last.
    said: Option<(Said, u32)>,
    goal: u32,
    standing: Standing,
}

/// What holds of all that an agent has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    percent: u32,
    drains: bool,
    is_down: bool,
    /// It has said nothing yet, and may have wanted no new flows when others listened.
    is_awaited: bool,
}

impl Default for Scale {
    fn default() -> Self {
        Self {
            response: None,
            said: None,
            goal: WHOLE,
            standing: Standing::default(),
        }
    }
}

impl Scales {
    /// Keeps the backends with these addresses, and no others; new ones have their whole weight.
    pub fn keep(&mut self, addresses: impl Iterator<Item = SocketAddr>) {
        let mut before = std::mem::take(&mut self.backends);
        let kept = addresses.map(|address| (address, before.remove(&address).unwrap_or_default()));
        self.backends = kept.collect();
    }

    /// Takes the time that a good probe of a backend took.
    pub fn measure(&mut self, address: SocketAddr, time: Duration) {
        let Some(scale) = self.backends.get_mut(&address) else {
            return;
        };
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX / SMOOTHING);
        let smoothed = scale.response.map_or(time, |(before, _)| {
            (before * (SMOOTHING - 1) + time) / SMOOTHING
        });
        scale.response = Some((smoothed, 0));
    }

    /// Takes what a backend's agent says. What it said before holds where it says nothing new. Answers what changes at
    /// once: whether the backend takes new flows; how many, the next steps say.
    pub fn report(&mut self, address: SocketAddr, report: Report) -> Option<Shift> {
        let scale = self.backends.get_mut(&address)?;
        let before = scale.said.map_or(Said::NOTHING, |(said, _)| said);
        let said = Said {
            percent: report.percent.unwrap_or(before.percent),
            drains: report.drains.unwrap_or(before.drains),
            is_down: report.is_down.unwrap_or(before.is_down),
            is_awaited: false,
        };
        scale.said = Some((said, 0));
        let (from, drained) = (scale.standing.percent, scale.standing.drains);
        match (drained, said.takes_none()) {
            (_, true) => scale.drain(said),
            (true, false) => scale.undrain(),
            (false, false) => {}
        }
        (drained != scale.standing.drains).then(|| Shift {
            address,
            from,
            to: scale.standing.clone(),
        })
    }

    /// An agent could not be asked in its turn, for which it can do nothing: what it has said holds a step longer.
    pub fn not_asked(&mut self, address: SocketAddr) {
        let scale = self.backends.get_mut(&address);
        if let Some((_, age)) = scale.and_then(|scale| scale.said.as_mut()) {
            *age = age.saturating_sub(1);
        }
    }

    /// The agent of a backend is yet to be heard: no new flows until then, or until it has been silent for too long.
    pub fn await_agent(&mut self, address: SocketAddr) {
        if let Some(scale) = self.backends.get_mut(&address) {
            let said = Said {
                is_awaited: true,
                ..Said::NOTHING
            };
            scale.said = Some((said, 0));
            scale.drain(said);
        }
    }

    /// How much of its weight a backend has.
    #[must_use]
    pub fn standing(&self, address: SocketAddr) -> Option<&Standing> {
        self.backends.get(&address).map(|scale| &scale.standing)
    }

    /// All of them.
    pub fn standings(&self) -> impl Iterator<Item = (SocketAddr, &Standing)> {
        let backends = self.backends.iter();
        backends.map(|(address, scale)| (*address, &scale.standing))
    }

    /// One step of all weights, as `rules` have it; `probe_interval` is that of the service's probe. Answers what has
    /// changed.
    pub fn step(&mut self, rules: &DynamicWeights, probe_interval: Duration) -> Vec<Shift> {
        let probe_interval = probe_interval.max(rules.interval);
        let steps = (probe_interval * PATIENCE).as_micros();
        let steps = steps.div_ceil(rules.interval.as_micros().max(1));
        let patience = u32::try_from(steps).unwrap_or(u32::MAX);
        for scale in self.backends.values_mut() {
            scale.response = older(scale.response, patience).filter(|_| rules.response_time);
            scale.said = older(scale.said, PATIENCE).filter(|_| rules.agent_port.is_some());
        }
        let median = self.median();
        let mut shifts = Vec::new();
        for (address, scale) in &mut self.backends {
            let from = (scale.standing.percent, scale.standing.drains);
            scale.step(rules, median);
            let to = &scale.standing;
            if from != (to.percent, to.drains) {
                shifts.push(Shift {
                    address: *address,
                    from: from.0,
                    to: to.clone(),
                });
            }
        }
        shifts
    }

    /// The median of the response times, in microseconds, if there are two at least.
    fn median(&self) -> Option<u64> {
        let scales = self.backends.values();
        let mut times: Vec<u64> = scales.filter_map(|it| Some(it.response?.0)).collect();
        times.sort_unstable();
        let middle = times.len() / 2;
        let upper = *times.get(middle).filter(|_| times.len() > 1)?;
        let lower = if times.len().is_multiple_of(2) {
            *times.get(middle - 1)?
        } else {
            upper
        };
        Some(lower.midpoint(upper))
    }
}

/// What was heard, a step later; nothing if that is too long ago.
fn older<T>(heard: Option<(T, u32)>, patience: u32) -> Option<(T, u32)> {
    let (what, age) = heard?;
    (age < patience).then_some((what, age + 1))
}

impl Scale {
    fn step(&mut self, rules: &DynamicWeights, median: Option<u64>) {
        let said = self.said.map(|(said, _)| said);
        if let Some(said) = said.filter(|said| said.takes_none()) {
            self.drain(said);
            return;
        }
        if self.standing.drains {
            self.undrain();
        }
        let response = self.response.map(|(time, _)| time).zip(median);
        let (wanted, reason) = wanted(said.map(|it| it.percent), response, rules.ceiling);
        match wanted {
            None => self.goal = WHOLE,
            Some(wanted) if wanted.abs_diff(WHOLE) <= rules.dead_band / 2 => self.goal = WHOLE,
            Some(wanted) if wanted.abs_diff(self.goal) > rules.dead_band => self.goal = wanted,
            Some(_) => {}
        }
        self.goal = self.goal.clamp(DynamicWeights::FLOOR, rules.ceiling);
        let before = self.standing.percent;
        let percent = self.goal.clamp(
            before.saturating_sub(rules.step),
            before.saturating_add(rules.step),
        );
        self.standing = Standing {
            percent,
            drains: false,
            reason,
        };
    }

    /// No new flows, for what the agent has said. One that is awaited goes on with the weight that it has.
    fn drain(&mut self, said: Said) {
        if !said.is_awaited {
            self.goal = DynamicWeights::FLOOR;
            self.standing.percent = DynamicWeights::FLOOR;
        }
        self.standing.drains = true;
        said.why_drained().clone_into(&mut self.standing.reason);
    }

    /// New flows again, few at first; the goal is that of one of which nothing is known.
    fn undrain(&mut self) {
        self.goal = WHOLE;
        self.standing.drains = false;
        "it takes new flows again".clone_into(&mut self.standing.reason);
    }
}

impl Said {
    /// What holds of an agent that has said nothing.
    const NOTHING: Self = Self {
        percent: WHOLE,
        drains: false,
        is_down: false,
        is_awaited: false,
    };

    /// Whether the backend takes no new flows.
    const fn takes_none(self) -> bool {
        self.drains || self.is_down || self.percent == 0 || self.is_awaited
    }

    const fn why_drained(self) -> &'static str {
        if self.is_awaited {
            "its agent has said nothing yet since lbd began"
        } else if self.is_down {
            "its agent says that it is down"
        } else if self.drains {
            "its agent wants it drained"
        } else {
            "its agent reports 0 %"
        }
    }
}

/// What a weight should be, in per cent, by an agent's report and by a response time beside the median; nothing, if
/// neither is known. And why.
fn wanted(
    reported: Option<u32>,
    response: Option<(u64, u64)>,
    ceiling: u32,
) -> (Option<u32>, String) {
    let by_time = response.map(|(time, median)| {
        let percent = u64::from(WHOLE) * (median + INDIFFERENT_US) / (time + INDIFFERENT_US);
        u32::try_from(percent).unwrap_or(u32::MAX).min(ceiling)
    });
    let mut reasons = Vec::new();
    if let Some(percent) = reported {
        reasons.push(format!("its agent reports {percent} %"));
    }
    if let Some((time, median)) = response {
        let milliseconds = |us: u64| format!("{}.{} ms", us / 1_000, us % 1_000 / 100);
        reasons.push(format!(
            "it answers in {}, the median is {}",
            milliseconds(time),
            milliseconds(median)
        ));
    }
    if reasons.is_empty() {
        return (None, Standing::default().reason);
    }
    let product = u64::from(reported.unwrap_or(WHOLE)) * u64::from(by_time.unwrap_or(WHOLE));
    let percent = u32::try_from(product / u64::from(WHOLE)).unwrap_or(u32::MAX);
    let percent = percent.clamp(DynamicWeights::FLOOR, ceiling);
    (Some(percent), reasons.join("; "))
}

#[cfg(test)]
mod tests;
