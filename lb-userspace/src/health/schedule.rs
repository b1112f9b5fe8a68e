//! When the next probe begins: pure arithmetic; chance is an argument.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use super::Target;
use crate::model::Probe;

/// The first probes of all targets are spread over the interval, but over no more than this: an
/// operator who has added a backend is waiting for it.
const FIRST_SPREAD: Duration = Duration::from_secs(1);

/// While a change is being confirmed, probes follow each other so many times faster.
const CONFIRMING_SPEED_UP: u32 = 4;

/// Confirming goes no faster than this, unless the interval itself is shorter.
const CONFIRMING_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// From the start of probing to the begin of the first probe: 0 to the interval, at most 1 s. The same
/// for the same target every time, different for different targets, so that a thousand of them do not
/// begin at once.
#[must_use]
pub fn first_delay(target: &Target, interval: Duration) -> Duration {
    let mut hasher = DefaultHasher::new();
    target.hash(&mut hasher);
    interval
        .min(FIRST_SPREAD)
        .mul_f64(fraction(hasher.finish()))
}

/// From the begin of one probe to the begin of the next: the interval, or while a change is `pending` a
/// quarter of it (not below 100 ms, never above the interval), shortened by the jitter. `chance` is in
/// [0, 1) and says how much of the jitter applies.
///
/// The result may be shorter than the time-out: a probe that takes longer puts off its successor.
#[must_use]
pub fn next_delay(probe: &Probe, pending: bool, chance: f64) -> Duration {
    let base = if pending {
        (probe.interval / CONFIRMING_SPEED_UP)
            .max(CONFIRMING_INTERVAL_MIN)
            .min(probe.interval)
    } else {
        probe.interval
    };
    let jitter = f64::from(probe.jitter_percent.min(100)) / 100.0;
    base.mul_f64(1.0 - jitter * chance.clamp(0.0, 1.0))
}

/// The upper half of `bits` as a number in [0, 1).
pub(super) fn fraction(bits: u64) -> f64 {
    const ONE: f64 = 4_294_967_296.0;
    f64::from((bits >> 32) as u32) / ONE
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::ProbeKind;

    fn probe(interval: Duration, jitter_percent: u32) -> Probe {
        Probe {
            interval,
            jitter_percent,
            ..Probe::new(ProbeKind::Tcp)
        }
    }

    fn targets(count: u16) -> impl Iterator<Item = Target> {
        (1..=count).map(|port| Target {
            service: "web".parse().expect("a valid name"),
            address: ([10, 0, 0, 1], port).into(),
        })
    }

    #[test]
    fn first_probes_of_many_targets_are_spread_evenly() {
        let interval = Duration::from_millis(500);
        let delays: Vec<_> = targets(1_000)
            .map(|target| first_delay(&target, interval))
            .collect();
        assert!(delays.iter().all(|delay| *delay < interval));
        for tenth in 0..10 {
            let from = interval / 10 * tenth;
            let within = delays
                .iter()
                .filter(|delay| (from..from + interval / 10).contains(*delay))
                .count();
            assert!(
                (60..=140).contains(&within),
                "{within} begin after {from:?}"
            );
        }
        let distinct: BTreeSet<_> = delays.iter().collect();
        assert!(distinct.len() > 990);
    }

    #[test]
    fn first_probes_begin_within_a_second_and_at_the_same_time_every_time() {
        for target in targets(100) {
            let delay = first_delay(&target, Duration::from_hours(1));
            assert!(delay < Duration::from_secs(1));
            assert_eq!(delay, first_delay(&target, Duration::from_hours(1)));
        }
    }

    #[test]
    fn the_interval_is_quartered_while_a_change_is_confirmed() {
        for (interval_ms, pending, delay_ms) in [
            (2_000, false, 2_000),
            (2_000, true, 500),
            (400, true, 100),
            (300, true, 100),
            (50, true, 50),
            (50, false, 50),
        ] {
            let probe = probe(Duration::from_millis(interval_ms), 0);
            assert_eq!(
                next_delay(&probe, pending, 0.5),
                Duration::from_millis(delay_ms),
                "interval {interval_ms} ms, pending {pending}"
            );
        }
    }

    #[test]
    fn jitter_only_shortens_and_by_no_more_than_asked_for() {
        let interval = Duration::from_secs(1);
        let probe = probe(interval, 20);
        assert_eq!(next_delay(&probe, false, 0.0), interval);
        assert_eq!(next_delay(&probe, false, 0.5), Duration::from_millis(900));
        assert!(next_delay(&probe, false, 0.999) >= Duration::from_millis(800));
    }

    #[test]
    fn fractions_stay_below_one() {
        assert!(fraction(u64::MAX) < 1.0);
        assert!(fraction(0) < f64::EPSILON);
    }
}
