//! Lookup tables: pinned Maglev.
//!
//! The **base** is the Maglev table (Maglev, NSDI '16, section 3.4) over all configured members. Each has a
//! permutation of the slots that derives from its name alone, and members take turns to claim the next free slot of
//! theirs, until each has its quota. The table that is published is **pinned** to it: whoever is live keeps what it
//! has in the base as far as its present quota goes, and only the slots of the others are given away.
//!
//! So a table is a pure function of the configured members and of their present weights, whatever went before: all
//! balancers of a fleet that see the same have the same one; a slot whose owner in the base lives at full weight never
//! moves; and when all are back, the table is the base again.
//!
//! | file | what it owns |
//! |---|---|
//! | `permutation` | a name's hashes, and the order in which it asks for slots |
//! | `turns` | who claims next: weights |
//! | `quota` | how many slots each is due |
//! | `base` | the base |
//! | `pinned` | the table that is published |

mod base;
mod permutation;
mod pinned;
mod quota;
mod turns;

pub use base::{Base, Member};
pub use permutation::stable_hash;

#[cfg(test)]
mod tests;
