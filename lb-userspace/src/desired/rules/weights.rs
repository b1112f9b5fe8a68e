//! What must hold of weights that follow how backends do.

use super::Breach;
use crate::model::{DynamicWeights, Probe};

/// Every rule that `weights` break, with the name of the field.
#[must_use]
pub fn weights_breaches(weights: &DynamicWeights) -> Vec<(&'static str, Breach)> {
    let mut found = Vec::new();
    if !weights.response_time && weights.agent_port.is_none() {
        found.push(("response_time", Breach::WeightsFollowNothing));
    }
    if weights.agent_port == Some(0) {
        found.push(("agent_port", Breach::AgentPort));
    }
    let (shortest, longest) = DynamicWeights::INTERVAL;
    if !(shortest..=longest).contains(&weights.interval) {
        found.push(("interval", Breach::WeightInterval(weights.interval)));
    }
    if !(1..=100).contains(&weights.step) {
        found.push(("step", Breach::WeightStep(weights.step)));
    }
    if !(100..=DynamicWeights::HIGHEST).contains(&weights.ceiling) {
        found.push(("ceiling", Breach::WeightCeiling(weights.ceiling)));
    }
    if weights.dead_band > 50 {
        found.push(("dead_band", Breach::DeadBand(weights.dead_band)));
    }
    found
}

/// Who follows response times needs a probe that takes some.
#[must_use]
pub fn untimed_breach(weights: Option<&DynamicWeights>, probe: Option<&Probe>) -> Option<Breach> {
    let is_untimed = weights.is_some_and(|it| it.response_time) && probe.is_none();
    is_untimed.then_some(Breach::UntimedWeights)
}
