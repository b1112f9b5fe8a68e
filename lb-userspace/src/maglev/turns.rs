//! Who claims a slot next: each round, a member takes its weight's part of a turn.

use super::{Member, permutation::greatest_common_divisor};
use crate::model::Weight;

/// A member that waits for its next turn.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Index of the member.
    member: u32,
    /// Its weight, without the factor that all weights share.
    weight: u32,
    /// What is left of the last turn, below `weight`.
    credit: u32,
}

/// The endless order of turns. In each round a member's credit grows by its weight; when it reaches the
/// largest weight of all, the member has a turn and pays with as much. So after any number of rounds
/// each has had its exact share of turns, rounded down. Within a round turns go by index.
///
/// A wheel with one bucket a round: members sleep until the round of their next turn, so the cost is the
/// number of turns, however unequal the weights.
#[derive(Debug)]
pub(super) struct Turns {
    wheel: Vec<Vec<Waiting>>,
    /// The largest weight: the price of a turn, and the longest sleep in rounds.
    price: u32,
    round: usize,
    /// Turns of this round already taken.
    taken: usize,
}

impl Turns {
    /// Turns for `members`; `None` if nobody has weight. Weights above
    /// [`Weight::MAX`] count as that.
    pub(super) fn of<'a>(members: impl Iterator<Item = &'a Member> + Clone) -> Option<Self> {
        let weights = members.map(|member| member.weight.min(Weight::MAX));
        let factor = weights.clone().fold(0, greatest_common_divisor);
        let price = weights.clone().max().unwrap_or(0).checked_div(factor)?;
        let mut turns = Self {
            wheel: vec![Vec::new(); price as usize + 1],
            price,
            round: 0,
            taken: 0,
        };
        for (member, weight) in (0..).zip(weights) {
            if weight > 0 {
                turns.wait(Waiting {
                    member,
                    weight: weight / factor,
                    credit: 0,
                });
            }
        }
        Some(turns)
    }

    /// The index of the member whose turn it is.
    pub(super) fn take(&mut self) -> u32 {
        loop {
            if let Some(&waiting) = self
                .wheel
                .get(self.round)
                .and_then(|bucket| bucket.get(self.taken))
            {
                self.taken += 1;
                self.wait(waiting);
                return waiting.member;
            }
            if let Some(bucket) = self.wheel.get_mut(self.round) {
                bucket.clear();
            }
            self.round = (self.round + 1) % self.wheel.len();
            self.taken = 0;
            if let Some(bucket) = self.wheel.get_mut(self.round) {
                bucket.sort_unstable_by_key(|waiting| waiting.member);
            }
        }
    }

    /// Puts a member into the round of its next turn: never this one, because it sleeps 1 to `price`
    /// rounds and there is one bucket more.
    fn wait(&mut self, waiting: Waiting) {
        let Waiting {
            member,
            weight,
            credit,
        } = waiting;
        let rounds = (self.price - credit).div_ceil(weight);
        let round = (self.round + rounds as usize) % self.wheel.len();
        if let Some(bucket) = self.wheel.get_mut(round) {
            bucket.push(Waiting {
                member,
                weight,
                credit: credit + rounds * weight - self.price,
            });
        }
    }
}
