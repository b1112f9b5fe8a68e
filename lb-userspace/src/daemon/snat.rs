//! Full NAT where changes come one by one: what contradicts the settings that hold since the start, or this host.

use super::{core::Core, host::host};
use crate::{
    config::Faults,
    desired::{Change, Desired},
};

impl Core {
    /// Whether `desired` can be served with the settings of full NAT that hold since the start. What was so before is
    /// not held against it: else nothing could be changed any more.
    pub(super) fn fit_snat(&self, desired: &Desired) -> Result<(), Faults> {
        let host = host();
        let settings = &self.settings.snat;
        match settings.fit(&self.desired, &host) {
            Ok(()) => settings.fit(desired, &host),
            Err(_) => Ok(()),
        }
    }

    /// The same of what `change` would make of what is wanted, if it may be made at all.
    pub(super) fn fit_snat_after(&self, change: &Change) -> Result<(), Faults> {
        let mut desired = self.desired.clone();
        match desired.apply(change.clone()) {
            Ok(()) => self.fit_snat(&desired),
            Err(_) => Ok(()),
        }
    }
}
