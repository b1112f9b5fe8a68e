//! How long a change waits for the next hops of new backends.

use std::time::Duration;

use tokio::time::Instant;

/// How long a neighbour may take to answer, after something was last heard of new backends.
const NEIGHBOR: Duration = Duration::from_millis(500);

/// How long the kernel may take to answer for one backend, beyond that: several times as long as it does.
const ANSWER: Duration = Duration::from_micros(200);

/// How long it may take for all, at most: nothing else is done meanwhile. Those that come later join by themselves.
const ANSWERS: Duration = Duration::from_secs(5);

/// It grows with the number of new backends, since the kernel is asked about one after the other; who is silent is not
/// waited for longer.
#[derive(Debug)]
pub(super) struct Patience {
    /// Until when answers of the kernel are waited for.
    answers: Instant,
    /// Until when neighbours are.
    neighbors: Instant,
}

impl Patience {
    /// For so many new backends, from now on.
    pub(super) fn new(backends: usize, now: Instant) -> Self {
        let backends = u32::try_from(backends).unwrap_or(u32::MAX);
        Self {
            answers: now + NEIGHBOR + ANSWER.saturating_mul(backends).min(ANSWERS),
            neighbors: now + NEIGHBOR,
        }
    }

    /// Some of those that nothing was known of have been answered: their neighbours are being asked for from now on.
    pub(super) fn heard(&mut self, now: Instant) {
        self.neighbors = self.answers.min(now + NEIGHBOR);
    }

    /// Until when to wait, if the kernel has yet to answer for some, or if only neighbours have.
    pub(super) const fn until(&self, is_unanswered: bool) -> Instant {
        if is_unanswered {
            self.answers
        } else {
            self.neighbors
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn many_backends_are_waited_for_longer_and_silent_ones_are_not() {
        let begin = Instant::now();
        let mut patience = Patience::new(10_000, begin);
        assert_eq!(patience.until(true), begin + ms(2_500));
        assert_eq!(patience.until(false), begin + ms(500));
        patience.heard(begin + ms(300));
        assert_eq!(patience.until(true), begin + ms(2_500));
        assert_eq!(patience.until(false), begin + ms(800));
        patience.heard(begin + ms(2_400));
        assert_eq!(patience.until(false), begin + ms(2_500));
    }

    #[test]
    fn there_is_an_end_however_many_there_are() {
        let begin = Instant::now();
        let patience = Patience::new(usize::MAX, begin);
        assert_eq!(patience.until(true), begin + ms(5_500));
    }

    #[test]
    fn one_backend_is_waited_for_as_long_as_its_neighbour_may_take() {
        let begin = Instant::now();
        let mut patience = Patience::new(1, begin);
        patience.heard(begin + ms(1));
        assert!(patience.until(false) - begin < ms(502));
        assert!(patience.until(true) - begin < ms(502));
    }
}
