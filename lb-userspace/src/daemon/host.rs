//! This host, asked for what a configuration must agree with.

use std::fs;

use crate::config::Host;

/// As it is now, in the network namespace of this process. What cannot be read is not known.
pub(super) fn host() -> Host {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    Host::read(
        &read("/sys/devices/system/cpu/possible"),
        &read("/proc/sys/net/ipv4/ip_local_port_range"),
        &read("/proc/sys/net/ipv4/ip_local_reserved_ports"),
    )
}
