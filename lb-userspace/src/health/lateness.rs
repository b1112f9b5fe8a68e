//! How many probes were made, and how much later than they were due they began.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Upper bounds of the classes that delays are counted in, in microseconds; the last class has none.
const BOUNDS_US: [u64; 18] = [
    50, 100, 200, 500, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000, 20_000, 50_000, 75_000, 100_000,
    200_000, 500_000, 1_000_000, 5_000_000,
];

/// Counts of all probes since the daemon started; many tasks count at once.
#[derive(Debug, Default)]
pub struct Tally {
    made: AtomicU64,
    failed: AtomicU64,
    impossible: AtomicU64,
    late: [AtomicU64; BOUNDS_US.len() + 1],
    latest_us: AtomicU64,
}

/// What one probe came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded,
    Failed,
    /// This host could not make it.
    Impossible,
}

/// Counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Probes that came to a result.
    pub made: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Probes that this host could not make.
    pub impossible: u64,
    /// Half of the probes began no later than so much after they were due.
    pub late_p50: Duration,
    /// The same of 99 in 100.
    pub late_p99: Duration,
    /// The latest.
    pub late_max: Duration,
}

impl Tally {
    /// Counts a probe that began `late` after it was due.
    pub(super) fn began(&self, late: Duration) {
        let late_us = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        let class = BOUNDS_US.partition_point(|bound| *bound < late_us);
        if let Some(class) = self.late.get(class) {
            class.fetch_add(1, Relaxed);
        }
        self.latest_us.fetch_max(late_us, Relaxed);
    }

    /// Counts what came of it.
    pub(super) fn ended(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Impossible => &self.impossible,
            Outcome::Failed | Outcome::Succeeded => &self.made,
        };
        counter.fetch_add(1, Relaxed);
        if outcome == Outcome::Failed {
            self.failed.fetch_add(1, Relaxed);
        }
    }

    /// The counts now. Delays are rounded up to the bounds of their classes: at most 100 %.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let latest_us = self.latest_us.load(Relaxed);
        let classes: Vec<u64> = self.late.iter().map(|class| class.load(Relaxed)).collect();
        let quantile = |percent: u64| {
            let wanted = (classes.iter().sum::<u64>() * percent).div_ceil(100);
            let mut so_far = 0;
            let bounds = BOUNDS_US.iter().chain([&latest_us]);
            let found = classes.iter().zip(bounds).find(|(class, _)| {
                so_far += **class;
                so_far >= wanted
            });
            let bound = found.map_or(0, |(_, bound)| *bound);
            Duration::from_micros(bound.min(latest_us))
        };
        Counts {
            made: self.made.load(Relaxed),
            failed: self.failed.load(Relaxed),
            impossible: self.impossible.load(Relaxed),
            late_p50: quantile(50),
            late_p99: quantile(99),
            late_max: Duration::from_micros(latest_us),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_bounds_of_their_classes_and_no_more_than_the_latest() {
        let tally = Tally::default();
        assert_eq!(tally.counts(), Counts::default());
        let milliseconds = Duration::from_millis;
        for late in [0, 0, 1, 4] {
            tally.began(milliseconds(late));
        }
        let counts = tally.counts();
        assert_eq!(counts.late_p50, Duration::from_micros(50));
        assert_eq!(counts.late_p99, milliseconds(4), "not the bound, 5 ms");
        for _ in 0..1_000 {
            tally.began(milliseconds(7));
        }
        tally.began(milliseconds(90_000));
        let counts = tally.counts();
        assert_eq!(counts.late_p50, milliseconds(10));
        assert_eq!(counts.late_p99, milliseconds(10));
        assert_eq!(counts.late_max, milliseconds(90_000));
    }

    #[test]
    fn probes_that_could_not_be_made_are_counted_apart() {
        let tally = Tally::default();
        for outcome in [
            Outcome::Succeeded,
            Outcome::Failed,
            Outcome::Failed,
            Outcome::Impossible,
        ] {
            tally.ended(outcome);
        }
        let counts = tally.counts();
        assert_eq!((counts.made, counts.failed, counts.impossible), (3, 2, 1));
    }
}
