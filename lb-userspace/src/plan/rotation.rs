//! The table that is walked slot by slot: whose turn it is, by weight, and as evenly spaced as weights allow.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

/// A member that waits for its next turn, due when `(2 * taken + 1) / (2 * weight)` of a cycle has passed.
#[derive(PartialEq, Eq)]
struct Waiting {
    weight: u32,
    taken: u32,
    /// Index of the member.
    member: u32,
}

impl Ord for Waiting {
    /// By when it is due, without a division; of those that are due together the one with less weight first, which
    /// has fewer turns to be put between.
    fn cmp(&self, other: &Self) -> Ordering {
        let due = |one: &Self, by: &Self| (2 * u64::from(one.taken) + 1) * u64::from(by.weight);
        due(self, other)
            .cmp(&due(other, self))
            .then(self.weight.cmp(&other.weight))
            .then(self.member.cmp(&other.member))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The members, by index, as they have their turns in at most `slots` of them: whole cycles, in each of which everybody
/// has as many turns as its weight without the factor that all weights share, so that shares are exact and the last turn
/// is followed by the first as if there were no end. Where not even one cycle fits, `slots` turns of it. Empty if nobody
/// has weight.
pub(super) fn rotation(weights: &[u32], slots: u32) -> Vec<u32> {
    let factor = weights.iter().copied().fold(0, greatest_common_divisor);
    if factor == 0 {
        return Vec::new();
    }
    let cycle: u64 = weights
        .iter()
        .map(|weight| u64::from(weight / factor))
        .sum();
    let rest = u64::from(slots).checked_rem(cycle).unwrap_or_default();
    let turns = match u64::from(slots) - rest {
        0 => slots,
        whole => u32::try_from(whole).unwrap_or(slots),
    };
    let members = (0..).zip(weights).filter(|(_, weight)| **weight > 0);
    let mut waiting: BinaryHeap<Reverse<Waiting>> = members
        .map(|(member, weight)| {
            Reverse(Waiting {
                weight: weight / factor,
                taken: 0,
                member,
            })
        })
        .collect();
    let mut order = Vec::with_capacity(turns as usize);
    while let Some(Reverse(next)) = waiting.pop().filter(|_| order.len() < turns as usize) {
        order.push(next.member);
        waiting.push(Reverse(Waiting {
            taken: next.taken + 1,
            ..next
        }));
    }
    order
}

const fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    let (mut a, mut b) = (a, b);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn turns_are_spread_between_each_other() {
        assert_eq!(rotation(&[1, 1, 1], 7), [0, 1, 2, 0, 1, 2]);
        assert_eq!(rotation(&[3, 1, 1], 5), [0, 1, 2, 0, 0]);
        assert_eq!(rotation(&[20, 0, 10], 3), [0, 2, 0]);
        assert_eq!(rotation(&[4, 4], 1), [0], "not even one cycle fits");
        assert!(rotation(&[0, 0], 7).is_empty());
        assert!(rotation(&[], 7).is_empty());
    }

    proptest! {
        #[test]
        fn whole_cycles_give_everybody_exactly_its_weight(
            weights in prop::collection::vec(0..=40_u32, 1..12), slots in 1..3_000_u32,
        ) {
            let order = rotation(&weights, slots);
            let total: u32 = weights.iter().sum();
            prop_assert!(order.len() <= slots as usize);
            if total == 0 {
                prop_assert!(order.is_empty());
                return Ok(());
            }
            for (member, weight) in (0..).zip(&weights) {
                let share = f64::from(*weight) / f64::from(total);
                let mut had = 0.0;
                let number = |count: usize| f64::from(u32::try_from(count).unwrap());
                // Each of the others may be half a turn early.
                let most = 1.0 + number(weights.len()) / 2.0;
                for (turns, next) in (1..).zip(&order) {
                    had += f64::from(u8::from(*next == member));
                    let due = f64::from(turns) * share;
                    prop_assert!((had - due).abs() <= most, "{member}: {had} of {due}");
                }
                if slots >= total {
                    prop_assert!((had - number(order.len()) * share).abs() < 1e-6);
                }
            }
        }
    }
}
