//! How many packets may still go where only so many may: one token bucket for all limits of a rate.
//!
//! Written and read by the program. Of ICMP errors that it sends (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4
//! (f)) each CPU has a budget; of packets that come in, each [client](crate::source::SourceKey) of a service that
//! limits them.

/// A token bucket, told by one time: that from which on tokens have been gathered.
///
/// Before the machine has been up for as long as a whole burst takes to gather, a full bucket has as much as was
/// gathered since then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Budget {
    /// In nanoseconds of the monotonic clock; 0: the bucket is full.
    pub spent_until: u64,
}

/// How fast a bucket fills, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that are gathered in a second; 0: none ever. Above 1,000,000,000 there is no limit.
    pub per_second: u32,
    /// Tokens in a full bucket, at least 1.
    pub burst: u32,
}

impl Rate {
    /// Nanoseconds until the next token; `None` if none comes.
    #[inline]
    const fn token(self) -> Option<u64> {
        1_000_000_000_u64.checked_div(self.per_second as u64)
    }
}

impl Budget {
    /// The budget after something was sent at `now`, in nanoseconds, if it allows for that.
    #[inline]
    #[must_use]
    pub const fn spend(self, now: u64, rate: Rate) -> Option<Self> {
        let Some(token) = rate.token() else {
            return None;
        };
        let full = token * rate.burst as u64;
        let passed = now.saturating_sub(self.spent_until);
        let gathered = if passed < full { passed } else { full };
        if gathered < token {
            return None;
        }
        Some(Self {
            spent_until: now - (gathered - token),
        })
    }

    /// What was spent between `self` and `after`, one [`spend`](Self::spend) later, in nanoseconds, if it may be added
    /// to a bucket that others spend from at the same time; `None` if the bucket was full, and `after` replaces it.
    #[inline]
    #[must_use]
    pub const fn added(self, after: Self, rate: Rate) -> Option<u64> {
        let added = after.spent_until - self.spent_until;
        match rate.token() {
            Some(token) if added == token => Some(added),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_second: 1_000,
        burst: 100,
    };
    const START: u64 = 5_000_000_000;

    fn sent_at(rate: Rate, budget: &mut Budget, now: u64) -> u32 {
        let mut count = 0;
        while let Some(rest) = budget.spend(now, rate) {
            *budget = rest;
            count += 1;
        }
        count
    }

    fn sent(budget: &mut Budget, now: u64) -> u32 {
        sent_at(RATE, budget, now)
    }

    #[test]
    fn a_full_budget_is_a_burst_and_then_the_rate() {
        let mut budget = Budget::default();
        assert_eq!(sent(&mut budget, START), RATE.burst);
        assert_eq!(sent(&mut budget, START + 999_999), 0);
        assert_eq!(sent(&mut budget, START + 1_000_000), 1);
        assert_eq!(sent(&mut budget, START + 11_000_000), 10);
    }

    #[test]
    fn an_idle_budget_fills_up_to_the_burst_and_no_further() {
        let mut budget = Budget::default();
        assert_eq!(sent(&mut budget, START), RATE.burst);
        assert_eq!(sent(&mut budget, START + 3_600_000_000_000), RATE.burst);
    }

    #[test]
    fn a_rate_of_zero_allows_for_none() {
        let none = Rate {
            per_second: 0,
            burst: 100,
        };
        assert_eq!(Budget::default().spend(START, none), None);
    }

    #[test]
    fn rates_and_bursts_hold_from_end_to_end_of_their_range() {
        for (per_second, burst) in [(1, 1), (1, 3), (3, 2), (10_000_000, 1), (1_000_000_000, 7)] {
            let rate = Rate { per_second, burst };
            let mut budget = Budget::default();
            assert_eq!(sent_at(rate, &mut budget, START), burst, "{rate:?}");
            let token = 1_000_000_000 / u64::from(per_second);
            assert_eq!(sent_at(rate, &mut budget, START + token - 1), 0, "{rate:?}");
            assert_eq!(sent_at(rate, &mut budget, START + token), 1, "{rate:?}");
        }
        let widest = Rate {
            per_second: 1,
            burst: u32::MAX,
        };
        let up = Budget::default().spend(START, widest);
        assert_eq!(up.map(|it| it.spent_until), Some(1_000_000_000));
    }

    #[test]
    fn those_who_spend_at_once_add_up_unless_the_bucket_was_full() {
        let full = Budget::default();
        let first = full.spend(START, RATE).unwrap();
        assert_eq!(full.added(first, RATE), None);
        let second = first.spend(START, RATE).unwrap();
        assert_eq!(first.added(second, RATE), Some(1_000_000));
        // Exactly full is as good as either.
        let brim = Budget {
            spent_until: START - 100_000_000,
        };
        let after = brim.spend(START, RATE).unwrap();
        assert_eq!(brim.added(after, RATE), Some(1_000_000));
    }
}
