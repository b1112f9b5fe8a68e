//! Who should serve, by the rules as an operator knows them.

use std::net::SocketAddr;

use super::lab::{Lab, target};
use crate::model::{AdminState, Backend, Health, Mode, Role, Service};

/// Whether new flows should go to a backend.
pub(super) fn should_serve(lab: &Lab, service: &Service, address: SocketAddr) -> bool {
    let of_role = |role: Role| {
        let backends = service.backends.values();
        backends.filter(move |it| it.role == role && it.state == AdminState::Up)
    };
    let can_serve =
        |it: &&Backend| is_reachable(lab, service, it) && health(lab, service, it) == Health::Up;
    let thresholds = service.thresholds;
    let ordinary = of_role(Role::Ordinary).count();
    let bearable = of_role(Role::Ordinary).filter(|it| health(lab, service, it) != Health::Down);
    let share = (bearable.count() * 100)
        .checked_div(ordinary)
        .unwrap_or(100);
    let is_panic = share < thresholds.panic_threshold as usize;
    let is_few =
        of_role(Role::Ordinary).filter(can_serve).count() < thresholds.min_healthy as usize;
    let help = of_role(Role::Fallback).any(|it| can_serve(&it));

    let backend = &service.backends[&address];
    let is_called = backend.role == Role::Ordinary || is_few || is_panic;
    if is_panic && !help && backend.role == Role::Ordinary {
        backend.state == AdminState::Up && is_reachable(lab, service, backend)
    } else {
        backend.state == AdminState::Up && is_called && can_serve(&backend)
    }
}

fn health(lab: &Lab, service: &Service, backend: &Backend) -> Health {
    let target = target(service.name.as_str(), &backend.address.to_string());
    lab.health.get(&target).copied().unwrap_or(Health::Up)
}

fn is_reachable(lab: &Lab, service: &Service, backend: &Backend) -> bool {
    let (address, mode) = (backend.address, backend.mode);
    match lab.next_hops.get(&address.ip()) {
        Some(Ok(hop)) => hop.on_link || mode == Mode::Nat,
        Some(Err(_)) => false,
        // Nobody has asked yet: it is where it was, if it was.
        None => {
            let actual = &lab.memory.actual;
            let number = actual.vips[service.vips.first().unwrap()].service;
            let mut entries = actual.backends.values();
            entries.any(|it| (it.service, it.address, it.mode) == (number, address, mode))
        }
    }
}
