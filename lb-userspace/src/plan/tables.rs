//! Lookup tables already computed, so that a service that has not changed costs nothing.

use std::{collections::BTreeMap, iter, net::SocketAddr, sync::Arc};

use lb_common::{backend::BackendId, table::Slot};

use super::rotation::rotation;
use crate::{
    dataplane::ServiceId,
    maglev,
    model::{self, Algorithm, Tracking, Weight},
};

/// The configured backends of a service, and which of them take new flows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Members {
    configured: Vec<(SocketAddr, u32)>,
    /// By the same index: those that take new flows.
    serving: Vec<Option<Share>>,
    /// Which of their flows are remembered.
    tracking: Tracking,
    /// How these get their slots.
    algorithm: Algorithm,
}

/// What a backend that takes new flows has of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// Its number.
    pub(super) number: BackendId,
    /// Its weight.
    pub(super) weight: u32,
    /// How much of it counts at present, in thousandths, [`FULL`] for all; less while it grows, and less or more if weights are
    /// dynamic.
    pub(super) grown: u32,
    /// Whether all its flows must be remembered, wherever they are.
    pub(super) has_state: bool,
}

impl Members {
    /// Nobody yet.
    pub(super) fn of(algorithm: Algorithm, tracking: Tracking) -> Self {
        Self {
            tracking,
            algorithm,
            ..Self::default()
        }
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.configured.len()
    }

    /// Adds a backend, whose weight is `weight` on a day on which everybody is well; `share` if it takes new flows.
    pub(super) fn push(&mut self, backend: &model::Backend, weight: u32, share: Option<Share>) {
        self.configured.push((backend.address, weight));
        self.serving.push(share);
    }

    /// Those who share the base: nobody, if slots are given out by turns.
    fn configured_for_base(&self) -> &[(SocketAddr, u32)] {
        match self.algorithm {
            Algorithm::RoundRobin => &[],
            Algorithm::Maglev
            | Algorithm::SourceHash
            | Algorithm::Random
            | Algorithm::LeastConnections => &self.configured,
        }
    }

    fn base(&self, slots: u32) -> maglev::Base {
        let configured = self.configured_for_base().iter();
        let members: Vec<_> = configured
            .map(|(address, weight)| maglev::Member {
                name: address.to_string(),
                weight: *weight,
            })
            .collect();
        maglev::Base::of(&members, slots)
    }

    fn has_base_of(&self, other: &Self) -> bool {
        self.configured_for_base() == other.configured_for_base()
    }

    /// The slot of a member with this share, where it is at home and where it is not.
    fn kinds(&self, share: Option<Share>) -> [Slot; 2] {
        let Some(share) = share else {
            return [Slot::default(); 2];
        };
        let slot = Slot::new(share.number);
        let is_tracked = match self.tracking {
            Tracking::OnDemand => [share.has_state, true],
            Tracking::Always => [true; 2],
            Tracking::Off => [share.has_state; 2],
        };
        is_tracked.map(|it| if it { slot.tracked() } else { slot })
    }

    /// The weights at present, which mean something beside each other alone: while one of them does not count as it is
    /// configured, all are counted in parts, of which the largest has [`Weight::MAX`] at most.
    fn weights(&self) -> Vec<u32> {
        let serving = || self.serving.iter().flatten();
        let is_divided = serving().any(|share| share.grown != FULL);
        let largest = serving().map(|share| share.weight * share.grown.max(FULL));
        let largest = largest.max().unwrap_or(FULL);
        let most = Weight::MAX * FULL;
        let weight = |share: &Share| {
            let now = share.weight * share.grown;
            let parts = if !is_divided {
                now / FULL
            } else if largest <= most {
                now * (most / largest).min(MOST_PARTS) / FULL
            } else {
                // Products of two such numbers fit into twice the bits.
                let scaled = u64::from(now) * u64::from(Weight::MAX) / u64::from(largest);
                u32::try_from(scaled).unwrap_or(Weight::MAX)
            };
            parts.max(1)
        };
        let serving = self.serving.iter();
        serving
            .map(|share| share.as_ref().map_or(0, weight))
            .collect()
    }
}

/// All of a share, in thousandths.
pub(super) const FULL: u32 = 1_000;

/// Into how many parts a weight is divided at most.
const MOST_PARTS: u32 = 100;

/// Whether two tables are the same. Most of the time they are one, and are not compared slot by slot.
pub(super) fn are_same(one: &Arc<[Slot]>, other: &Arc<[Slot]>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

/// The last table of each service, with what it was made from. Of a service whose backends only come and go, the base
/// is kept. A copy shares them all.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    computed: BTreeMap<ServiceId, Arc<Computed>>,
}

/// A table, with what it was made from.
#[derive(Debug)]
pub(super) struct Computed {
    members: Members,
    base: Arc<maglev::Base>,
    /// The size that was asked for.
    slots: u32,
    /// The slots that are due; none if nobody takes new flows. One whose flows are to be remembered whatever moves is
    /// tracked: it is served in another's place, or all flows of the service or the backend are.
    pub(super) table: Arc<[Slot]>,
    /// How many of them are tracked.
    pub(super) tracked: u32,
    /// How many each of the members has.
    pub(super) counts: Vec<u32>,
}

impl Tables {
    /// The table of `slots` slots over `members`.
    pub(super) fn table(
        &mut self,
        service: ServiceId,
        slots: u32,
        members: Members,
    ) -> Arc<Computed> {
        let known = self.computed.remove(&service);
        let computed = match known.filter(|known| known.slots == slots) {
            Some(known) if known.members == members => known,
            Some(known) if known.members.has_base_of(&members) => {
                Arc::new(Computed::new(slots, members, Arc::clone(&known.base)))
            }
            _ => {
                let base = Arc::new(members.base(slots));
                Arc::new(Computed::new(slots, members, base))
            }
        };
        self.computed.insert(service, Arc::clone(&computed));
        computed
    }

    /// Forgets all services but `services`.
    pub(super) fn retain(&mut self, services: impl Iterator<Item = ServiceId>) {
        let kept: std::collections::BTreeSet<ServiceId> = services.collect();
        self.computed.retain(|service, _| kept.contains(service));
    }
}

impl Computed {
    fn new(slots: u32, members: Members, base: Arc<maglev::Base>) -> Self {
        let weights = members.weights();
        let owners = match members.algorithm {
            Algorithm::RoundRobin => rotation(&weights, slots),
            Algorithm::Maglev
            | Algorithm::SourceHash
            | Algorithm::Random
            | Algorithm::LeastConnections => base.pinned(&weights),
        };
        // What a slot of each member is, at home and elsewhere.
        let kinds: Vec<[Slot; 2]> = members
            .serving
            .iter()
            .map(|it| members.kinds(*it))
            .collect();
        // Nobody is at home in a turn: then the base is empty.
        let at_home = base.owners().map(Some).chain(iter::repeat(None));
        let mut tracked = 0;
        let mut counts = vec![0_u32; members.serving.len()];
        let slot = |(at_home, place): (Option<u32>, u32)| {
            let is_elsewhere = at_home != Some(place);
            let slot = kinds
                .get(place as usize)
                .map(|[home, elsewhere]| if is_elsewhere { *elsewhere } else { *home })
                .unwrap_or_default();
            tracked += u32::from(slot.is_tracked());
            if let Some(count) = counts.get_mut(place as usize) {
                *count += 1;
            }
            slot
        };
        let table = at_home.zip(owners).map(slot).collect();
        Self {
            members,
            base,
            slots,
            table,
            tracked,
            counts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(shares: &[(u32, u32)]) -> Vec<u32> {
        let shares = (1..).zip(shares).map(|(number, (weight, grown))| {
            Some(Share {
                number: BackendId(number),
                weight: *weight,
                grown: *grown,
                has_state: false,
            })
        });
        let members = Members {
            serving: shares.chain([None]).collect(),
            ..Members::default()
        };
        members.weights()
    }

    #[test]
    fn weights_that_do_not_count_as_configured_are_counted_in_parts() {
        assert_eq!(weights(&[(3, FULL), (1, FULL)]), [3, 1, 0]);
        assert_eq!(weights(&[(3, FULL), (1, 50)]), [300, 5, 0]);
        assert_eq!(weights(&[(1, FULL), (1, 10)]), [100, 1, 0]);
        assert_eq!(weights(&[(30, 500), (10, 1_500)]), [495, 495, 0]);
        assert_eq!(weights(&[(1_000, FULL), (1, 10)]), [1_000, 1, 0]);
    }

    #[test]
    fn no_weight_is_more_than_the_most() {
        assert_eq!(weights(&[(1_000, 2_000), (1_000, FULL)]), [1_000, 500, 0]);
        assert_eq!(weights(&[(1_000, 10_000), (500, 100)]), [1_000, 5, 0]);
        assert_eq!(weights(&[(1, 10_000), (1, FULL)]), [1_000, 100, 0]);
    }
}
