//! What a configuration would do if it were applied now, and whether that is within a budget.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{core::Core, reading::unreadable};
use crate::{
    config::differences,
    control::protocol::{Budget, ErrorCode, Planned, RpcError, ServiceImpact},
    dataplane::{Actual, Dataplane, FlowTables},
    desired::Desired,
    health::Target,
    model::{Health, Mode, Scope, ServiceName, Vip},
    neighbor::{NextHop, NextHops, Unresolved},
    plan::{
        self, Knowledge, Plan,
        impact::{Fates, Impact, impacts},
    },
};

/// A forecast, but for the flows, which have to be looked at one by one.
pub(super) struct Forecast {
    planned: Planned,
    fates: Fates,
    /// By VIP, whose flows are counted for it.
    services: BTreeMap<Vip, ServiceName>,
    budget: Budget,
}

impl Core {
    /// Foresees what applying `desired` would do: the steps at once, and what has moved when new backends have been
    /// found healthy, slots have learnt, and those that it leaves out have drained.
    ///
    /// # Errors
    /// It does not fit into the maps.
    pub(super) fn forecast(
        &self,
        desired: &Desired,
        budget: Budget,
        drain_timeout: Duration,
    ) -> Result<Forecast, RpcError> {
        let first = self.and_those_left_out(desired.clone(), &self.desired, drain_timeout);
        let mut health = self.health_of(&first);
        let (plan, _) = self.foresee(&first, &health, &self.next_hops, &self.knowledge());
        if !plan.shortages.is_empty() {
            let shortages: Vec<String> = plan.shortages.iter().map(ToString::to_string).collect();
            return Err(RpcError::new(ErrorCode::Kernel, shortages.join("; ")));
        }
        for concluded in health.values_mut().filter(|it| **it == Health::Unknown) {
            *concluded = Health::Up;
        }
        let (_, settled) = self.foresee(
            desired,
            &health,
            &reached(desired, &self.next_hops),
            &Knowledge {
                scales: self.weights.scales(),
                ..Knowledge::complete()
            },
        );
        let actual = self.reconciler.dataplane().actual();
        let impacts = impacts((&self.desired, actual), (desired, &settled));
        let differences = differences(&self.desired, desired);
        let steps = self.steps(&first, &plan);
        Ok(Forecast {
            planned: Planned {
                changes: !(differences.is_empty() && steps.is_empty()),
                differences,
                steps,
                services: impacts.into_iter().map(impact).collect(),
                ..Planned::default()
            },
            fates: Fates::new(actual.clone(), settled),
            services: owners(&self.desired),
            budget,
        })
    }

    /// The plan for `desired` in a world like that, and what the kernel holds when it is done.
    fn foresee(
        &self,
        desired: &Desired,
        health: &BTreeMap<Target, Health>,
        next_hops: &NextHops,
        knowledge: &Knowledge,
    ) -> (Plan, Actual) {
        let interfaces = self.edges.interfaces.indexes();
        let world = self.edges.world(health, next_hops, &interfaces, knowledge);
        self.reconciler.foresee(desired, world)
    }

    fn steps(&self, desired: &Desired, plan: &Plan) -> Vec<String> {
        let features = plan::features(desired, &Scope::All);
        let dataplane = self.reconciler.dataplane();
        let program = (!dataplane.has(features))
            .then(|| format!("replace the program by one for {features}"));
        let steps = plan
            .publish
            .iter()
            .chain(&plan.clean)
            .map(ToString::to_string);
        program.into_iter().chain(steps).collect()
    }
}

impl Forecast {
    /// Looks at every flow. Takes its time: not for the core's own thread.
    ///
    /// # Errors
    /// The flow tables could not be read.
    pub(super) fn count(mut self, tables: &FlowTables) -> Result<Planned, RpcError> {
        let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        let read = tables.each(|flow| {
            if let Some((vip, moves)) = self.fates.of(&flow)
                && let Some(service) = self.services.get(&vip)
            {
                let (flows, moved) = counts.entry(service.as_str()).or_default();
                *flows += 1;
                *moved += u64::from(moves);
            }
            true
        });
        read.map_err(unreadable)?;
        self.planned.flows = counts.values().map(|(flows, _)| flows).sum();
        self.planned.moved_flows = counts.values().map(|(_, moved)| moved).sum();
        for service in &mut self.planned.services {
            let counted = counts.get(service.name.as_str()).copied();
            (service.flows, service.moved_flows) = counted.unwrap_or_default();
        }
        Ok(self.judge())
    }

    /// The forecast, without flows if they have not been counted, and what of it exceeds the budget.
    pub(super) fn judge(mut self) -> Planned {
        let Budget {
            moved_slots_percent,
            moved_flows,
        } = self.budget;
        let over = &mut self.planned.over_budget;
        for service in &self.planned.services {
            let (moved, slots) = (u64::from(service.moved_slots), u64::from(service.slots));
            if let Some(allowed) = moved_slots_percent
                && moved * 100 > u64::from(allowed) * slots
            {
                let name = &service.name;
                over.push(format!(
                    "{moved} of {slots} slots of service {name} would move, {allowed} % are allowed"
                ));
            }
        }
        let moved = self.planned.moved_flows;
        if let Some(allowed) = moved_flows
            && moved > allowed
        {
            over.push(format!("{moved} flows would move, {allowed} are allowed"));
        }
        let is_touched = |it: &ServiceImpact| {
            it.moved_slots > 0
                || it.moved_flows > 0
                || !it.added.is_empty()
                || !it.removed.is_empty()
        };
        self.planned.services.retain(is_touched);
        self.planned
    }
}

fn impact((name, impact): (ServiceName, Impact)) -> ServiceImpact {
    let text = |address: &SocketAddr| address.to_string();
    ServiceImpact {
        name: name.to_string(),
        slots: impact.slots,
        moved_slots: impact.moved_slots,
        added: impact.added.iter().map(text).collect(),
        removed: impact.removed.iter().map(text).collect(),
        ..ServiceImpact::default()
    }
}

fn owners(desired: &Desired) -> BTreeMap<Vip, ServiceName> {
    let services = desired.services.values();
    services
        .flat_map(|service| service.vips.iter().map(|vip| (*vip, service.name.clone())))
        .collect()
}

/// `next_hops`, and one for every backend that has not been looked for yet: as if it were found.
fn reached(desired: &Desired, next_hops: &NextHops) -> NextHops {
    let mut reached = next_hops.clone();
    let services = desired.services.values();
    for backend in services.flat_map(|service| service.backends.values()) {
        let address: IpAddr = backend.address.ip();
        reached
            .entry(address)
            .or_insert_with(|| match backend.mode {
                Mode::Local => Err(Unresolved::Local),
                Mode::L2 | Mode::Ipip | Mode::Gue | Mode::Nat | Mode::Snat => Ok(NextHop {
                    on_link: true,
                    source: Some(address),
                    ..NextHop::default()
                }),
            });
    }
    reached
}
