//! Services that are looked at between events: those in which something is due without anybody asking for it. Of a large
//! fleet they are few, and the others need not be looked at.

use std::collections::BTreeSet;

use crate::{
    desired::Desired,
    model::{AdminState, Backend, Scope, Service, ServiceName},
};

/// Which they are.
#[derive(Debug)]
pub(super) struct Restless(Scope);

impl Default for Restless {
    fn default() -> Self {
        Self(Scope::none())
    }
}

impl Restless {
    /// Follows a change of what is wanted that concerns `scope`.
    pub(super) fn follow(&mut self, desired: &Desired, scope: &Scope) {
        let services = desired.within(scope).filter(|service| is_restless(service));
        let services: BTreeSet<ServiceName> =
            services.map(|service| service.name.clone()).collect();
        let mut before = std::mem::replace(&mut self.0, Scope::none());
        before.retain(|name| !scope.has(name));
        self.0 = before.and(Scope::Services(services));
    }

    /// These services.
    pub(super) const fn scope(&self) -> &Scope {
        &self.0
    }
}

/// Whether backends drain or are being removed, weights follow them, or flows are counted.
fn is_restless(service: &Service) -> bool {
    let is_leaving =
        |backend: &Backend| backend.state == AdminState::Drain || backend.remove_at.is_some();
    service.dynamic_weights.is_some()
        || service.algorithm.counts_flows()
        || service.backends.values().any(is_leaving)
}
