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
    /// Where and how packets go under which number; sorted.
    backends: Vec<(SocketAddr, Mode, ServiceId)>,
    /// Backends under each number.
    count: BTreeMap<ServiceId, usize>,
}

impl<'a> Published<'a> {
    fn of(actual: &'a Actual) -> Self {
        let entries = actual.backends.values();
        let mut backends: Vec<_> = entries
            .map(|entry| (entry.address, entry.mode, entry.service))
            .collect();
        backends.sort_unstable();
        backends.dedup();
        let mut count: BTreeMap<_, usize> = BTreeMap::new();
        for (_, _, service) in &backends {
            *count.entry(*service).or_default() += 1;
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
        for (_, _, id) in self.of_backends(service).flatten() {
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
        let machines = service.backends.values();
        let entries = machines.map(|backend| (backend.address, backend.mode, id));
        let is_published = |entry: &_| self.backends.binary_search(entry).is_ok();
        let backends = entries.filter(is_published).count();
        let all = self.count.get(&id).copied().unwrap_or_default();
        (vips == service.vips.len() && backends == all).then_some(((backends, vips), id))
    }

    /// The number that each published VIP of `service` is published under.
    fn of_vips(&self, service: &Service) -> impl Iterator<Item = ServiceId> {
        let vips = service.vips.iter();
        vips.filter_map(|vip| self.actual.vips.get(vip).map(|entry| entry.service))
    }

    /// For each backend of `service` the numbers that it is published under.
    fn of_backends(
        &self,
        service: &Service,
    ) -> impl Iterator<Item = &[(SocketAddr, Mode, ServiceId)]> {
        service.backends.values().map(|backend| {
            let machine = (backend.address, backend.mode);
            let place = |(address, mode, _): &(SocketAddr, Mode, ServiceId)| (*address, *mode);
            let first = self.backends.partition_point(|it| place(it) < machine);
            let rest = self.backends.get(first..).unwrap_or_default();
            let end = rest.iter().take_while(|it| place(it) == machine).count();
            rest.get(..end).unwrap_or_default()
        })
    }
}
