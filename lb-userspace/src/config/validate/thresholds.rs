//! How few backends are too few, and who takes their place; from what was typed.

use crate::{
    config::{
        fault::{Found, part},
        spec::ServiceSpec,
    },
    desired::rules::threshold_breaches,
    model::{Role, Thresholds},
};

/// The thresholds that `spec` asks for.
pub(super) fn read(spec: &ServiceSpec, place: &str, found: &mut Found) -> Thresholds {
    let default = Thresholds::default();
    let thresholds = Thresholds {
        min_healthy: spec.min_healthy.unwrap_or(default.min_healthy),
        panic_threshold: spec.panic_threshold.unwrap_or(default.panic_threshold),
    };
    for (field, breach) in threshold_breaches(thresholds) {
        found.add(part(place, field), breach.to_string());
    }
    thresholds
}

/// The role that `text` names.
pub(super) fn role(text: Option<&str>, place: &str, found: &mut Found) -> Option<Role> {
    super::word(
        found,
        place,
        text,
        &Role::ALL.map(|role| (role.to_string(), role)),
    )
}
