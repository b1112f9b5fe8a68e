//! How slots move, from what was typed.

use super::{read_duration, word};
use crate::{
    config::{
        fault::{Found, part},
        spec::MovesSpec,
    },
    desired::rules::moves_breaches,
    model::{Moves, MovesUpdate, Tracking},
};

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
