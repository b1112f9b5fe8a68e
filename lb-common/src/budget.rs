//! How many ICMP errors the program may still send (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 (f)).
//!
//! Written and read by the program; one element for each CPU.

/// A token bucket, told by one time: that from which on tokens have been gathered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Budget {
    /// In nanoseconds of the monotonic clock; 0: the bucket is full.
    pub spent_until: u64,
}

impl Budget {
    /// Tokens in a full bucket.
    pub const BURST: u64 = 100;

    /// The budget after an error sent at `now`, in nanoseconds, if it allows for one; `per_second` tokens
    /// are gathered in a second.
    #[inline]
    #[must_use]
    pub const fn spend(self, now: u64, per_second: u32) -> Option<Self> {
        const SECOND: u64 = 1_000_000_000;
        if per_second == 0 {
            return None;
        }
        let token = SECOND / per_second as u64;
        let full = now.saturating_sub(token * Self::BURST);
        let gathered_from = if self.spent_until > full {
            self.spent_until
        } else {
            full
        };
        let spent_until = gathered_from + token;
        if spent_until > now {
            return None;
        }
        Some(Self { spent_until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 1_000;
    const START: u64 = 5_000_000_000;

    fn sent(budget: &mut Budget, now: u64) -> u64 {
        let mut count = 0;
        while let Some(rest) = budget.spend(now, RATE) {
            *budget = rest;
            count += 1;
        }
        count
    }

    #[test]
    fn a_full_budget_is_a_burst_and_then_the_rate() {
        let mut budget = Budget::default();
        assert_eq!(sent(&mut budget, START), Budget::BURST);
        assert_eq!(sent(&mut budget, START + 999_999), 0);
        assert_eq!(sent(&mut budget, START + 1_000_000), 1);
        assert_eq!(sent(&mut budget, START + 11_000_000), 10);
    }

    #[test]
    fn an_idle_budget_fills_up_to_the_burst_and_no_further() {
        let mut budget = Budget::default();
        assert_eq!(sent(&mut budget, START), Budget::BURST);
        assert_eq!(sent(&mut budget, START + 3_600_000_000_000), Budget::BURST);
    }

    #[test]
    fn a_rate_of_zero_allows_for_none() {
        assert_eq!(Budget::default().spend(START, 0), None);
    }
}
