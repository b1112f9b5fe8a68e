//! Backends, each by itself and no address twice.

use std::{collections::BTreeMap, net::SocketAddr};

use super::{quic, read_mode, thresholds, ways::Places, word};
use crate::{
    config::{
        fault::{Found, part},
        spec::BackendSpec,
    },
    desired::rules::repeated,
    model::{AdminState, Backend, Mode, Weight},
};

/// The backends that could be read, and the places of all that have an address.
pub(super) fn read_all(
    specs: &[BackendSpec],
    default_mode: Mode,
    place: &str,
    found: &mut Found,
) -> (BTreeMap<SocketAddr, Backend>, Places) {
    let mut backends = BTreeMap::new();
    let mut places = Vec::with_capacity(specs.len());
    for (index, spec) in specs.iter().enumerate() {
        let place = part(place, &format!("backend[{index}]"));
        let address = address(spec, &place, found);
        places.extend(address.map(|address| (address, place.clone())));
        if let Some(backend) = read(spec, address, default_mode, &place, found) {
            backends.entry(backend.address).or_insert(backend);
        }
    }
    let addresses = places
        .iter()
        .map(|(address, place)| (*address, part(place, "address")));
    for (address, first, again) in repeated(addresses) {
        let message = format!(
            "backend {address} stands already at {first}: addresses are unique in a service, to give it a larger share raise its weight"
        );
        found.add(again, message);
    }
    // The first of equal addresses is the one that was kept.
    (backends, places.into_iter().rev().collect())
}

pub(super) fn address(spec: &BackendSpec, place: &str, found: &mut Found) -> Option<SocketAddr> {
    found.keep(
        part(place, "address"),
        Backend::parse_address(&spec.address),
    )
}

pub(super) fn read(
    spec: &BackendSpec,
    address: Option<SocketAddr>,
    default_mode: Mode,
    place: &str,
    found: &mut Found,
) -> Option<Backend> {
    let weight = match spec.weight {
        Some(weight) => found.keep(part(place, "weight"), Weight::try_from(weight)),
        None => Some(Weight::default()),
    };
    let mode_place = part(place, "mode");
    let mode = read_mode(found, &mode_place, spec.mode.as_deref(), default_mode);
    let states = [AdminState::Up, AdminState::Drain, AdminState::Down].map(|s| (s.to_string(), s));
    let state_place = part(place, "state");
    let state = word(found, &state_place, spec.state.as_deref(), &states);
    let role = thresholds::role(spec.role.as_deref(), &part(place, "role"), found);
    let server_ids = quic::read_server_ids(&spec.server_ids, &part(place, "server_ids"), found);
    Some(Backend {
        address: address?,
        weight: weight?,
        mode: mode.filter(|_| !found.knows(&mode_place))?,
        state: state?,
        role: role?,
        server_ids: server_ids?,
        remove_at: None,
    })
}
