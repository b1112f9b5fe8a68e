//! Which destinations depend on which neighbours, and when the kernel was last asked to look for those.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use tokio::time::Instant;

use super::resolve::NeighborKey;

/// The kernel is asked to look for the same neighbour no more often than this. It sends a request each
/// second for three seconds by itself, and tells when it has given up.
const SOLICIT_INTERVAL: Duration = Duration::from_secs(1);

/// Both ways: who a destination depends on, and who depends on a neighbour.
#[derive(Debug, Default)]
pub(super) struct Needs {
    of: BTreeMap<IpAddr, NeighborKey>,
    neighbors: BTreeMap<NeighborKey, Needed>,
}

/// A neighbour.
#[derive(Debug, Default)]
struct Needed {
    /// Who depends on it; not empty.
    by: BTreeSet<IpAddr>,
    /// When the kernel was last asked to look for it.
    asked: Option<Instant>,
}

impl Needs {
    /// From now on `destination` depends on this neighbour, or on none.
    pub(super) fn set(&mut self, destination: IpAddr, neighbor: Option<NeighborKey>) {
        if self.of.get(&destination).copied() == neighbor {
            return;
        }
        self.forget(destination);
        if let Some(neighbor) = neighbor {
            self.of.insert(destination, neighbor);
            let needed = self.neighbors.entry(neighbor).or_default();
            needed.by.insert(destination);
        }
    }

    pub(super) fn forget(&mut self, destination: IpAddr) {
        let Some(neighbor) = self.of.remove(&destination) else {
            return;
        };
        if let Some(needed) = self.neighbors.get_mut(&neighbor) {
            needed.by.remove(&destination);
            if needed.by.is_empty() {
                self.neighbors.remove(&neighbor);
            }
        }
    }

    /// The destinations that depend on this neighbour; `None` if nobody does.
    pub(super) fn by(&self, neighbor: NeighborKey) -> Option<&BTreeSet<IpAddr>> {
        self.neighbors.get(&neighbor).map(|needed| &needed.by)
    }

    /// The neighbour that `destination` depends on may be asked for at once, however lately it was.
    pub(super) fn ask_anew(&mut self, destination: IpAddr) {
        let neighbor = self.of.get(&destination);
        if let Some(needed) = neighbor.and_then(|it| self.neighbors.get_mut(it)) {
            needed.asked = None;
        }
    }

    /// Whether the kernel may be asked now to look for this neighbour; if so, it was.
    pub(super) fn ask(&mut self, neighbor: NeighborKey, now: Instant) -> bool {
        let Some(needed) = self.neighbors.get_mut(&neighbor) else {
            return false;
        };
        let lately = |asked| now.duration_since(asked) < SOLICIT_INTERVAL;
        if needed.asked.is_some_and(lately) {
            return false;
        }
        needed.asked = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: u8) -> IpAddr {
        [10, 0, 0, host].into()
    }

    #[test]
    fn a_neighbour_is_known_as_long_as_somebody_depends_on_it() {
        let mut needs = Needs::default();
        let (gateway, other) = ((2, address(254)), (3, address(254)));
        needs.set(address(1), Some(gateway));
        needs.set(address(2), Some(gateway));
        needs.set(address(3), None);
        assert_eq!(needs.by(gateway), Some(&[1, 2].map(address).into()));
        needs.set(address(1), Some(other));
        assert_eq!(needs.by(gateway), Some(&[address(2)].into()));
        assert_eq!(needs.by(other), Some(&[address(1)].into()));
        needs.forget(address(2));
        needs.forget(address(3));
        needs.set(address(1), None);
        assert_eq!((needs.by(gateway), needs.by(other)), (None, None));
    }

    #[test]
    fn what_the_kernel_has_forgotten_is_asked_for_at_once() {
        let (mut needs, now) = (Needs::default(), Instant::now());
        let gateway = (2, address(254));
        needs.set(address(1), Some(gateway));
        assert!(needs.ask(gateway, now));
        assert!(!needs.ask(gateway, now));
        needs.ask_anew(address(2));
        assert!(!needs.ask(gateway, now), "somebody else's");
        needs.ask_anew(address(1));
        assert!(needs.ask(gateway, now));
    }

    #[test]
    fn the_same_neighbour_is_asked_for_once_a_second() {
        let mut needs = Needs::default();
        let (neighbor, begin) = ((2, address(1)), Instant::now());
        assert!(!needs.ask(neighbor, begin), "nobody needs it");
        needs.set(address(1), Some(neighbor));
        let asked = [0, 999, 1_000, 1_001].map(|after| {
            let now = begin + Duration::from_millis(after);
            needs.ask(neighbor, now)
        });
        assert_eq!(asked, [true, false, true, false]);
    }
}
