//! The table that is published: the base, as far as its owners live.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{base::Base, quota::quotas};

/// Nobody owns it yet.
const FREE: u32 = u32::MAX;
/// How many members a free slot asks before it goes to whoever needs it most.
const ASKED: u64 = 64;
/// A member takes free slots until it has its exact share and one in so many more. The more room, the fewer slots find
/// their first choices full, and the less moves when one more member fails; with 24 whoever has as many slots stays
/// within 4.2 % of its share.
const SURPLUS: u64 = 24;

impl Base {
    /// The table for the present weights: for each slot the place, among the members as they were given, of the one
    /// that owns it. `weights` are by the same places; 0 for who takes no part. Empty if nobody has weight.
    ///
    /// At the configured weights it is the base. A member that has its full weight keeps every slot that it has in the
    /// base; of one that has less the slots that it claimed last go first. A free slot asks members in an order of its
    /// own, in which each stands as often as it has slots in the base, and the first one with room takes it.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        reason = "a hot loop; owners are members, and there is a weight, a load and a limit for each"
    )]
    pub fn pinned(&self, weights: &[u32]) -> Vec<u32> {
        let weight = |place: &u32| weights.get(*place as usize).copied().unwrap_or(0);
        let weights: Vec<u32> = self.places.iter().map(weight).collect();
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        if total == 0 || self.owners.is_empty() {
            return Vec::new();
        }
        let slots = u32::try_from(self.owners.len()).unwrap_or(u32::MAX);
        let quotas = quotas(&weights, &self.phases, slots);
        let limits: Vec<u32> = weights
            .iter()
            .map(|weight| limit((*weight).into(), total, slots.into()))
            .collect();

        let mut loads = vec![0_u32; weights.len()];
        let mut owners = vec![FREE; self.owners.len()];
        let mut free = Vec::new();
        for (slot, (owner, rank)) in (0..).zip(self.owners.iter().zip(&self.ranks)) {
            let member = *owner as usize;
            if *rank < quotas[member] {
                owners[slot as usize] = *owner;
                loads[member] += 1;
            } else {
                free.push(slot);
            }
        }
        let asks = |slot: u32| {
            let at = move |ask| self.owners[asked(slot, ask, slots) as usize];
            (0..ASKED).map(at)
        };
        free.retain(|slot| {
            let taker = asks(*slot).find(|it| loads[*it as usize] < limits[*it as usize]);
            if let Some(taker) = taker {
                owners[*slot as usize] = taker;
                loads[taker as usize] += 1;
            }
            taker.is_none()
        });

        let need =
            |member: u32| i64::from(quotas[member as usize]) - i64::from(loads[member as usize]);
        let mut needy: BinaryHeap<(i64, Reverse<u32>)> = (0..)
            .zip(&weights)
            .filter(|(_, weight)| **weight > 0)
            .map(|(member, _)| (need(member), Reverse(member)))
            .collect();
        for slot in free {
            if let Some((need, Reverse(member))) = needy.pop() {
                owners[slot as usize] = member;
                needy.push((need - 1, Reverse(member)));
            }
        }
        self.placed(&owners).collect()
    }
}

/// The most slots that a member takes: its exact share and a surplus, but one more than that share rounded down at
/// least, if it has weight.
fn limit(weight: u64, total: u64, slots: u64) -> u32 {
    if weight == 0 {
        return 0;
    }
    let generous = slots * weight * (SURPLUS + 1) / (total * SURPLUS);
    let least = slots * weight / total + 1;
    u32::try_from(generous.max(least)).unwrap_or(u32::MAX)
}

/// The slot of the base whose owner free slot `slot` asks in its `ask`th try: uniform, by `SplitMix64` (Steele, Lea and
/// Flood, OOPSLA '14, figure 14).
const fn asked(slot: u32, ask: u64, slots: u32) -> u32 {
    let seed = (slot as u64) << 32 | ask;
    let mut hash = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    (((hash >> 32) * slots as u64) >> 32) as u32
}
