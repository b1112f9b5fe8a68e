//! What a configuration must agree with on the host that it is for.

use std::ops::RangeInclusive;

use super::snat::PortRange;
use crate::model::Ways;

/// A host, as far as it was asked; nothing is held against what is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// How many CPUs it may have; 0: not known.
    pub cpus: u32,
    /// Ports that it gives to its own connections.
    pub ephemeral: Option<RangeInclusive<u16>>,
    /// Those that it does not.
    pub reserved: Vec<RangeInclusive<u16>>,
    /// How it reaches backends.
    pub ways: Ways,
}

impl Host {
    /// From what the kernel says of itself: the files `possible` of its CPUs (cpusets(7), "List format"),
    /// `ip_local_port_range` and `ip_local_reserved_ports` (ip(7)).
    #[must_use]
    pub fn read(possible_cpus: &str, port_range: &str, reserved_ports: &str) -> Self {
        let cpus = list(possible_cpus).map(|cpus| cpus.end() + 1).max();
        let mut ends = port_range.split_whitespace().map(str::parse);
        let ephemeral = match (ends.next(), ends.next()) {
            (Some(Ok(first)), Some(Ok(last))) => Some(first..=last),
            _ => None,
        };
        Self {
            cpus: cpus.unwrap_or(0),
            ephemeral,
            reserved: list(reserved_ports)
                .filter_map(|ports| {
                    let first = u16::try_from(*ports.start()).ok()?;
                    Some(first..=u16::try_from(*ports.end()).ok()?)
                })
                .collect(),
            ways: Ways::new(),
        }
    }

    /// The ports of the host's own connections, if any of `ports` may be given to one.
    pub(super) fn unreserved(&self, ports: PortRange) -> Option<&RangeInclusive<u16>> {
        let own = self.ephemeral.as_ref().filter(|own| ports.meets(own))?;
        let is_free = |port: &u16| !self.reserved.iter().any(|reserved| reserved.contains(port));
        let mut shared = ports.first.max(*own.start())..=ports.last.min(*own.end());
        shared.any(|port| is_free(&port)).then_some(own)
    }
}

/// Ranges in a list like `0-3,7`.
fn list(text: &str) -> impl Iterator<Item = RangeInclusive<u32>> {
    text.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse().ok()?..=last.parse().ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_from_what_its_kernel_says() {
        let host = Host::read("0-3\n", "32768\t60999\n", "8080,10000-20000\n");
        assert_eq!(host.cpus, 4);
        assert_eq!(host.ephemeral, Some(32_768..=60_999));
        assert_eq!(host.reserved, [8_080..=8_080, 10_000..=20_000]);
        assert_eq!(Host::read("", "", "\n"), Host::default());
    }

    #[test]
    fn ports_are_free_if_the_host_uses_others_or_has_reserved_them() {
        let host = |own: &str, reserved: &str| Host::read("0", own, reserved);
        let ports = PortRange {
            first: 10_000,
            last: 32_767,
        };
        for (own, reserved, is_free) in [
            ("32768 60999", "", true),
            ("1024 9999", "", true),
            ("32767 60999", "", false),
            ("1024 65535", "", false),
            ("1024 65535", "10000-32767", true),
            ("1024 65535", "10000-20000,20001-40000", true),
            ("1024 65535", "10001-32767", false),
        ] {
            let clash = host(own, reserved).unreserved(ports).is_some();
            assert_eq!(clash, !is_free, "{own}, {reserved}");
        }
        assert_eq!(Host::default().unreserved(ports), None);
    }
}
