//! What a row measures: which packets, to how many services and backends, in which mode; and all rows.

use lb_bench_ebpf::names::{self, Forms};
use lb_common::{
    backend::{self, BackendId},
    outcome::Outcome,
    table::Slot,
};

/// An IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// RFC 791.
    V4,
    /// RFC 8200.
    V6,
}

/// What kind of packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A TCP segment with ACK, of a flow that has been seen before.
    TcpData,
    /// A datagram, likewise.
    Udp,
    /// A TCP SYN, likewise: clients that try again.
    Syn,
    /// A TCP SYN, each of a flow that is new.
    SynFlood,
    /// A NAT backend's segment to a client.
    TcpReply,
    /// A TCP segment to an address that has no VIP.
    NotVip,
}

/// How packets are sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By other MAC addresses.
    L2,
    /// To another destination.
    Nat,
    /// To another destination, from another source.
    Snat,
    /// In an IP header of their own version.
    Ipip,
    /// In a UDP and an IP header of their own version.
    Gue,
    /// To this host itself.
    Local,
    /// Not at all: they are not for a VIP.
    Pass,
}

/// Which flows are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tracking {
    /// Those on slots that move: none here, for nothing does.
    OnDemand,
    /// Every flow.
    Always,
    /// None.
    Off,
}

impl Tracking {
    /// A slot of `backend` in the lookup tables of such a service.
    #[must_use]
    pub const fn slot(self, backend: BackendId) -> Slot {
        match self {
            Self::OnDemand | Self::Off => Slot::new(backend),
            Self::Always => Slot::new(backend).tracked(),
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::Always => "always",
            Self::Off => "off",
        }
    }
}

/// What one row measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The IP version of the packets, and of tunnels.
    pub family: Family,
    /// The packets.
    pub kind: Kind,
    /// How they are sent on.
    pub mode: Mode,
    /// How many flows take turns, a power of two up to [`FLOOD`](Self::FLOOD).
    pub flows: u32,
    /// How many services the flows are spread over, a power of two up to 256.
    pub services: u32,
    /// Which flows are remembered.
    pub tracking: Tracking,
    /// Backends of each service.
    pub backends: u32,
    /// Slots of each service's lookup table.
    pub slots: u32,
}

impl Scenario {
    /// So many flows that each has long been forgotten when its turn comes again.
    pub const FLOOD: u32 = 1 << 24;

    const BACKENDS: u32 = 10;
    const SLOTS: u32 = 65_537;

    const fn new(family: Family, kind: Kind, mode: Mode, flows: u32) -> Self {
        Self {
            family,
            kind,
            mode,
            flows,
            services: 1,
            // Of an `snat` backend all flows are remembered, for their ports.
            tracking: match mode {
                Mode::Snat => Tracking::Always,
                Mode::L2 | Mode::Nat | Mode::Ipip | Mode::Gue | Mode::Local | Mode::Pass => {
                    Tracking::OnDemand
                }
            },
            backends: Self::BACKENDS,
            slots: Self::SLOTS,
        }
    }

    const fn services(self, services: u32) -> Self {
        Self { services, ..self }
    }

    const fn tracking(self, tracking: Tracking) -> Self {
        Self { tracking, ..self }
    }

    const fn always(self) -> Self {
        self.tracking(Tracking::Always)
    }

    const fn backends(self, backends: u32) -> Self {
        Self { backends, ..self }
    }

    const fn slots(self, slots: u32) -> Self {
        Self { slots, ..self }
    }

    /// Every row.
    #[must_use]
    pub fn all() -> Vec<Self> {
        [Family::V4, Family::V6]
            .into_iter()
            .flat_map(rows)
            .collect()
    }

    /// `family/kind/mode/flows/services/tracking`, then what is not as in most rows.
    #[must_use]
    pub fn name(&self) -> String {
        let family = match self.family {
            Family::V4 => "v4",
            Family::V6 => "v6",
        };
        let kind = match self.kind {
            Kind::TcpData => "tcp-data",
            Kind::Udp => "udp",
            Kind::Syn => "syn",
            Kind::SynFlood => "syn-flood",
            Kind::TcpReply => "tcp-reply",
            Kind::NotVip => "not-vip",
        };
        let mode = match self.mode {
            Mode::L2 => "l2",
            Mode::Nat => "nat",
            Mode::Snat => "snat",
            Mode::Ipip => "ipip",
            Mode::Gue => "gue",
            Mode::Local => "local",
            Mode::Pass => "pass",
        };
        let (flows, services) = (count(self.flows), self.services);
        let tracking = self.tracking.label();
        let unusual = |number, usual, of| {
            let name = (number != usual).then(|| format!("/{number}-{of}"));
            name.unwrap_or_default()
        };
        let backends = unusual(self.backends, Self::BACKENDS, "backends");
        let slots = unusual(self.slots, Self::SLOTS, "slots");
        format!("{family}/{kind}/{mode}/{flows}/{services}/{tracking}{backends}{slots}")
    }

    /// The program that does what any program must do to such packets.
    #[must_use]
    pub const fn floor(&self) -> Forms {
        match (self.mode, self.family) {
            (Mode::Local | Mode::Pass, _) => names::PASS,
            (Mode::L2 | Mode::Nat | Mode::Snat, _) => names::SWAP,
            (Mode::Ipip, Family::V4) => names::GROW_20,
            (Mode::Gue, Family::V4) => names::GROW_28,
            (Mode::Ipip, Family::V6) => names::GROW_40,
            (Mode::Gue, Family::V6) => names::GROW_48,
        }
    }

    /// What becomes of the packets.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match (self.mode, self.kind) {
            (Mode::Pass, _) => Outcome::NotVip,
            (Mode::Local, _) => Outcome::Local,
            (_, Kind::TcpReply) => Outcome::Replied,
            _ => Outcome::Forwarded,
        }
    }

    /// Whether each packet begins a flow.
    #[must_use]
    pub const fn is_flood(&self) -> bool {
        self.flows == Self::FLOOD
    }

    /// The mode of the backends.
    #[must_use]
    pub const fn backends_mode(&self) -> backend::Mode {
        match self.mode {
            Mode::L2 => backend::Mode::L2,
            Mode::Nat => backend::Mode::NAT,
            Mode::Snat => backend::Mode::SNAT,
            Mode::Ipip | Mode::Pass => backend::Mode::IPIP,
            Mode::Gue => backend::Mode::GUE,
            Mode::Local => backend::Mode::LOCAL,
        }
    }
}

/// The rows of one IP version.
fn rows(family: Family) -> Vec<Scenario> {
    const ONE: u32 = 1;
    const THOUSAND: u32 = 1 << 10;
    const MANY: u32 = 1 << 16;
    const MILLION: u32 = 1 << 20;
    const FLOOD: u32 = Scenario::FLOOD;
    let row = |kind, mode, flows| Scenario::new(family, kind, mode, flows);
    let data = |flows| row(Kind::TcpData, Mode::Ipip, flows);
    vec![
        data(ONE),
        data(THOUSAND),
        data(MANY),
        data(MILLION),
        data(ONE).always(),
        data(MANY).always(),
        data(MILLION).always(),
        data(MILLION).tracking(Tracking::Off),
        data(MANY).services(16),
        data(MANY).services(256),
        // With the tables that services of ten backends have unless they are told otherwise: 1 MiB in all, not 64.
        data(MANY).services(256).slots(1_021),
        data(ONE).backends(1_000),
        data(MILLION).backends(1_000),
        data(MILLION).slots(655_373),
        row(Kind::Udp, Mode::Ipip, ONE),
        row(Kind::Udp, Mode::Ipip, MILLION),
        row(Kind::Udp, Mode::Gue, ONE),
        row(Kind::Udp, Mode::Gue, MILLION),
        row(Kind::TcpData, Mode::Gue, ONE),
        row(Kind::Syn, Mode::Ipip, ONE),
        row(Kind::SynFlood, Mode::Ipip, FLOOD),
        row(Kind::SynFlood, Mode::Ipip, FLOOD).services(256),
        row(Kind::SynFlood, Mode::Ipip, FLOOD).always(),
        row(Kind::TcpData, Mode::L2, ONE),
        row(Kind::TcpData, Mode::L2, MILLION),
        row(Kind::TcpData, Mode::Nat, ONE),
        row(Kind::TcpData, Mode::Nat, MANY),
        row(Kind::TcpReply, Mode::Nat, ONE),
        row(Kind::TcpData, Mode::Snat, ONE),
        row(Kind::TcpData, Mode::Snat, THOUSAND),
        row(Kind::TcpReply, Mode::Snat, ONE),
        row(Kind::TcpData, Mode::Local, ONE),
        row(Kind::NotVip, Mode::Pass, ONE),
        row(Kind::NotVip, Mode::Pass, MILLION),
    ]
}

/// A power of two as people say it.
fn count(number: u32) -> String {
    match number.trailing_zeros() {
        20.. => format!("{}M", number >> 20),
        10.. => format!("{}k", number >> 10),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let rows = Scenario::all();
        let names: BTreeSet<String> = rows.iter().map(Scenario::name).collect();
        assert_eq!(names.len(), rows.len());
        for name in [
            "v4/tcp-data/ipip/1M/1/always",
            "v4/tcp-data/ipip/1M/1/off",
            "v6/udp/gue/1/1/on-demand",
            "v4/syn-flood/ipip/16M/256/on-demand",
            "v6/tcp-data/ipip/64k/16/on-demand",
            "v4/tcp-data/ipip/1M/1/on-demand/1000-backends",
        ] {
            assert!(names.contains(name), "{name}: {names:?}");
        }
    }
}
