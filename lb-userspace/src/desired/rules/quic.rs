//! What must hold between QUIC-LB configurations, VIPs and server ids.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use super::{Breach, MAX_SERVER_IDS, Part, repeated};
use crate::model::{Backend, Protocol, QuicLb, Vip};

/// Every rule that they break together.
///
/// A server id that no configuration asks for is allowed: backends get their ids of a new length before the
/// configuration that reads them.
#[must_use]
pub fn quic_breaches(
    vips: &BTreeSet<Vip>,
    backends: &BTreeMap<SocketAddr, Backend>,
    quic_lb: &QuicLb,
) -> Vec<(Part, Breach)> {
    let mut found = Vec::new();
    let is_udp = |vip: &Vip| vip.protocol == Protocol::Udp;
    if !quic_lb.is_empty() && !vips.is_empty() && !vips.iter().any(is_udp) {
        found.push((Part::QuicLb, Breach::QuicWithoutUdp));
    }
    for (address, backend) in backends {
        let breach = backend_breach(*address, backend, quic_lb);
        found.extend(breach.map(|breach| (Part::ServerIds(*address), breach)));
    }
    let claims = backends.iter().flat_map(|(address, backend)| {
        let ids = backend.server_ids.iter();
        ids.map(|id| (*id, *address))
    });
    for (id, owner, backend) in repeated(claims) {
        let breach = Breach::ServerIdTaken { id, owner, backend };
        found.push((Part::ServerIds(backend), breach));
    }
    found
}

fn backend_breach(address: SocketAddr, backend: &Backend, quic_lb: &QuicLb) -> Option<Breach> {
    let ids = &backend.server_ids;
    if ids.len() > MAX_SERVER_IDS {
        return Some(Breach::TooManyServerIds(ids.len()));
    }
    let missing = quic_lb.configs().find(|(_, config)| {
        let length = config.server_id_length.get();
        !ids.iter().any(|id| id.len() == length)
    });
    missing.map(|(config, it)| Breach::NoServerId {
        backend: address,
        config: config.get(),
        length: it.server_id_length.get(),
    })
}
