//! What must hold of how slots move.

use super::Breach;
use crate::model::Moves;

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
