//! The table: members claim slots by turns until every slot is owned.

use super::{permutation::Permutation, turns::Turns};

/// One who takes part in a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The stable identity, for example `10.0.0.11:80`: the permutation derives from it alone.
    pub name: String,
    /// The share, relative to the other members': 1 to 1,000. With 0 it gets no slot.
    pub weight: u32,
}

/// Builds a lookup table: for each slot, the index into `members` of the one that owns it.
///
/// Every slot is owned. The owner of a slot depends on the set of members, not on their order. Shares
/// follow the weights to within a slot or two: equal members differ by one at most. The result is empty
/// if nobody has weight. `slots` should be a prime (a size of
/// [`TableSlots`](crate::model::TableSlots)): then permutations are independent of each other.
#[must_use]
pub fn populate(members: &[Member], slots: u32) -> Vec<u32> {
    let mut sorted: Vec<(u32, &Member)> = (0..).zip(members).collect();
    sorted.sort_unstable_by_key(|&(index, member)| (member, index));
    let turns = Turns::of(sorted.iter().map(|&(_, member)| member));
    match turns {
        Some(turns) if slots > 0 => claim(&sorted, turns, slots),
        _ => Vec::new(),
    }
}

#[expect(
    clippy::indexing_slicing,
    reason = "the inner loop of the daemon's costliest function; turns name members by their index, and permutations stay below `slots`"
)]
fn claim(members: &[(u32, &Member)], mut turns: Turns, slots: u32) -> Vec<u32> {
    let mut permutations: Vec<Permutation> = members
        .iter()
        .map(|(_, member)| Permutation::of(&member.name, slots))
        .collect();
    let mut table = vec![0; slots as usize];
    // One bit a slot stays in the first-level cache where the table itself does not.
    let mut owned = vec![0_u64; slots.div_ceil(u64::BITS) as usize];
    for _ in 0..slots {
        let turn = turns.take() as usize;
        let permutation = &mut permutations[turn];
        let slot = loop {
            let slot = permutation.ask();
            let (word, bit) = ((slot / u64::BITS) as usize, 1 << (slot % u64::BITS));
            if owned[word] & bit == 0 {
                owned[word] |= bit;
                break slot;
            }
        };
        table[slot as usize] = members[turn].0;
    }
    table
}
