//! The base: the table of the day on which everybody is well.

use super::{
    permutation::{Permutation, stable_hash},
    quota::quotas,
    turns::Turns,
};

/// One who takes part in a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The stable identity, for example `10.0.0.11:80`: the permutation derives from it alone.
    pub name: String,
    /// The share, relative to the other members': 1 to 1,000. With 0 it gets no slot.
    pub weight: u32,
}

/// The table over all members at their configured weights.
///
/// Every slot is owned if anybody has weight, and shares follow the weights as nearly as whole slots allow: a member may
/// be off by one, and by one more for each time that its weight holds the average. Who owns a slot depends on the set
/// of members, not on their order. The number of slots should be a prime (a size of
/// [`TableSlots`](crate::model::TableSlots)): then permutations are independent of each other.
#[derive(Clone, Debug)]
pub struct Base {
    /// The owner of each slot. Members are numbered in the order of their names here; empty if nobody has weight.
    pub(super) owners: Vec<u32>,
    /// For each slot, how many its owner had claimed before.
    pub(super) ranks: Vec<u32>,
    /// By member: what decides who is due the odd slot, as a fraction of 2^32.
    pub(super) phases: Vec<u32>,
    /// By member: its place among the members as they were given.
    pub(super) places: Vec<u32>,
}

/// Seed of the hash that is a member's phase.
const PHASE_SEED: u64 = 0x5851_f42d_4c95_7f2d;

impl Base {
    /// Builds the base of `slots` slots, at most 2^20.
    #[must_use]
    pub fn of(members: &[Member], slots: u32) -> Self {
        let mut sorted: Vec<(u32, &Member)> = (0..).zip(members).collect();
        sorted.sort_unstable_by_key(|&(place, member)| (member, place));
        let hash = |member: &Member| stable_hash(member.name.as_bytes(), PHASE_SEED);
        let mut base = Self {
            owners: Vec::new(),
            ranks: Vec::new(),
            phases: sorted
                .iter()
                .map(|(_, it)| (hash(it) >> 32) as u32)
                .collect(),
            places: sorted.iter().map(|(place, _)| *place).collect(),
        };
        let turns = Turns::of(sorted.iter().map(|&(_, member)| member));
        if let Some(turns) = turns.filter(|_| slots > 0) {
            base.owners = vec![0; slots as usize];
            base.ranks = vec![0; slots as usize];
            base.claim(&sorted, turns, slots);
        }
        base
    }

    /// For each slot the place, among the members as they were given, of the one that owns it.
    #[must_use]
    pub fn table(&self) -> Vec<u32> {
        self.owners().collect()
    }

    /// As [`table`](Self::table), slot by slot.
    pub fn owners(&self) -> impl Iterator<Item = u32> {
        self.placed(&self.owners)
    }

    /// Owners as places among the members as they were given.
    #[expect(clippy::indexing_slicing, reason = "owners are members")]
    pub(super) fn placed<'a>(&'a self, owners: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
        owners.iter().map(|owner| self.places[*owner as usize])
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the inner loop of the daemon's costliest function; turns name members by their index, and permutations stay below `slots`"
    )]
    fn claim(&mut self, members: &[(u32, &Member)], mut turns: Turns, slots: u32) {
        let weights: Vec<u32> = members.iter().map(|(_, it)| it.weight).collect();
        let quotas = quotas(&weights, &self.phases, slots);
        let mut claimed = vec![0; members.len()];
        let mut permutations: Vec<Permutation> = members
            .iter()
            .map(|(_, member)| Permutation::of(&member.name, slots))
            .collect();
        // One bit a slot stays in the first-level cache where the table itself does not.
        let mut owned = vec![0_u64; slots.div_ceil(u64::BITS) as usize];
        let mut left = slots;
        while left > 0 {
            let number = turns.take();
            let turn = number as usize;
            // Turns round down, quotas do not: some are served before the others.
            if claimed[turn] == quotas[turn] {
                continue;
            }
            let permutation = &mut permutations[turn];
            let slot = loop {
                let slot = permutation.ask();
                let (word, bit) = ((slot / u64::BITS) as usize, 1 << (slot % u64::BITS));
                if owned[word] & bit == 0 {
                    owned[word] |= bit;
                    break slot;
                }
            };
            self.owners[slot as usize] = number;
            self.ranks[slot as usize] = claimed[turn];
            claimed[turn] += 1;
            left -= 1;
        }
    }
}
