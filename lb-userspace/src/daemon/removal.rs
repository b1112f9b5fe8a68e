//! Backends that are being removed: when it is time, and their slots have moved.

use std::time::SystemTime;

use tracing::warn;

use super::core::Core;
use crate::{
    desired::{Change, Desired},
    health::Target,
};

impl Core {
    /// When next a backend is to be removed. For one that is late because its slots have not moved yet, whatever moves
    /// them comes first, and others are removed in their time.
    pub(super) fn next_removal(&self) -> Option<SystemTime> {
        let (next, now) = (self.desired.next_due()?, SystemTime::now());
        if next <= now && self.due_removals().is_empty() {
            return next_after(&self.desired, now);
        }
        Some(next)
    }

    /// Removals whose time has come, of backends whose slots have moved.
    fn due_removals(&self) -> Vec<Change> {
        let mut due = self.desired.due(SystemTime::now());
        let is_early = |change: &Change| {
            let Change::RemoveBackend {
                service, address, ..
            } = change
            else {
                return false;
            };
            self.is_leaving(&Target {
                service: service.clone(),
                address: *address,
            })
        };
        due.retain(|change| !is_early(change));
        due
    }

    /// Removes backends whose time to drain has passed.
    pub(super) async fn remove_due(&mut self) {
        let due = self.due_removals();
        if due.is_empty() {
            return;
        }
        let mut desired = self.desired.clone();
        let mut removed = Vec::new();
        for change in due {
            if let Change::RemoveBackend {
                service, address, ..
            } = &change
            {
                removed.push(Target {
                    service: service.clone(),
                    address: *address,
                });
            }
            if let Err(refusal) = desired.apply(change) {
                warn!(%refusal, "a removal that was due is no longer possible");
            }
        }
        match self.commit(desired, self.digest.clone()).await {
            Ok(()) => {
                for target in removed {
                    self.edges.announcer.drained(&target, self.generation());
                }
            }
            Err(error) => self.fail(format!("remove backends that have drained: {error}")),
        }
    }
}

/// The first removal that is due later than `now`.
fn next_after(desired: &Desired, now: SystemTime) -> Option<SystemTime> {
    let services = desired.services.values();
    let backends = services.flat_map(|service| service.backends.values());
    let removals = backends.filter_map(|backend| backend.remove_at);
    removals.filter(|at| *at > now).min()
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::config::{Host, text};

    #[test]
    fn removals_that_are_late_put_off_no_others() {
        let text = r#"
            [[service]]
            name = "web"
            vips = ["192.0.2.1:80/tcp"]
            mode = "l2"
            backend = [{ address = "10.0.0.1:80" }, { address = "10.0.0.2:80" }, { address = "10.0.0.3:80" }]
        "#;
        let mut desired = text::load(text, &Host::default()).unwrap().desired;
        let noon = SystemTime::UNIX_EPOCH + Duration::from_hours(12);
        let later = noon + Duration::from_secs(1);
        let service = Arc::make_mut(desired.services.values_mut().next().unwrap());
        for (backend, at) in service.backends.values_mut().zip([noon, later]) {
            backend.remove_at = Some(at);
        }
        assert_eq!(next_after(&desired, noon), Some(later));
        assert_eq!(next_after(&desired, later), None);
    }
}
