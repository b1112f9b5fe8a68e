//! Plans for some services: what has happened concerns these alone, and the steps for the others would be none.
//!
//! What a whole plan decides about all services at once (numbers of services, room for VIPs, ways out, aliases) is not
//! decided here. Where it would have to be, there is no such plan, and all is planned.

use std::collections::BTreeSet;

use lb_common::vlan::VlanDevice;

use super::{Input, Plan, Tables, index::Index, planner::Planner, vips::Vips};
use crate::{
    dataplane::{ServiceId, Step},
    model::{Scope, Service, ServiceName},
};

/// Plans for `services` of those that were all planned before; `index` is in step with `input.actual`. `None` if it
/// concerns others, too.
///
/// With what the last plan said of the others ([`Plan::absorb`]), it is what a plan for all would be, but for interfaces
/// that nobody uses any more: these stay allowed until all is planned.
#[must_use]
pub fn plan_services(
    input: Input<'_>,
    services: &BTreeSet<ServiceName>,
    index: &mut Index,
    tables: &mut Tables,
) -> Option<Plan> {
    let plan = plan_with(input, services, index, tables)?;
    for name in services {
        if let Some(service) = input.desired.services.get(name) {
            index.count(service);
        }
    }
    Some(plan)
}

fn plan_with(
    input: Input<'_>,
    services: &BTreeSet<ServiceName>,
    index: &Index,
    tables: &mut Tables,
) -> Option<Plan> {
    let wanted = services.iter().map(|name| {
        let service = input.desired.services.get(name)?;
        let id = index.numbers.get(name)?;
        Some((&**service, *id))
    });
    let wanted: Vec<(&Service, ServiceId)> = wanted.collect::<Option<_>>()?;
    let aliases = input.world.probes.aliases;
    let concerns_aliases = |service: &Service| {
        let mut backends = service.backends.keys();
        service.is_probed_via_vip() || backends.any(|address| aliases.have(address.ip()))
    };
    if wanted.iter().any(|(service, _)| concerns_aliases(service)) {
        return None;
    }
    let total = index.total_with(wanted.iter().map(|(service, _)| *service));
    if total >= input.capacity.backends as usize {
        return None;
    }
    let vips = Vips::published(wanted.iter().copied(), input.actual)?;
    let mut planner = Planner::new(input, index, vips);
    for (service, id) in &wanted {
        planner.service(*id, service, tables);
    }
    let plan = planner.finish_services(&wanted.iter().map(|(_, id)| *id).collect())?;
    let scope = Scope::Services(services.clone());
    Some(Plan { scope, ..plan })
}

impl Planner<'_> {
    /// The plan for these services, if no others need have a part in it.
    fn finish_services(mut self, services: &BTreeSet<ServiceId>) -> Option<Plan> {
        let held = self.input.actual;
        let mut vlans = self.input.world.vlans.iter();
        let is_new_vlan = |(index, device): (&u32, &VlanDevice)| {
            self.interfaces.contains(&device.parent) && held.vlans.get(index) != Some(device)
        };
        if !self.interfaces.is_subset(&held.devices)
            || vlans.any(is_new_vlan)
            || !self.plan.shortages.is_empty()
        {
            return None;
        }
        let mut clean = self.remove_backends(self.index.backends_of(services));
        if !clean.is_empty() {
            clean.insert(0, Step::Grace);
        }
        let room = self.input.capacity.server_ids();
        let servers = self.servers.steps_of(services, &held.servers, room)?;
        let publish = [
            self.write_backends,
            servers.put,
            self.write_tables,
            self.write_vips,
            servers.remove,
            self.silence_backends,
        ];
        let publish = publish.concat();
        Some(Plan {
            generation: self.next - u32::from(publish.is_empty()),
            publish,
            clean,
            ..self.plan
        })
    }
}

impl Plan {
    /// Takes over a plan that was made after it.
    pub fn absorb(&mut self, newer: Self) {
        if newer.scope == Scope::All {
            *self = newer;
            return;
        }
        newer.scope.take_part(&mut self.serving);
        newer.scope.take_part(&mut self.leaving);
        self.growing
            .retain(|target| !newer.scope.has(&target.service));
        newer.scope.take_part(&mut self.moves);
        newer.scope.take_part(&mut self.emergencies);
        self.generation = newer.generation;
        self.publish = newer.publish;
        self.clean = newer.clean;
        self.serving.extend(newer.serving);
        self.leaving.extend(newer.leaving);
        self.growing.extend(newer.growing);
        self.moves.extend(newer.moves);
        self.emergencies.extend(newer.emergencies);
    }
}
