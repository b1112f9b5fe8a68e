//! What must hold of thresholds.

use super::{Breach, MAX_BACKENDS};
use crate::model::Thresholds;

/// Every rule that `thresholds` break, with the name of the field.
#[must_use]
pub fn threshold_breaches(thresholds: Thresholds) -> Vec<(&'static str, Breach)> {
    let Thresholds {
        min_healthy,
        panic_threshold,
    } = thresholds;
    let mut found = Vec::new();
    if min_healthy as usize > MAX_BACKENDS {
        found.push(("min_healthy", Breach::MinHealthy(min_healthy)));
    }
    if panic_threshold > 100 {
        found.push(("panic_threshold", Breach::PanicThreshold(panic_threshold)));
    }
    found
}
