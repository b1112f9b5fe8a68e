//! How long a backend that keeps going down is held down: for growing times. No clock, no I/O.

use std::time::{Duration, SystemTime};

use crate::model::Probe;

/// What is remembered of a backend's falls.
///
/// A backend that falls again before it has been up for `longest` is held down: for `first`, and twice as long each
/// further time, up to `longest`. One that has been up for `longest` is trusted as if it had never fallen.
#[derive(Clone, Debug)]
pub(super) struct Damping {
    first: Duration,
    longest: Duration,
    /// Falls in a row without trust between them.
    falls: u32,
    held_until: Option<SystemTime>,
}

impl Damping {
    pub(super) const fn new(probe: &Probe) -> Self {
        Self {
            first: probe.hold_down,
            longest: probe.hold_down_max,
            falls: 0,
            held_until: None,
        }
    }

    /// Takes the times from `probe`; a hold that is under way ends when it would have, or at once if there are to be
    /// none.
    pub(super) fn retune(&mut self, probe: &Probe) {
        self.first = probe.hold_down;
        self.longest = probe.hold_down_max;
        if self.first.is_zero() {
            self.held_until = None;
        }
    }

    /// Takes a fall `now`. The backend was up since `up_since`; `None` is for longer than anybody knows.
    pub(super) fn fall(&mut self, up_since: Option<SystemTime>, now: SystemTime) {
        // A clock that was set back says nothing about how long it was.
        let up_for = up_since.map(|since| now.duration_since(since).unwrap_or_default());
        let is_trusted = up_for.is_none_or(|up_for| up_for >= self.longest);
        self.falls = if is_trusted { 1 } else { self.falls + 1 };
        let doublings = self.falls.checked_sub(2);
        self.held_until = doublings
            .filter(|_| !self.first.is_zero())
            .map(|doublings| {
                let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
                now + self.first.saturating_mul(factor).min(self.longest)
            });
    }

    /// Until when the backend is held down, if it is `now`. No hold is longer than the longest one, even if the clock
    /// was set back.
    pub(super) fn held_until(&self, now: SystemTime) -> Option<SystemTime> {
        let until = self.held_until?;
        let left = until.duration_since(now).ok()?;
        (!left.is_zero() && left <= self.longest).then_some(until)
    }

    /// So many times it fell without having been trusted between.
    pub(super) const fn falls(&self) -> u32 {
        self.falls
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::model::ProbeKind;

    fn at(second: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(second)
    }

    fn damping(first: u64, longest: u64) -> Damping {
        Damping::new(&Probe {
            hold_down: Duration::from_secs(first),
            hold_down_max: Duration::from_secs(longest),
            ..Probe::new(ProbeKind::Tcp)
        })
    }

    #[test]
    fn each_fall_holds_twice_as_long_until_the_backend_is_trusted_again() {
        let mut damping = damping(10, 60);
        // Seconds it was up before the fall, and for how many it is held.
        for (row, (up, held)) in [
            (None, 0),
            (Some(59), 10),
            (Some(1), 20),
            (Some(30), 40),
            (Some(1), 60),
            (Some(1), 60),
            (Some(60), 0),
            (Some(1), 10),
            (None, 0),
        ]
        .into_iter()
        .enumerate()
        {
            let now = 10_000;
            damping.fall(up.map(|up| at(now - up)), at(now));
            let until = damping.held_until(at(now));
            assert_eq!(until, (held > 0).then(|| at(now + held)), "row {row}");
            assert_eq!(damping.held_until(at(now + held)), None, "row {row}");
        }
    }

    #[test]
    fn many_falls_never_hold_longer_than_the_longest() {
        let mut damping = damping(1, 3_600);
        for fall in 1..100_u64 {
            damping.fall(Some(at(fall)), at(fall));
        }
        assert_eq!(damping.held_until(at(99)), Some(at(99 + 3_600)));
    }

    #[test]
    fn holds_can_be_switched_off_before_and_while_they_last() {
        let mut off = damping(0, 60);
        let mut on = damping(10, 60);
        for damping in [&mut off, &mut on] {
            damping.fall(None, at(1));
            damping.fall(Some(at(2)), at(3));
        }
        assert_eq!(off.held_until(at(3)), None);
        assert!(on.held_until(at(3)).is_some());
        on.retune(&Probe {
            hold_down: Duration::ZERO,
            ..Probe::new(ProbeKind::Tcp)
        });
        assert_eq!(on.held_until(at(3)), None);
    }

    #[test]
    fn a_clock_that_is_set_back_prolongs_no_hold_beyond_the_longest() {
        let mut damping = damping(10, 60);
        damping.fall(None, at(1_000));
        damping.fall(Some(at(1_001)), at(1_002));
        assert!(damping.held_until(at(1_003)).is_some());
        assert_eq!(damping.held_until(at(10)), None);
    }
}
