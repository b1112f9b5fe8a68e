//! What two wants do not share: found by pointers, so that a change of one service costs no look at the backends of the
//! others.

use std::{cmp::Ordering, collections::BTreeSet, sync::Arc};

use super::Desired;
use crate::model::{Scope, Service, ServiceName};

impl Desired {
    /// The services that `before` has otherwise, not at all, or alone, in the order of their names: what each is now, or
    /// `None` if it is gone.
    ///
    /// Services that the two share are not looked at.
    pub fn changed_services<'a>(
        &'a self,
        before: &'a Self,
    ) -> impl Iterator<Item = (&'a ServiceName, Option<&'a Arc<Service>>)> {
        let mut before = before.services.iter().peekable();
        let mut after = self.services.iter().peekable();
        std::iter::from_fn(move || {
            loop {
                let order = match (before.peek(), after.peek()) {
                    (None, None) => return None,
                    (Some(_), None) => Ordering::Less,
                    (None, Some(_)) => Ordering::Greater,
                    (Some((was, _)), Some((is, _))) => was.cmp(is),
                };
                let was = before.next_if(|_| order.is_le());
                let is = after.next_if(|_| order.is_ge());
                match (was, is) {
                    (Some((_, was)), Some((_, is))) if is_same(was, is) => {}
                    (_, Some((name, is))) => return Some((name, Some(is))),
                    (Some((name, _)), None) => return Some((name, None)),
                    (None, None) => return None,
                }
            }
        })
    }

    /// Whom the change from `before` concerns: who has other VIPs, or is probed by them, concerns all.
    #[must_use]
    pub fn scope_since(&self, before: &Self) -> Scope {
        if self.blocklist != before.blocklist {
            return Scope::All;
        }
        let is_within = |was: &Service, is: &Service| {
            was.vips == is.vips && !was.is_probed_via_vip() && !is.is_probed_via_vip()
        };
        let concerned = self.changed_services(before).map(|(name, is)| {
            let was = before.services.get(name)?;
            is_within(was, is?).then(|| name.clone())
        });
        let concerned: Option<BTreeSet<ServiceName>> = concerned.collect();
        concerned.map_or(Scope::All, Scope::Services)
    }

    /// The services that are concerned.
    pub fn within<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Arc<Service>> {
        scope.part(&self.services).map(|(_, service)| service)
    }

    /// Has those services of `before` that are the same here shared by both.
    pub(super) fn share(&mut self, before: &Self) {
        for (name, service) in &mut self.services {
            match before.services.get(name) {
                Some(same) if same == service => *service = Arc::clone(same),
                Some(_) | None => {}
            }
        }
    }
}

fn is_same(one: &Arc<Service>, other: &Arc<Service>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}
