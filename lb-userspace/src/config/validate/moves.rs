//! How flows get their slots and how slots move, from what was typed.

use super::{read_duration, word};
use crate::{
    config::{
        fault::{Found, part},
        spec::{MovesSpec, ServiceSpec},
    },
    desired::rules::{drawing_breach, moves_breaches},
    model::{Algorithm, Moves, MovesUpdate, Tracking},
};

/// The algorithm that `text` at `place` names.
pub(super) fn algorithm(text: Option<&str>, place: &str, found: &mut Found) -> Option<Algorithm> {
    let words = Algorithm::ALL.map(|algorithm| (algorithm.to_string(), algorithm));
    word(found, place, text, &words)
}

/// How flows get their slots, and how slots move: what is remembered depends on the algorithm if nothing was typed.
pub(super) fn of_service(spec: &ServiceSpec, place: &str, found: &mut Found) -> (Algorithm, Moves) {
    let algorithm = algorithm(spec.algorithm.as_deref(), &part(place, "algorithm"), found);
    let algorithm = algorithm.unwrap_or_default();
    let moves = read(&spec.moves(), place, found).applied_to(Moves {
        tracking: algorithm.tracking(),
        ..Moves::default()
    });
    if let Some(breach) = drawing_breach(algorithm, moves) {
        found.add(part(place, "tracking"), breach.to_string());
    }
    (algorithm, moves)
}

/// What `spec` asks for; its fields stand at `place`.
pub(super) fn read(spec: &MovesSpec<'_>, place: &str, found: &mut Found) -> MovesUpdate {
    let words = Tracking::ALL.map(|tracking| (tracking.to_string(), tracking));
    let tracking_place = part(place, "tracking");
    let tracking = spec
        .tracking
        .map(|text| word(found, &tracking_place, Some(text), &words));
    let mut time = |field: &'static str, text: Option<&str>| {
        let place = part(place, field);
        text.and_then(|text| found.keep(place, read_duration(text)))
    };
    let update = MovesUpdate {
        tracking: tracking.flatten(),
        learn_for: time("learn_for", spec.learn_for),
        slow_start: time("slow_start", spec.slow_start),
        max_step: spec.max_step,
    };
    for (field, breach) in moves_breaches(update.applied_to(Moves::default())) {
        found.add(part(place, field), breach.to_string());
    }
    update
}
