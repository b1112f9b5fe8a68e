//! How a change is made: on a copy of the service, which replaces the service if it passes every rule.

use std::{
    collections::{BTreeSet, btree_map::Entry},
    net::SocketAddr,
    sync::Arc,
    time::SystemTime,
};

use super::{
    Change, Desired, Refusal,
    blocklist::blocklist_breaches,
    rules::{Overlap, breaches, overlaps, repeated},
};
use crate::model::{AdminState, Algorithm, Backend, Prefix, Scope, Service, ServiceName, Vip};

impl Desired {
    /// Makes `change`, whole or not at all.
    ///
    /// # Errors
    /// What stands in the way; nothing has changed.
    pub fn apply(&mut self, change: Change) -> Result<(), Refusal> {
        match change {
            Change::AddService(service) => {
                if self.services.contains_key(&service.name) {
                    let service = service.name;
                    return Err(Refusal::ServiceExists { service });
                }
                self.admit(service)
            }
            Change::UpdateService {
                name,
                vips,
                mode,
                table_slots,
                algorithm,
                probe,
                min_healthy,
                panic_threshold,
                moves,
                source_limit,
                dynamic_weights,
                quic_lb,
            } => self.revise(&name, |service| {
                service.vips = vips.unwrap_or_else(|| std::mem::take(&mut service.vips));
                service.mode = mode.unwrap_or(service.mode);
                service.table_slots = table_slots.unwrap_or(service.table_slots);
                service.probe = probe.unwrap_or_else(|| service.probe.take());
                let thresholds = &mut service.thresholds;
                thresholds.min_healthy = min_healthy.unwrap_or(thresholds.min_healthy);
                thresholds.panic_threshold = panic_threshold.unwrap_or(thresholds.panic_threshold);
                if let Some(algorithm) = algorithm {
                    adopt(algorithm, service);
                }
                service.moves = moves.applied_to(service.moves);
                service.source_limit = source_limit.unwrap_or(service.source_limit);
                service.dynamic_weights = dynamic_weights.unwrap_or(service.dynamic_weights);
                service.quic_lb = quic_lb.unwrap_or(service.quic_lb);
                Ok(())
            }),
            Change::RemoveService { name, force } => self.remove_service(name, force),
            Change::AddBackend { service, backend } => {
                self.revise(&service, |service| add_backend(service, backend))
            }
            Change::UpdateBackend {
                service,
                address,
                weight,
                mode,
                state,
                role,
                server_ids,
            } => self.revise(&service, |service| {
                let backend = backend_mut(service, address)?;
                backend.weight = weight.unwrap_or(backend.weight);
                backend.mode = mode.unwrap_or(backend.mode);
                backend.role = role.unwrap_or(backend.role);
                if let Some(server_ids) = server_ids {
                    backend.server_ids = server_ids;
                }
                if let Some(state) = state {
                    backend.state = state;
                    backend.remove_at = None;
                }
                Ok(())
            }),
            Change::RemoveBackend {
                service,
                address,
                at,
            } => self.revise(&service, |service| remove_backend(service, address, at)),
            Change::Block(prefixes) => self.block(&prefixes),
            Change::Unblock(prefixes) => self.unblock(&prefixes),
            Change::Replace(mut desired) => {
                if let Some(refusal) = desired.check().into_iter().next() {
                    return Err(refusal);
                }
                desired.share(self);
                *self = desired;
                Ok(())
            }
        }
    }

    /// Everything that breaks a rule: empty for whatever came about by [`apply`](Self::apply), not
    /// necessarily for what was read from somewhere.
    #[must_use]
    pub fn check(&self) -> Vec<Refusal> {
        let misfiled = self
            .services
            .iter()
            .filter(|(key, service)| **key != service.name)
            .map(|(key, service)| Refusal::Misfiled {
                service: service.name.clone(),
                key: key.clone(),
            });
        let within = self.services.values().flat_map(|it| invalid(it));
        let taken = repeated(self.claims())
            .into_iter()
            .map(|(vip, owner, service)| Refusal::VipTaken {
                vip,
                owner: owner.clone(),
                service: service.clone(),
            });
        let blocklist = blocklist_breaches(&self.blocklist).into_iter();
        let blocklist = blocklist.map(|breach| Refusal::Blocklist { breach });
        let overlapping = overlaps(self.claims()).into_iter().map(vips_overlap);
        misfiled
            .chain(within)
            .chain(taken)
            .chain(overlapping)
            .chain(blocklist)
            .collect()
    }

    /// Every VIP, and the service that has it.
    fn claims(&self) -> impl Iterator<Item = (Vip, &ServiceName)> {
        let services = self.services.iter();
        services.flat_map(|(name, service)| service.vips.iter().map(move |&vip| (vip, name)))
    }

    fn block(&mut self, prefixes: &BTreeSet<Prefix>) -> Result<(), Refusal> {
        if let Some(&prefix) = prefixes.intersection(&self.blocklist).next() {
            return Err(Refusal::BlockedAlready { prefix });
        }
        let all: BTreeSet<Prefix> = self.blocklist.union(prefixes).copied().collect();
        if let Some(breach) = blocklist_breaches(&all).into_iter().next() {
            return Err(Refusal::Blocklist { breach });
        }
        self.blocklist = all;
        Ok(())
    }

    fn unblock(&mut self, prefixes: &BTreeSet<Prefix>) -> Result<(), Refusal> {
        if let Some(&prefix) = prefixes.difference(&self.blocklist).next() {
            let mut blocked = self.blocklist.iter().copied();
            let within = blocked.find(|outer| outer.contains(prefix));
            return Err(Refusal::NotBlocked { prefix, within });
        }
        self.blocklist.retain(|prefix| !prefixes.contains(prefix));
        Ok(())
    }

    /// The removals of those concerned whose time has come by `now`, as changes to apply.
    #[must_use]
    pub fn due(&self, scope: &Scope, now: SystemTime) -> Vec<Change> {
        self.removals(scope)
            .filter(|&(_, _, at)| at <= now)
            .map(|(service, address, _)| Change::RemoveBackend {
                service: service.clone(),
                address,
                at: None,
            })
            .collect()
    }

    /// When the next removal of those concerned is due, if any is under way: of those due later than `after`, if it is
    /// given.
    #[must_use]
    pub fn next_due(&self, scope: &Scope, after: Option<SystemTime>) -> Option<SystemTime> {
        let due = self.removals(scope).map(|(_, _, at)| at);
        due.filter(|at| after.is_none_or(|after| *at > after)).min()
    }

    fn removals<'a>(
        &'a self,
        scope: &'a Scope,
    ) -> impl Iterator<Item = (&'a ServiceName, SocketAddr, SystemTime)> {
        self.within(scope).flat_map(|service| {
            service.backends.values().filter_map(|backend| {
                let at = backend.remove_at?;
                Some((&service.name, backend.address, at))
            })
        })
    }

    fn remove_service(&mut self, name: ServiceName, force: bool) -> Result<(), Refusal> {
        let Entry::Occupied(entry) = self.services.entry(name.clone()) else {
            return Err(Refusal::NoService { service: name });
        };
        let backends = entry.get().backends.values();
        let up = backends
            .filter(|backend| backend.state == AdminState::Up)
            .count();
        if up > 0 && !force {
            return Err(Refusal::BackendsUp { service: name, up });
        }
        entry.remove();
        Ok(())
    }

    /// Replaces the service `name` by a revision of it, if the revision may stand.
    fn revise(
        &mut self,
        name: &ServiceName,
        revision: impl FnOnce(&mut Service) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let Some(service) = self.services.get(name) else {
            let service = name.clone();
            return Err(Refusal::NoService { service });
        };
        let mut revised = Service::clone(service);
        revision(&mut revised)?;
        self.admit(revised)
    }

    /// Puts `service` in, instead of one with the same name, if it may stand beside the others.
    fn admit(&mut self, service: Service) -> Result<(), Refusal> {
        if let Some(refusal) = invalid(&service).into_iter().next() {
            return Err(refusal);
        }
        let before = self.services.get(&service.name);
        if before.is_none_or(|before| before.vips != service.vips) {
            self.refuse_vips_of(&service)?;
        }
        self.services
            .insert(service.name.clone(), Arc::new(service));
        Ok(())
    }

    /// Whether the VIPs of `service` may stand beside those of the others.
    fn refuse_vips_of(&self, service: &Service) -> Result<(), Refusal> {
        let others = self.services.values().filter(|s| s.name != service.name);
        for other in others {
            if let Some(&vip) = other.vips.intersection(&service.vips).next() {
                return Err(Refusal::VipTaken {
                    vip,
                    owner: other.name.clone(),
                    service: service.name.clone(),
                });
            }
        }
        let others = self.claims().filter(|(_, owner)| **owner != service.name);
        let own = service.vips.iter().map(|vip| (*vip, &service.name));
        match overlaps(others.chain(own)).into_iter().next() {
            Some(overlap) => Err(vips_overlap(overlap)),
            None => Ok(()),
        }
    }
}

fn vips_overlap(overlap: Overlap<&ServiceName>) -> Refusal {
    Refusal::VipsOverlap {
        inner: overlap.inner,
        service: overlap.inner_owner.clone(),
        outer: overlap.outer,
        owner: overlap.outer_owner.clone(),
    }
}

fn invalid(service: &Service) -> Vec<Refusal> {
    let refusal = |(_, breach)| Refusal::Invalid {
        service: service.name.clone(),
        breach,
    };
    breaches(service).into_iter().map(refusal).collect()
}

/// Gives the service an algorithm. What it must remember for it, it remembers from now on; what it had to remember for
/// the one before, no longer.
fn adopt(algorithm: Algorithm, service: &mut Service) {
    if algorithm.draws_slots() != service.algorithm.draws_slots() {
        service.moves.tracking = algorithm.tracking();
    }
    service.algorithm = algorithm;
}

/// A backend that is being removed does not stand in the way of its successor.
fn add_backend(service: &mut Service, backend: Backend) -> Result<(), Refusal> {
    let address = backend.address;
    match service.backends.get(&address) {
        Some(present) if present.remove_at.is_none() => Err(Refusal::BackendExists {
            service: service.name.clone(),
            backend: address,
        }),
        _ => {
            service.backends.insert(address, backend);
            Ok(())
        }
    }
}

/// A backend that is down has nothing to drain and goes at once: draining would let its old flows back.
fn remove_backend(
    service: &mut Service,
    address: SocketAddr,
    at: Option<SystemTime>,
) -> Result<(), Refusal> {
    let backend = backend_mut(service, address)?;
    if at.is_some() && backend.state != AdminState::Down {
        backend.state = AdminState::Drain;
        backend.remove_at = at;
    } else {
        service.backends.remove(&address);
    }
    Ok(())
}

fn backend_mut(service: &mut Service, address: SocketAddr) -> Result<&mut Backend, Refusal> {
    let name = &service.name;
    service
        .backends
        .get_mut(&address)
        .ok_or_else(|| Refusal::NoBackend {
            service: name.clone(),
            backend: address,
        })
}
