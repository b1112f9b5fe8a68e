//! Next hops that were found, and whose neighbour the kernel no longer knows: not given up at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    future,
    net::IpAddr,
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// So long a next hop stays as it was after its neighbour has been found missing. A neighbour that is well answers within
/// milliseconds; of one that is not the kernel has said so only after three seconds.
const GRACE: Duration = Duration::from_millis(200);

/// Destinations in doubt. The kernel forgets neighbours that are well (`ip neigh flush`, more of them than
/// `gc_thresh3`), and lists may miss some.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// Until when they are.
    until: BTreeMap<IpAddr, Instant>,
    /// When some are to be looked at again.
    next: Option<Instant>,
}

impl Doubts {
    /// Whether `destination` is in doubt.
    pub(super) fn has(&self, destination: IpAddr) -> bool {
        self.until.contains_key(&destination)
    }

    /// Whether what was found of `destination` is to stay for now. `is_lost`: its neighbour was known and is no longer.
    pub(super) fn holds(&mut self, destination: IpAddr, is_lost: bool, now: Instant) -> bool {
        if !is_lost {
            self.forget(destination);
            return false;
        }
        let until = *self.until.entry(destination).or_insert(now + GRACE);
        if until <= now {
            self.forget(destination);
            return false;
        }
        self.next = Some(self.next.map_or(until, |next| next.min(until)));
        true
    }

    pub(super) fn forget(&mut self, destination: IpAddr) {
        self.until.remove(&destination);
    }

    /// Waits until some are to be looked at again; for ever if nothing is in doubt.
    pub(super) async fn ripe(&self) {
        match self.next {
            Some(next) => sleep_until(next).await,
            None => future::pending().await,
        }
    }

    /// Those that are to be looked at again now.
    pub(super) fn take_ripe(&mut self, now: Instant) -> BTreeSet<IpAddr> {
        let (ripe, others): (Vec<_>, Vec<_>) =
            self.until.iter().partition(|(_, until)| **until <= now);
        self.next = others.into_iter().map(|(_, until)| *until).min();
        ripe.into_iter()
            .map(|(destination, _)| *destination)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_held_for_a_while_and_looked_at_again() {
        let mut doubts = Doubts::default();
        let [a, b, c] = [1, 2, 3].map(|host| IpAddr::from([10, 0, 0, host]));
        let begin = Instant::now();
        let half = begin + GRACE / 2;
        assert!(!doubts.holds(a, false, begin));
        assert!(doubts.holds(a, true, begin));
        assert!(doubts.holds(b, true, begin));
        assert!(doubts.holds(a, true, half), "it began then");
        assert!(!doubts.holds(b, false, half), "it was found again");
        assert!(doubts.holds(b, true, half));
        assert!(doubts.holds(c, true, half));
        doubts.forget(c);
        assert_eq!(doubts.next, Some(begin + GRACE));
        assert_eq!(doubts.take_ripe(half), BTreeSet::new());
        assert_eq!(doubts.take_ripe(begin + GRACE), [a].into());
        assert_eq!(doubts.next, Some(half + GRACE));
        assert!(!doubts.holds(a, true, begin + GRACE), "it is told now");
        assert_eq!(doubts.take_ripe(half + GRACE), [b].into());
        assert_eq!(doubts.next, None);
    }
}
