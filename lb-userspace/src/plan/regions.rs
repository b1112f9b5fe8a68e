//! Free regions of the arena.

use std::{collections::BTreeSet, iter};

use crate::dataplane::{Actual, Region, Step};

/// Which parts of the arena are in use, before and after the plan.
pub(super) struct Regions {
    /// Published, or taken by this plan; ordered by offset.
    used: BTreeSet<Region>,
    /// No longer published, but a packet under way may still read them.
    retired: BTreeSet<Region>,
    slots: u32,
    /// The last that was found: before its end there is no gap as large.
    found: Region,
}

impl Regions {
    /// `published` are those that VIPs point to, and `slots` the arena's.
    pub(super) fn new(published: BTreeSet<Region>, actual: &Actual, slots: u32) -> Self {
        Self {
            used: published,
            retired: actual.retired.clone(),
            slots,
            found: Region::default(),
        }
    }

    /// Takes the first free region of `slots` slots. If only a retired one fits, a grace period is added to
    /// `steps` first. `None` if there is no room.
    pub(super) fn take(&mut self, slots: u32, steps: &mut Vec<Step>) -> Option<Region> {
        let region = match self.first_fit(slots) {
            Some(region) => region,
            None if self.retired.is_empty() => return None,
            None => {
                self.retired.clear();
                self.found = Region::default();
                steps.push(Step::Grace);
                self.first_fit(slots)?
            }
        };
        self.used.insert(region);
        self.found = region;
        Some(region)
    }

    fn first_fit(&self, slots: u32) -> Option<Region> {
        // A fleet's tables are of one size, most of the time, and follow each other.
        let offset = if slots >= self.found.slots {
            self.found.end()
        } else {
            0
        };
        let mut candidate = Region { offset, slots };
        let first = Region { offset, slots: 0 };
        let [mut used, mut retired] =
            [&self.used, &self.retired].map(|regions| regions.range(first..).peekable());
        let next = || match (used.peek(), retired.peek()) {
            (Some(one), Some(other)) if one > other => retired.next(),
            (None, _) => retired.next(),
            (Some(_), _) => used.next(),
        };
        for taken in iter::from_fn(next) {
            if candidate.end() <= taken.offset {
                break;
            }
            candidate.offset = candidate.offset.max(taken.end());
        }
        let end = candidate.offset.checked_add(slots)?;
        (end <= self.slots).then_some(candidate)
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, sync::Arc};

    use super::*;
    use crate::{
        dataplane::{ServiceId, VipEntry},
        model::{Protocol, QuicLb, Vip},
    };

    fn actual(published: &[Region], retired: &[Region]) -> Actual {
        let vips = published.iter().zip(1..).map(|(region, port)| {
            let vip = Vip {
                addresses: IpAddr::from([192, 0, 2, 1]).into(),
                port,
                protocol: Protocol::Tcp,
            };
            let entry = VipEntry {
                region: *region,
                generation: 1,
                service: ServiceId(1),
                source_limit: None,
                quic_lb: QuicLb::default(),
                algorithm: crate::model::Algorithm::Maglev,
            };
            (vip, entry)
        });
        Actual {
            vips: vips.collect(),
            retired: retired.iter().copied().collect(),
            tables: [(Region::default(), Arc::from([]))].into(),
            ..Actual::default()
        }
    }

    fn regions(actual: &Actual) -> Regions {
        let published = actual.vips.values().map(|entry| entry.region);
        Regions::new(published.collect(), actual, 1_024)
    }

    const fn region(offset: u32, slots: u32) -> Region {
        Region { offset, slots }
    }

    #[test]
    fn the_first_gap_that_is_large_enough_is_taken() {
        let actual = actual(&[region(0, 100), region(160, 100)], &[]);
        let mut regions = regions(&actual);
        let mut steps = Vec::new();
        assert_eq!(regions.take(48, &mut steps), Some(region(112, 48)));
        assert_eq!(regions.take(48, &mut steps), Some(region(272, 48)));
        assert_eq!(regions.take(704, &mut steps), Some(region(320, 704)));
        assert_eq!(regions.take(1, &mut steps), None);
        assert_eq!(steps, []);
    }

    #[test]
    fn a_retired_region_is_used_again_only_after_a_grace_period() {
        let actual = actual(&[region(0, 512)], &[region(512, 512)]);
        let mut regions = regions(&actual);
        let mut steps = Vec::new();
        assert_eq!(regions.take(512, &mut steps), Some(region(512, 512)));
        assert_eq!(steps, [Step::Grace]);
    }
}
