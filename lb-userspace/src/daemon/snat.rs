//! Full NAT where changes come one by one: what contradicts the settings that hold since the start, or this host.

use super::{core::Core, host::host};
use crate::{config::Faults, desired::Desired};

impl Core {
    /// Whether `desired` can be served with the settings of full NAT that hold since the start. What was so before is
    /// not held against it: else nothing could be changed any more.
    pub(super) fn fit_snat(&self, desired: &Desired) -> Result<(), Faults> {
        let host = host();
        let settings = &self.settings.snat;
        // What has not changed has not become wrong.
        let changed = desired.changed_services(&self.desired);
        let changed = changed.filter_map(|(name, is)| Some((name.clone(), is?.clone())));
        let changed = Desired {
            services: changed.collect(),
            ..Desired::default()
        };
        match settings.fit(&changed, &host) {
            Err(_) if settings.fit(&self.desired, &host).is_ok() => settings.fit(desired, &host),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
