//! Lookup tables: classic weighted Maglev (Maglev, NSDI '16, section 3.4).
//!
//! Every member has a permutation of the slots that derives from its name alone, and members take turns
//! to claim the next free slot of theirs, as often as their weights say. So the table is a pure function
//! of the set of members: all balancers of a fleet build the same one, and when a member leaves, nearly
//! all slots of the others stay.
//!
//! | file | what it owns |
//! |---|---|
//! | `permutation` | a name's hashes, and the order in which it asks for slots |
//! | `turns` | who claims next: weights |
//! | `populate` | the table |

mod permutation;
mod populate;
mod turns;

pub use permutation::stable_hash;
pub use populate::{Member, populate};

#[cfg(test)]
mod tests;
