//! Which of the wanted VIPs the maps have room for.

use std::{collections::BTreeSet, net::IpAddr};

use super::Shortage;
use crate::{dataplane::Actual, desired::Desired, model::Vip};

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
    /// Looks at each IP version's map, of `capacity` entries.
    pub(super) fn new(desired: &Desired, actual: &Actual, capacity: u32) -> Self {
        let mut vips = Self::default();
        for family in [IpAddr::is_ipv4, IpAddr::is_ipv6] {
            let services = desired.services.values();
            let wanted = services.flat_map(|service| service.vips.iter().copied());
            let wanted: Vec<Vip> = wanted.filter(|vip| family(&vip.address)).collect();
            let mut held = Entries::default();
            actual.vips.keys().for_each(|vip| held.insert(*vip));
            held.addresses.extend(&actual.addresses);
            held.keep(family);
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

/// Entries of one map: VIPs, and one for each of their addresses.
#[derive(Default)]
struct Entries {
    vips: BTreeSet<Vip>,
    addresses: BTreeSet<IpAddr>,
}

impl Entries {
    fn insert(&mut self, vip: Vip) {
        self.vips.insert(vip);
        self.addresses.insert(vip.address);
    }

    fn keep(&mut self, family: fn(&IpAddr) -> bool) {
        self.vips.retain(|vip| family(&vip.address));
        self.addresses.retain(family);
    }

    fn count(&self) -> usize {
        self.vips.len() + self.addresses.len()
    }

    /// How many there would be with `vip`, which is not among them.
    fn count_with(&self, vip: Vip) -> usize {
        let address = usize::from(!self.addresses.contains(&vip.address));
        self.count() + 1 + address
    }
}
