//! What of the kernel's side a plan would search for anew each time: kept in step with what is done, it spares a plan for
//! some services looking at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use lb_common::backend::BackendId;

use super::numbers::numbers;
use crate::{
    dataplane::{Actual, Region, ServiceId, Step},
    desired::Desired,
    model::{Mode, Service, ServiceName},
};

/// Finds things in an [`Actual`].
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// The number of each service that was wanted when all was planned.
    pub(super) numbers: BTreeMap<ServiceName, ServiceId>,
    /// How many backends it has, whether or not they have numbers, and how many all have together.
    configured: BTreeMap<ServiceName, usize>,
    total: usize,
    /// Numbers of backends by what they are.
    backends: BTreeMap<(ServiceId, SocketAddr, Mode), BackendId>,
    /// How many VIPs point to each region.
    regions: BTreeMap<Region, u32>,
    /// All backend numbers below this one are in use.
    pub(super) lowest_free: u32,
}

impl Index {
    /// Of what the kernel holds, for a plan of all of `desired`.
    pub(super) fn of(desired: &Desired, actual: &Actual) -> Self {
        let numbers = numbers(desired, actual).into_iter();
        let mut index = Self {
            numbers: numbers.map(|(name, id)| (name.clone(), id)).collect(),
            lowest_free: 1,
            ..Self::default()
        };
        for service in desired.services.values() {
            index.count(service);
        }
        for (number, entry) in &actual.backends {
            index.take(*number);
            index
                .backends
                .insert((entry.service, entry.address, entry.mode), *number);
        }
        for entry in actual.vips.values() {
            index.point(entry.region);
        }
        index
    }

    /// Follows how many backends a service has that has been planned.
    pub(super) fn count(&mut self, service: &Service) {
        let backends = service.backends.len();
        let before = self.configured.insert(service.name.clone(), backends);
        self.total = self.total + backends - before.unwrap_or_default();
    }

    /// How many backends are configured, with `services` as they are given.
    pub(super) fn total_with<'s>(&self, services: impl Iterator<Item = &'s Service>) -> usize {
        services.fold(self.total, |total, service| {
            let before = self.configured.get(&service.name).copied();
            total + service.backends.len() - before.unwrap_or_default()
        })
    }

    /// The number of a backend that the kernel holds.
    pub(super) fn backend(
        &self,
        service: ServiceId,
        address: SocketAddr,
        mode: Mode,
    ) -> Option<BackendId> {
        self.backends.get(&(service, address, mode)).copied()
    }

    /// The numbers of all backends that the kernel holds of these services.
    pub(super) fn backends_of(
        &self,
        services: &BTreeSet<ServiceId>,
    ) -> impl Iterator<Item = BackendId> {
        services.iter().copied().flat_map(|service| {
            let first = (service, SocketAddr::from(([0; 4], 0)), Mode::default());
            let theirs = self.backends.range(first..);
            let theirs = theirs.take_while(move |((of, ..), _)| *of == service);
            theirs.map(|(_, number)| *number)
        })
    }

    /// The regions that VIPs point to.
    pub(super) fn regions(&self) -> BTreeSet<Region> {
        self.regions.keys().copied().collect()
    }

    /// Follows `step`, which is about to be done to what `actual` says.
    pub fn follow(&mut self, step: &Step, actual: &Actual) {
        match step {
            Step::PutBackend(number, entry) => {
                self.forget(*number, actual);
                self.take(*number);
                self.backends
                    .insert((entry.service, entry.address, entry.mode), *number);
            }
            Step::RemoveBackend(number) => {
                self.forget(*number, actual);
                self.lowest_free = self.lowest_free.min(number.0);
            }
            Step::PutVip(vip, entry) => {
                self.leave(actual.vips.get(vip).map(|before| before.region));
                self.point(entry.region);
            }
            Step::RemoveVip(vip) => {
                self.leave(actual.vips.get(vip).map(|before| before.region));
            }
            Step::PutDevice(_)
            | Step::RemoveDevice(_)
            | Step::PutVlan(..)
            | Step::RemoveVlan(_)
            | Step::PutServer(..)
            | Step::RemoveServer(_)
            | Step::PutPath(..)
            | Step::RemovePath(_)
            | Step::WriteTable(..)
            | Step::Block(_)
            | Step::Unblock(_)
            | Step::Grace => {}
        }
    }

    fn take(&mut self, number: BackendId) {
        self.lowest_free += u32::from(number.0 == self.lowest_free);
    }

    fn forget(&mut self, number: BackendId, actual: &Actual) {
        let Some(before) = actual.backends.get(&number) else {
            return;
        };
        let key = (before.service, before.address, before.mode);
        if self.backends.get(&key) == Some(&number) {
            self.backends.remove(&key);
        }
    }

    fn point(&mut self, region: Region) {
        if region.slots > 0 {
            *self.regions.entry(region).or_default() += 1;
        }
    }

    fn leave(&mut self, region: Option<Region>) {
        let Some(region) = region else {
            return;
        };
        if let Some(count) = self.regions.get_mut(&region) {
            *count -= 1;
            if *count == 0 {
                self.regions.remove(&region);
            }
        }
    }
}
