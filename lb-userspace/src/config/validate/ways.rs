//! Whether this host and its network can serve what is asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use crate::{
    config::fault::{Found, part},
    desired::rules::way_breach,
    model::{Mode, Protocol, Service, Ways},
};

/// Where each backend of a service stands.
pub(super) type Places = BTreeMap<SocketAddr, String>;

/// Finds backends whose mode the way to them cannot serve.
pub(super) fn check(service: &Service, places: &Places, ways: &Ways, found: &mut Found) {
    for (address, backend) in &service.backends {
        let way = ways.get(&address.ip());
        let breach = way.and_then(|way| way_breach(backend, &service.vips, *way));
        if let (Some(breach), Some(place)) = (breach, places.get(address)) {
            found.add(part(place, "address"), breach.to_string());
        }
    }
}

/// Finds `nat` and `snat` backends that are to get datagrams at the port where the same host takes tunnels off.
pub(super) fn collisions<'a>(
    services: impl Iterator<Item = (&'a Service, &'a Places)> + Clone,
    gue_port: u32,
    found: &mut Found,
) {
    let gue = services.clone().flat_map(|(service, _)| {
        let backends = service.backends.values();
        backends.filter(|backend| backend.mode == Mode::Gue)
    });
    let tunnels_end: BTreeSet<IpAddr> = gue.map(|backend| backend.address.ip()).collect();
    for (service, places) in services {
        if service.vips.iter().all(|vip| vip.protocol != Protocol::Udp) {
            continue;
        }
        for (address, backend) in &service.backends {
            let collides = backend.mode.translates()
                && u32::from(address.port()) == gue_port
                && tunnels_end.contains(&address.ip());
            if let (true, Some(place)) = (collides, places.get(address)) {
                let message = format!(
                    "backend {address} is to get datagrams at UDP port {gue_port}, where the same host takes GUE tunnels off: use another port, or another gue_port in [daemon]"
                );
                found.add(part(place, "address"), message);
            }
        }
    }
}
