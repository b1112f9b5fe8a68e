//! `[daemon.snat]`: the source ports of full NAT, and how long a flow keeps its own.

use std::{fmt, ops::RangeInclusive, time::Duration};

use lb_common::{progress::ticks, settings::SourceNat};

use super::{
    daemon::sources,
    fault::{Faults, Found, part},
    host::Host,
    spec::SnatSpec,
    validate::read_duration,
};
use crate::{
    desired::Desired,
    model::{Mode, ParseError, Sources, Vip},
};

/// The place of the table.
const PLACE: &str = "daemon.snat";

/// Source ports towards a backend, the same for every backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last, not below the first.
    pub last: u16,
}

impl PortRange {
    /// All that may be given out: the others are for services (RFC 6335 section 6, "System Ports").
    const ALLOWED: RangeInclusive<u16> = 1_024..=u16::MAX;

    /// How many they are.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.last as u32 - self.first as u32 + 1
    }

    /// Whether any of `other` is among them.
    #[must_use]
    pub const fn meets(self, other: &RangeInclusive<u16>) -> bool {
        self.first <= *other.end() && *other.start() <= self.last
    }
}

impl std::str::FromStr for PortRange {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let read = || {
            let (first, last) = text.split_once('-')?;
            let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (Self::ALLOWED.contains(&first) && first <= last).then_some(Self { first, last })
        };
        read().ok_or_else(|| {
            ParseError::new(format!(
                "`{text}` is not a range of ports: write FIRST-LAST, from {} to {}, like \"10000-32767\"",
                Self::ALLOWED.start(),
                Self::ALLOWED.end()
            ))
        })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// The validated values of `[daemon.snat]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnatSettings {
    /// Ports that packets to `snat` backends come from. By default below those that Linux gives its own connections
    /// (32768 to 60999), which go to backends too, as probes do.
    pub ports: PortRange,
    /// Addresses that they come from, where the operator has chosen.
    pub sources: Sources,
    /// How long an established TCP connection may be idle before its port may be given to another flow; so for the next
    /// two. RFC 5382 section 5 (REQ-5) wants 2 hours and 4 minutes: keep-alives come every 2 hours.
    pub established: Duration,
    /// For TCP connections that are partially open or closing: 4 minutes, the same rule, for TIME-WAIT lasts as
    /// long (RFC 9293 section 3.4.2).
    pub transitory: Duration,
    /// For UDP: 2 minutes, the least that RFC 4787 section 4.3 (REQ-5) allows. It recommends 5, for the sake of hosts
    /// behind a NAT that wait to be called; here it is the client that calls.
    pub udp: Duration,
}

impl Default for SnatSettings {
    fn default() -> Self {
        Self {
            ports: PortRange {
                first: 10_000,
                last: 32_767,
            },
            sources: Sources::default(),
            established: Duration::from_mins(124),
            transitory: Duration::from_mins(4),
            udp: Duration::from_mins(2),
        }
    }
}

impl SnatSettings {
    /// Whether `desired` can be served with them on `host`.
    ///
    /// # Errors
    /// A source holds the address of a VIP or, if any backend is in mode `snat`, the ports are not the host's to give.
    pub fn fit(&self, desired: &Desired, host: &Host) -> Result<(), Faults> {
        let mut found = Found::default();
        check_sources(self, desired, &mut found);
        if is_used(desired) {
            check_ports(self.ports, host, &mut found);
        }
        found.faults()
    }

    /// The same as the program has it, on a host that may have so many `cpus`: what cannot be split evenly is not used,
    /// nor anything if their number is not known.
    #[must_use]
    pub fn to_program(self, cpus: u32) -> SourceNat {
        let ports = self.ports.count().checked_div(cpus).unwrap_or(0);
        SourceNat {
            first_port: self.ports.first,
            ports_per_cpu: u16::try_from(ports).unwrap_or(u16::MAX),
            established: whole_ticks(self.established),
            transitory: whole_ticks(self.transitory),
            udp: whole_ticks(self.udp),
        }
    }
}

/// At least `duration`.
fn whole_ticks(duration: Duration) -> u32 {
    ticks(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)).saturating_add(1)
}

/// The settings that `spec` asks for; defaults stand in for what is faulty.
pub(super) fn settings(spec: &SnatSpec, found: &mut Found) -> SnatSettings {
    let default = SnatSettings::default();
    let ports = spec.ports.as_deref().map(str::parse::<PortRange>);
    let ports = ports.and_then(|ports| found.keep(part(PLACE, "ports"), ports));
    let mut timeout = |field: &str, text: Option<&str>, default| {
        let read = text.map(|text| match read_duration(text) {
            Ok(duration) if duration < Duration::from_secs(1) => {
                Err(format!("`{text}` is too short: write at least 1s"))
            }
            read => read,
        });
        let read = read.and_then(|read| found.keep(part(PLACE, field), read));
        read.unwrap_or(default)
    };
    SnatSettings {
        established: timeout(
            "established",
            spec.established.as_deref(),
            default.established,
        ),
        transitory: timeout("transitory", spec.transitory.as_deref(), default.transitory),
        udp: timeout("udp", spec.udp.as_deref(), default.udp),
        ports: ports.unwrap_or(default.ports),
        sources: sources(&spec.sources, "daemon.snat.sources", found),
    }
}

/// Whether any backend is in mode `snat`.
pub(super) fn is_used(desired: &Desired) -> bool {
    let mut backends = desired
        .services
        .values()
        .flat_map(|it| it.backends.values());
    backends.any(|backend| backend.mode == Mode::Snat)
}

/// What of `settings` contradicts `host`, on which they are to hold, or the VIPs.
pub(super) fn check(settings: &SnatSettings, desired: &Desired, host: &Host, found: &mut Found) {
    check_sources(settings, desired, found);
    check_ports(settings.ports, host, found);
}

fn check_sources(settings: &SnatSettings, desired: &Desired, found: &mut Found) {
    let vips = || desired.services.values().flat_map(|service| &service.vips);
    for (source, version) in [(settings.sources.v4, "IPv4"), (settings.sources.v6, "IPv6")] {
        let of_source =
            |vip: &&Vip| source.is_some_and(|source| source.prefix().overlaps(vip.addresses));
        if let Some(vip) = vips().find(of_source) {
            let message = format!(
                "the {version} source holds the address of VIP {vip}, to which backends would answer: write addresses that are no VIP's"
            );
            found.add(part(PLACE, "sources"), message);
        }
    }
}

fn check_ports(ports: PortRange, host: &Host, found: &mut Found) {
    if ports.count() < host.cpus {
        let message = format!(
            "{ports} are too few ports for the {} CPUs of this host, each of which gives out its own: write a larger range",
            host.cpus
        );
        found.add(part(PLACE, "ports"), message);
    }
    if let Some(own) = host.unreserved(ports) {
        let message = format!(
            "{ports} are not free: this host gives ports {}-{} to its own connections (net.ipv4.ip_local_port_range): \
             write a range beside them, or reserve this one: sysctl -w net.ipv4.ip_local_reserved_ports={ports}",
            own.start(),
            own.end()
        );
        found.add(part(PLACE, "ports"), message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ports_are_read_whole_or_refused_with_what_to_write() {
        for text in ["10000-32767", "1024-65535", "5000-5000"] {
            let range: PortRange = text.parse().unwrap();
            assert_eq!(range.to_string(), text);
        }
        for text in ["1023-2000", "2000-1999", "80", "1-70000", "a-b", ""] {
            let error = text.parse::<PortRange>().unwrap_err().to_string();
            assert!(error.contains("write FIRST-LAST"), "{text}: {error}");
        }
    }

    #[test]
    fn ports_are_split_evenly_and_time_outs_never_shortened() {
        let settings = SnatSettings::default();
        let program = settings.to_program(3);
        assert_eq!((program.first_port, program.ports_per_cpu), (10_000, 7_589));
        for (ticks, least) in [
            (program.established, 7_440),
            (program.transitory, 240),
            (program.udp, 120),
        ] {
            let lasts = Duration::from_nanos(u64::from(ticks) << 30).as_secs();
            assert!((least..=least + 1).contains(&lasts), "{lasts} for {least}");
        }
        for cpus in [0, 100_000] {
            assert_eq!(settings.to_program(cpus).ports_per_cpu, 0);
        }
    }
}
