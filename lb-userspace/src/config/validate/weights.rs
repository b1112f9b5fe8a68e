//! Weights that follow how backends do, from what was typed.

use super::read_duration;
use crate::{
    config::{
        fault::{Found, part},
        spec::DynamicWeightsSpec,
    },
    desired::rules::weights_breaches,
    model::DynamicWeights,
};

/// What `spec` asks for; its fields stand at `place`.
pub(super) fn read(spec: &DynamicWeightsSpec, place: &str, found: &mut Found) -> DynamicWeights {
    let usual = DynamicWeights::default();
    let interval = spec.interval.as_deref();
    let interval =
        interval.and_then(|text| found.keep(part(place, "interval"), read_duration(text)));
    let weights = DynamicWeights {
        response_time: spec.response_time,
        agent_port: spec.agent_port,
        interval: interval.unwrap_or(usual.interval),
        step: spec.step.unwrap_or(usual.step),
        ceiling: spec.ceiling.unwrap_or(usual.ceiling),
        dead_band: spec.dead_band.unwrap_or(usual.dead_band),
    };
    for (field, breach) in weights_breaches(&weights) {
        found.add(part(place, field), breach.to_string());
    }
    weights
}
