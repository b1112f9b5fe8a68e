//! Backends that a whole new configuration leaves out: they drain, as one does that is removed by itself.

use std::{sync::Arc, time::SystemTime};

use super::{Desired, rules::breaches};
use crate::model::{AdminState, Backend, Service, Tracking};

impl Desired {
    /// This, and with it those backends of `before` that it leaves out of their services: they drain and are removed
    /// when `until` says, at once if it names no time.
    ///
    /// No more than `room` backends are wanted together; who leaves stands in nobody's way. Where flows are not
    /// remembered a drain keeps none, and a service that is gone has no VIP to be reached by: then nobody stays.
    #[must_use]
    pub fn after(
        mut self,
        before: &Self,
        until: impl Fn(&Service) -> Option<SystemTime>,
        room: usize,
    ) -> Self {
        let configured: usize = self.services.values().map(|it| it.backends.len()).sum();
        let mut room = room.saturating_sub(configured);
        for shared in self.services.values_mut() {
            let before = before.services.get(&shared.name);
            let until = until(shared).filter(|_| shared.moves.tracking != Tracking::Off);
            let (Some(before), Some(until)) = (before, until) else {
                continue;
            };
            let mut leaving = left_out(before, shared, until);
            leaving.truncate(room);
            if leaving.is_empty() {
                continue;
            }
            let service = Arc::make_mut(shared);
            let lasting = service.backends.len();
            admit(service, &leaving);
            room -= service.backends.len() - lasting;
        }
        self
    }
}

/// The backends of `before` that `after` leaves out and that have flows to keep, as they drain.
fn left_out(before: &Service, after: &Service, until: SystemTime) -> Vec<Backend> {
    let backends = before.backends.values();
    let left_out = backends.filter(|backend| {
        backend.state != AdminState::Down && !after.backends.contains_key(&backend.address)
    });
    left_out
        .map(|backend| Backend {
            state: AdminState::Drain,
            remove_at: backend.remove_at.or(Some(until)),
            ..backend.clone()
        })
        .collect()
}

/// Adds all of `leaving` to the service or, if they do not go together with what is there, each half for itself.
fn admit(service: &mut Service, leaving: &[Backend]) {
    if leaving.is_empty() {
        return;
    }
    let mut with = service.clone();
    let leavers = leaving.iter().map(|it| (it.address, it.clone()));
    with.backends.extend(leavers);
    if breaches(&with).is_empty() {
        *service = with;
    } else if leaving.len() > 1 {
        let (one, other) = leaving.split_at(leaving.len() / 2);
        admit(service, one);
        admit(service, other);
    }
}
