//! This host, asked for what a configuration must agree with.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, SocketAddr},
};

use tracing::warn;

use crate::{
    config::{Config, Faults, Host},
    desired::Desired,
    model::Ways,
    neighbor,
};

/// As it is now, in the network namespace of this process. What cannot be read is not known.
pub(super) fn host() -> Host {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    Host::read(
        &read("/sys/devices/system/cpu/possible"),
        &read("/proc/sys/net/ipv4/ip_local_port_range"),
        &read("/proc/sys/net/ipv4/ip_local_reserved_ports"),
    )
}

/// A configuration that `read` finds no fault in, on this host and with the ways to its backends as they are now.
pub(super) async fn read_here(
    read: impl Fn(&Host) -> Result<Config, Faults>,
) -> Result<Config, Faults> {
    let mut host = host();
    let config = read(&host)?;
    host.ways = ways_of(&config.desired).await;
    read(&host)
}

/// The ways to all backends; none are known if the kernel cannot be asked.
async fn ways_of(desired: &Desired) -> Ways {
    let services = desired.services.values();
    let backends = services.flat_map(|service| service.backends.keys());
    let addresses: BTreeSet<IpAddr> = backends.map(SocketAddr::ip).collect();
    neighbor::ways(addresses).await.unwrap_or_else(|error| {
        warn!("modes are not checked against routes: {error}");
        Ways::new()
    })
}
