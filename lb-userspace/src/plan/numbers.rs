//! Which number each service bears in the maps.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use crate::{
    dataplane::{Actual, ServiceId},
    desired::Desired,
    model::{Mode, Service, ServiceName},
};

/// A number for every wanted service, as long as there are any.
///
/// A published number stays with the service that has most of the backends, then of the VIPs, that are
/// published under it: backends keep their flows however VIPs and names move between services. Other
/// services get the lowest numbers that nothing bears.
pub(super) fn numbers<'a>(
    desired: &'a Desired,
    actual: &Actual,
) -> BTreeMap<&'a ServiceName, ServiceId> {
    let published = Published::of(actual);
    let mut claims: Vec<_> = desired
        .services
        .values()
        .flat_map(|service| published.claims(service))
        .collect();
    claims.sort_by_key(|(strength, id, name)| (Reverse(*strength), *id, *name));
    let mut numbers = BTreeMap::new();
    let mut borne = published.numbers();
    let mut given = BTreeSet::new();
    for (_, id, name) in claims {
        if !numbers.contains_key(name) && given.insert(id) {
            numbers.insert(name, id);
        }
    }
    let mut free = (1..=u16::MAX).map(ServiceId);
    for name in desired.services.keys() {
        if !numbers.contains_key(name)
            && let Some(id) = free.find(|id| borne.insert(*id))
        {
            numbers.insert(name, id);
        }
    }
    numbers
}

/// How much of what is published under a number a service has: backends, VIPs.
type Strength = (usize, usize);

/// Who bears which numbers in the kernel.
struct Published<'a> {
    actual: &'a Actual,
    backends: BTreeMap<(SocketAddr, Mode), BTreeSet<ServiceId>>,
    /// Backends under each number.
    count: BTreeMap<ServiceId, usize>,
}

impl<'a> Published<'a> {
    fn of(actual: &'a Actual) -> Self {
        let mut backends: BTreeMap<_, BTreeSet<ServiceId>> = BTreeMap::new();
        let mut count: BTreeMap<_, usize> = BTreeMap::new();
        for entry in actual.backends.values() {
            let machine = (entry.address, entry.mode);
            if backends.entry(machine).or_default().insert(entry.service) {
                *count.entry(entry.service).or_default() += 1;
            }
        }
        Self {
            actual,
            backends,
            count,
        }
    }

    fn numbers(&self) -> BTreeSet<ServiceId> {
        let vips = self.actual.vips.values().map(|entry| entry.service);
        vips.chain(self.count.keys().copied()).collect()
    }

    /// The numbers that `service` may keep.
    fn claims<'s>(&self, service: &'s Service) -> Vec<(Strength, ServiceId, &'s ServiceName)> {
        if let Some((strength, id)) = self.undisputed(service) {
            return vec![(strength, id, &service.name)];
        }
        let mut strengths: BTreeMap<ServiceId, Strength> = BTreeMap::new();
        for id in self.of_vips(service) {
            strengths.entry(id).or_default().1 += 1;
        }
        for id in self.of_backends(service).flatten() {
            strengths.entry(*id).or_default().0 += 1;
        }
        let claims = strengths.into_iter();
        claims
            .map(|(id, strength)| (strength, id, &service.name))
            .collect()
    }

    /// The number under which all of the service's VIPs are published and nobody else's backends: no claim
    /// to it is stronger. This is the usual case, and spares looking at every service that shares machines.
    fn undisputed(&self, service: &Service) -> Option<(Strength, ServiceId)> {
        let id = self.of_vips(service).next()?;
        let vips = self.of_vips(service).filter(|other| *other == id).count();
        let backends = self.of_backends(service).filter(|ids| ids.contains(&id));
        let backends = backends.count();
        let all = self.count.get(&id).copied().unwrap_or_default();
        (vips == service.vips.len() && backends == all).then_some(((backends, vips), id))
    }

    /// The number that each published VIP of `service` is published under.
    fn of_vips(&self, service: &Service) -> impl Iterator<Item = ServiceId> {
        let vips = service.vips.iter();
        vips.filter_map(|vip| self.actual.vips.get(vip).map(|entry| entry.service))
    }

    /// The numbers that each published backend of `service` is published under.
    fn of_backends(&self, service: &Service) -> impl Iterator<Item = &BTreeSet<ServiceId>> {
        let machines = service.backends.values();
        machines.filter_map(|backend| self.backends.get(&(backend.address, backend.mode)))
    }
}
