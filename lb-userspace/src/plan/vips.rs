//! Which of the wanted VIPs the maps have room for.

use std::collections::BTreeSet;

use super::Shortage;
use crate::{
    dataplane::{Actual, ServiceId},
    desired::Desired,
    model::{Prefix, Service, Vip},
};

/// The wanted VIPs that fit, and what follows from that.
#[derive(Debug, Default)]
pub(super) struct Vips {
    /// Those that fit: the published ones before new ones.
    pub(super) fitting: BTreeSet<Vip>,
    /// Whether new VIPs fit only when unwanted ones are gone.
    pub(super) crowded: bool,
    pub(super) shortages: Vec<Shortage>,
}

impl Vips {
    /// The VIPs of these services, if all of them are published and need no new room.
    pub(super) fn published<'s>(
        services: impl Iterator<Item = (&'s Service, ServiceId)>,
        actual: &Actual,
    ) -> Option<Self> {
        let mut fitting = BTreeSet::new();
        for (service, id) in services {
            for vip in &service.vips {
                let entry = actual.vips.get(vip)?;
                if entry.service != id || !actual.addresses.contains(&vip.addresses) {
                    return None;
                }
            }
            fitting.extend(service.vips.iter().copied());
        }
        Some(Self {
            fitting,
            ..Self::default()
        })
    }

    /// Looks at each IP version's map, of `capacity` entries.
    pub(super) fn new(desired: &Desired, actual: &Actual, capacity: u32) -> Self {
        let mut vips = Self::default();
        for is_ipv4 in [true, false] {
            let services = desired.services.values();
            let wanted = services.flat_map(|service| service.vips.iter().copied());
            let wanted: Vec<Vip> = wanted
                .filter(|vip| vip.addresses.is_ipv4() == is_ipv4)
                .collect();
            let mut held = Entries::default();
            actual.vips.keys().for_each(|vip| held.insert(*vip));
            actual.addresses.iter().for_each(|it| held.announce(*it));
            held.keep(is_ipv4);
            vips.fit(&wanted, held, actual, capacity);
        }
        vips
    }

    fn fit(&mut self, wanted: &[Vip], mut held: Entries, actual: &Actual, capacity: u32) {
        let room = capacity as usize;
        let is_published = |vip: &Vip| actual.vips.contains_key(vip);
        let (published, new): (Vec<Vip>, Vec<Vip>) = wanted.iter().copied().partition(is_published);
        let mut all = Entries::default();
        let mut fitting = Entries::default();
        for vip in published.into_iter().chain(new) {
            all.insert(vip);
            if fitting.count_with(vip) <= room {
                fitting.insert(vip);
                held.insert(vip);
            }
        }
        if all.count() > room {
            let wanted = all.count();
            self.shortages.push(Shortage::Vips { wanted, capacity });
        }
        self.crowded |= held.count() > room;
        self.fitting.extend(fitting.vips);
    }
}

/// Entries of one map: VIPs, and one for each of their addresses. Prefixes stand in a map of their own, which has room
/// for as many.
#[derive(Default)]
struct Entries {
    vips: BTreeSet<Vip>,
    addresses: BTreeSet<Prefix>,
}

impl Entries {
    fn insert(&mut self, vip: Vip) {
        self.vips.insert(vip);
        self.announce(vip.addresses);
    }

    fn announce(&mut self, addresses: Prefix) {
        if addresses.is_single() {
            self.addresses.insert(addresses);
        }
    }

    fn keep(&mut self, is_ipv4: bool) {
        self.vips.retain(|vip| vip.addresses.is_ipv4() == is_ipv4);
        self.addresses.retain(|it| it.is_ipv4() == is_ipv4);
    }

    fn count(&self) -> usize {
        self.vips.len() + self.addresses.len()
    }

    /// How many there would be with `vip`, which is not among them.
    fn count_with(&self, vip: Vip) -> usize {
        let address = !vip.is_prefix() && !self.addresses.contains(&vip.addresses);
        self.count() + 1 + usize::from(address)
    }
}
