//! What must hold of how slots move.

use super::Breach;
use crate::model::{Algorithm, Moves, Tracking};

/// Where slots are drawn, all flows must be remembered.
#[must_use]
pub fn drawing_breach(algorithm: Algorithm, moves: Moves) -> Option<Breach> {
    let forgets = algorithm.draws_slots() && moves.tracking != Tracking::Always;
    forgets.then_some(Breach::DrawnUntracked {
        algorithm,
        tracking: moves.tracking,
    })
}

/// Every rule that `moves` break, with the name of the field.
#[must_use]
pub fn moves_breaches(moves: Moves) -> Vec<(&'static str, Breach)> {
    let mut found = Vec::new();
    for (field, time) in [
        ("learn_for", moves.learn_for),
        ("slow_start", moves.slow_start),
    ] {
        if time > Moves::LONGEST {
            found.push((field, Breach::LongMove(time)));
        }
    }
    if !(1..=100).contains(&moves.max_step) {
        found.push(("max_step", Breach::MaxStep(moves.max_step)));
    }
    found
}
