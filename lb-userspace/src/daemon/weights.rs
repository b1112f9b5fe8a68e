//! Weights that follow how backends do, in time: what is heard goes to the services' [`Scales`], which take their steps
//! when they are due.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::core::Core;
use crate::{
    desired::Desired,
    health::{
        Observation, Target,
        agent::{Agent, Answer},
        weight::{Scales, Shift, Standing},
    },
    model::{Scope, Service, ServiceName},
    plan::Scale,
};

/// A step is early by no more than this part of the interval.
const EARLIEST: u32 = 4;

/// The services whose weights are dynamic.
#[derive(Clone, Debug, Default)]
pub(super) struct Weights {
    services: BTreeMap<ServiceName, Weighed>,
}

#[derive(Clone, Debug)]
struct Weighed {
    scales: Scales,
    next: Instant,
}

impl Weights {
    /// Follows what is wanted: what is known of backends that stay is kept.
    fn follow(&mut self, desired: &Desired, now: Instant) {
        let mut before = std::mem::take(&mut self.services);
        for (name, service) in &desired.services {
            let Some(rules) = &service.dynamic_weights else {
                continue;
            };
            let next = now + rules.interval;
            let mut weighed = before.remove(name).unwrap_or_else(|| Weighed {
                scales: Scales::default(),
                next,
            });
            weighed.next = weighed.next.min(next);
            weighed.scales.keep(service.backends.keys().copied());
            self.services.insert(name.clone(), weighed);
        }
    }

    /// The steps that are due by now, by service. When one is, those come along that would be soon: each time, all is
    /// planned anew.
    fn step(&mut self, desired: &Desired, now: Instant) -> Vec<(ServiceName, Vec<Shift>)> {
        let mut shifts = Vec::new();
        if self.next().is_none_or(|next| next > now) {
            return shifts;
        }
        for (name, weighed) in &mut self.services {
            let service = desired.services.get(name);
            let due = service.and_then(|it| Some((it, it.dynamic_weights?)));
            let due = due.filter(|(_, rules)| weighed.next <= now + rules.interval / EARLIEST);
            let Some((service, rules)) = due else {
                continue;
            };
            weighed.next = now + rules.interval;
            let probe_interval = service.probe.as_ref().map(|probe| probe.interval);
            let shifted = weighed
                .scales
                .step(&rules, probe_interval.unwrap_or(Duration::ZERO));
            if !shifted.is_empty() {
                shifts.push((name.clone(), shifted));
            }
        }
        shifts
    }

    /// Has backends wait for their agents that had no slots when the daemon began: these may want them drained. Where
    /// nobody had any, nobody was drained by an agent, and nobody waits.
    pub(super) fn begin(&mut self, desired: &Desired, adopted: &BTreeSet<Target>) {
        for (name, weighed) in &mut self.services {
            let service = desired.services.get(name);
            let service =
                service.filter(|it| it.dynamic_weights.is_some_and(|it| it.agent_port.is_some()));
            let Some(service) = service else {
                continue;
            };
            let is_adopted =
                |address: &SocketAddr| adopted.contains(&Target::of(service, *address));
            let (serving, others): (Vec<SocketAddr>, Vec<SocketAddr>) = service
                .backends
                .keys()
                .partition(|address| is_adopted(address));
            for address in others.into_iter().filter(|_| !serving.is_empty()) {
                weighed.scales.await_agent(address);
            }
        }
    }

    fn scales_of(&mut self, target: &Target) -> Option<&mut Scales> {
        let weighed = self.services.get_mut(&target.service)?;
        Some(&mut weighed.scales)
    }

    /// When the next step is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.services.values().map(|weighed| weighed.next).min()
    }

    /// How much of its weight a backend has; `None` if its weight is as configured by definition.
    pub(super) fn standing(&self, service: &ServiceName, address: SocketAddr) -> Option<&Standing> {
        self.services.get(service)?.scales.standing(address)
    }

    /// What a plan needs to know.
    pub(super) fn scales(&self) -> BTreeMap<Target, Scale> {
        let services = self.services.iter();
        let scales = services.flat_map(|(name, weighed)| {
            weighed.scales.standings().map(|(address, standing)| {
                let target = Target {
                    service: name.clone(),
                    address,
                };
                let scale = Scale {
                    percent: standing.percent,
                    drains: standing.drains,
                };
                (target, scale)
            })
        });
        scales.filter(|(_, scale)| *scale != Scale::WHOLE).collect()
    }
}

impl Core {
    /// Follows what is wanted of those concerned: weights, and the agents that are asked.
    pub(super) fn follow_weights(&mut self, scope: &Scope) {
        let is_weighed = |service: &Arc<Service>| {
            service.dynamic_weights.is_some() || self.weights.services.contains_key(&service.name)
        };
        if *scope != Scope::All && !self.desired.within(scope).any(is_weighed) {
            return;
        }
        self.weights.follow(&self.desired, Instant::now());
        let mut agents = BTreeMap::new();
        for service in self.desired.services.values() {
            let rules = service.dynamic_weights;
            let Some((port, interval)) = rules.and_then(|it| Some((it.agent_port?, it.interval)))
            else {
                continue;
            };
            for backend in service.backends.keys() {
                let address = SocketAddr::new(backend.ip(), port);
                let agent = Agent { address, interval };
                agents.insert(Target::of(service, *backend), agent);
            }
        }
        self.edges.agents.watch(&agents);
    }

    /// Takes what an agent says; whether it is another question now than before if its backend takes new flows.
    pub(super) fn asked(&mut self, target: &Target, answer: Answer) -> bool {
        let service = self.desired.services.get(&target.service);
        let rules = service.and_then(|service| service.dynamic_weights);
        // Nobody asks any more: the answer is an old one.
        if rules.is_none_or(|rules| rules.agent_port.is_none()) {
            return false;
        }
        let Some(scales) = self.weights.scales_of(target) else {
            return false;
        };
        let shift = match answer {
            Answer::Said(report) => scales.report(target.address, report),
            Answer::NotAsked => {
                scales.not_asked(target.address);
                None
            }
        };
        self.edges
            .announcer
            .weights(&target.service, shift.as_slice());
        shift.is_some()
    }

    /// Takes how long a probe took.
    pub(super) fn measured(&mut self, observation: &Observation) {
        let target = &observation.target;
        if let (Some(scales), Ok(time)) = (self.weights.scales_of(target), &observation.attempt) {
            scales.measure(target.address, *time);
        }
    }

    /// Whether the response times of a backend count.
    pub(super) fn is_timed(&self, target: &Target) -> bool {
        let service = self.desired.services.get(&target.service);
        let rules = service.and_then(|service| service.dynamic_weights);
        rules.is_some_and(|it| it.response_time)
    }

    /// Has weights take the steps that are due.
    pub(super) fn weigh(&mut self, now: Instant) {
        for (service, shifts) in self.weights.step(&self.desired, now) {
            self.edges.announcer.weights(&service, &shifts);
        }
    }
}

#[cfg(test)]
mod tests;
