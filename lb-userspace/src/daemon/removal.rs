//! Backends that are being removed: when it is time, and their slots have moved.

use std::time::SystemTime;

use tracing::warn;

use super::core::Core;
use crate::{desired::Change, health::Target};

impl Core {
    /// When next a backend is to be removed. For one that is late because its slots have not moved yet, whatever moves
    /// them comes first, and others are removed in their time.
    pub(super) fn next_removal(&self) -> Option<SystemTime> {
        let (scope, now) = (self.restless.scope(), SystemTime::now());
        let next = self.desired.next_due(scope, None)?;
        if next <= now && self.due_removals().is_empty() {
            return self.desired.next_due(scope, Some(now));
        }
        Some(next)
    }

    /// Removals whose time has come, of backends whose slots have moved.
    fn due_removals(&self) -> Vec<Change> {
        let mut due = self.desired.due(self.restless.scope(), SystemTime::now());
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
        let pause = self.retry_pause();
        match self.commit(desired, self.digest.clone()).await {
            Ok(()) => {
                for target in removed {
                    self.edges.announcer.drained(&target, self.generation());
                }
            }
            // What was before has worked again, so that nothing else tells that this has not worked for a while.
            Err(error) => {
                self.fail_after(pause, format!("remove backends that have drained: {error}"));
            }
        }
    }
}
