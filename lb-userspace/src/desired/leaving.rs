//! Backends that a whole new configuration leaves out: they drain, as one does that is removed by itself.

use std::time::SystemTime;

use super::Desired;
use crate::model::{AdminState, Backend, Service, ServiceName, Tracking};

impl Desired {
    /// This, and with it those backends of `before` that it leaves out of their services: they drain and are removed
    /// when `until` says, at once if it names no time.
    ///
    /// No more than `room` backends are wanted together; who leaves stands in nobody's way. Where flows are not remembered
    /// a drain keeps none, and a service that is gone has no VIP to be reached by: then nobody stays.
    #[must_use]
    pub fn after(
        self,
        before: &Self,
        until: impl Fn(&Service) -> Option<SystemTime>,
        room: usize,
    ) -> Self {
        let leaving = self.leaving(before, until);
        let configured: usize = self.services.values().map(|it| it.backends.len()).sum();
        let leaving = leaving.get(..room.saturating_sub(configured).min(leaving.len()));
        let leaving = leaving.unwrap_or_default();
        let mut together = self.clone();
        together.extend(leaving);
        if leaving.is_empty() || together.check().is_empty() {
            return together;
        }
        // Some do not go together with what is new.
        let mut after = self;
        for one in leaving {
            let mut with = after.clone();
            with.extend(std::slice::from_ref(one));
            if with.check().is_empty() {
                after = with;
            }
        }
        after
    }

    fn leaving(
        &self,
        before: &Self,
        until: impl Fn(&Service) -> Option<SystemTime>,
    ) -> Vec<(ServiceName, Backend)> {
        let stay = self.services.values().filter_map(|service| {
            let was = before.services.get(&service.name)?;
            let until = until(service).filter(|_| service.moves.tracking != Tracking::Off)?;
            Some((service, was, until))
        });
        let leaving = stay.flat_map(|(service, was, until)| {
            let backends = was.backends.values();
            let left_out = backends.filter(|backend| {
                backend.state != AdminState::Down
                    && !service.backends.contains_key(&backend.address)
            });
            left_out.map(move |backend| {
                let backend = Backend {
                    state: AdminState::Drain,
                    remove_at: backend.remove_at.or(Some(until)),
                    ..backend.clone()
                };
                (service.name.clone(), backend)
            })
        });
        leaving.collect()
    }

    fn extend(&mut self, leaving: &[(ServiceName, Backend)]) {
        for (name, backend) in leaving {
            if let Some(service) = self.services.get_mut(name) {
                service.backends.insert(backend.address, backend.clone());
            }
        }
    }
}
