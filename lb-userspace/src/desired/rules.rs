//! What must hold within one service, and the words for what does not.
//!
//! The only place where these rules stand: the file, the socket and the saved state are held to them alike.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use humantime_serde::re::humantime;

use crate::model::{
    AdminState, Algorithm, Backend, DynamicWeights, Mode, Probe, Protocol, ServerId, Service,
    SourceLimit, TableSlots, Tracking, Vip, Way,
};

mod mode;
mod moves;
mod probe;
mod quic;
mod thresholds;
mod via;
mod weights;

pub use mode::{ModeBreach, mode_breach};
pub use moves::{drawing_breach, moves_breaches};
pub use probe::{PROBE_INTERVAL, ProbeBreach, probe_breaches};
pub use quic::quic_breaches;
pub use thresholds::threshold_breaches;
pub use via::via_breaches;
pub use weights::{untimed_breach, weights_breaches};

/// The most VIPs of a service.
pub const MAX_VIPS: usize = 64;
/// The most backends of a service.
pub const MAX_BACKENDS: usize = 10_000;
/// The most QUIC server ids of a backend.
pub const MAX_SERVER_IDS: usize = 16;
/// What every link carries that IPv6 packets go over, in bytes (RFC 8200 section 5).
pub const MIN_IPV6_MTU: u16 = 1_280;

/// The part of a service that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its VIPs.
    Vips,
    /// The mode of backends that do not name their own.
    Mode,
    /// The table's size.
    TableSlots,
    /// Its backends as a whole.
    Backends,
    /// One backend.
    Backend(SocketAddr),
    /// The QUIC server ids of one backend.
    ServerIds(SocketAddr),
    /// The QUIC-LB configurations.
    QuicLb,
    /// A field of the probe, by its name in a file.
    Probe(&'static str),
    /// How few backends are too few, by the name of the field.
    Thresholds(&'static str),
    /// How slots move, by the name of the field.
    Moves(&'static str),
    /// What weights follow, by the name of the field.
    DynamicWeights(&'static str),
    /// How many packets a source may send in a second.
    SourceRate,
    /// How many packets a source may send at once.
    SourceBurst,
}

/// A broken rule: what is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Breach {
    #[error(
        "a service needs at least one VIP: write ADDRESS:PORT/PROTOCOL, for example 192.0.2.10:443/tcp"
    )]
    NoVips,
    #[error(
        "{0} VIPs are too many: a service has at most {MAX_VIPS}, spread them over more services"
    )]
    TooManyVips(usize),
    #[error("{0} backends are too many: a service has at most {MAX_BACKENDS}")]
    TooManyBackends(usize),
    #[error(
        "a table of {slots} slots is too small for {backends} backends: write \"auto\" or a larger size"
    )]
    TableTooSmall { slots: u32, backends: usize },
    #[error(
        "mode {mode} cannot turn one IP version into another: VIP {vip} is {}, backend {backend} is {}; use mode l2, or VIPs and backends of one version",
        version(vip.addresses.is_ipv4()), version(backend.is_ipv4())
    )]
    OtherVersion {
        mode: Mode,
        backend: SocketAddr,
        vip: Vip,
    },
    #[error(
        "mode {mode} gives packets the backend's port, and VIP {vip} is for every port: use another mode for backend {backend}, or name the ports"
    )]
    AnyPort {
        mode: Mode,
        backend: SocketAddr,
        vip: Vip,
    },
    #[error(
        "mode {mode} cannot translate SCTP, whose checksum covers the whole packet (RFC 9260), and VIP {vip} is SCTP: use another mode for backend {backend}"
    )]
    SctpTranslated {
        mode: Mode,
        backend: SocketAddr,
        vip: Vip,
    },
    #[error(
        "backend {0} is no address of this host, and mode local is for those alone: use another mode"
    )]
    NotHere(SocketAddr),
    #[error("backend {backend} is an address of this host itself: use mode local, not {mode}")]
    Here { backend: SocketAddr, mode: Mode },
    #[error(
        "the route to backend {0} leads through a gateway, and mode l2 reaches only what is on a link of this host: use ipip or gue"
    )]
    BehindGateway(SocketAddr),
    #[error(
        "the interface to backend {backend} carries {mtu} bytes, of which outer headers take {overhead}, and VIP {vip} needs {MIN_IPV6_MTU} inside (RFC 8200 section 5): raise its MTU to {} or more",
        MIN_IPV6_MTU + overhead
    )]
    MtuTooSmall {
        backend: SocketAddr,
        vip: Vip,
        mtu: u16,
        overhead: u16,
    },
    #[error("backend {backend} is filed under {key}")]
    Misfiled {
        backend: SocketAddr,
        key: SocketAddr,
    },
    #[error("backend {0} is to be removed when it has drained, but its state is not drain")]
    RemovedUndrained(SocketAddr),
    #[error(
        "quic_lb reads connection ids of UDP packets, and no VIP of the service is UDP: add one, for example 192.0.2.10:443/udp, or leave quic_lb out"
    )]
    QuicWithoutUdp,
    #[error(
        "backend {backend} has no server id of {length} bytes, which config {config} of quic_lb reads: add one to its server_ids"
    )]
    NoServerId {
        backend: SocketAddr,
        config: u32,
        length: u8,
    },
    #[error("server id {id} is that of backend {owner} already: give backend {backend} another")]
    ServerIdTaken {
        id: ServerId,
        owner: SocketAddr,
        backend: SocketAddr,
    },
    #[error("{0} server ids are too many: a backend has at most {MAX_SERVER_IDS}")]
    TooManyServerIds(usize),
    #[error(transparent)]
    Mode(#[from] ModeBreach),
    #[error(transparent)]
    Probe(#[from] ProbeBreach),
    #[error(
        "probes go to the VIP (via = \"vip\") only on backends in modes l2, ipip and gue, and the service has none: leave via out, or use such a mode"
    )]
    ViaWithoutDirect,
    #[error(
        "probes of type {0} do not go to the VIP (via = \"vip\"), for they speak to no port of it: leave via out, or write type = \"tcp\", \"http\", \"https\", \"grpc\", \"udp\" or \"dns\""
    )]
    ViaOfType(&'static str),
    #[error(
        "probes of {protocol} cannot go to the VIP (via = \"vip\") on backend {backend}: the service has no VIP of its IP version and that protocol that names a port; add one, write the probe's port, or leave via out"
    )]
    ViaWithoutVip {
        backend: SocketAddr,
        protocol: Protocol,
    },
    #[error("{0} healthy backends at least are out of range: write 0 to {MAX_BACKENDS}")]
    MinHealthy(u32),
    #[error("a panic threshold of {0} % is out of range: write 0 to 100")]
    PanicThreshold(u32),
    #[error("{} is too long to learn or to grow: write at most 1h", humantime::format_duration(*.0))]
    LongMove(Duration),
    #[error(
        "algorithm {algorithm} draws a slot for each flow when it begins, and only the flow table knows which: tracking = \"{tracking}\" would lose flows; write \"always\", or leave it out"
    )]
    DrawnUntracked {
        algorithm: Algorithm,
        tracking: Tracking,
    },
    #[error("a step of {0} % of the slots is out of range: write 1 to 100")]
    MaxStep(u32),
    #[error(
        "dynamic weights follow nothing: write response_time = true, the agent_port of the backends, or both"
    )]
    WeightsFollowNothing,
    #[error(
        "weights follow response times, and without a probe nobody measures any: add one, or leave response_time out"
    )]
    UntimedWeights,
    #[error("0 is no port: write the one at which agents answer")]
    AgentPort,
    #[error("{} from one step to the next is out of range: write 100ms to 1h", humantime::format_duration(*.0))]
    WeightInterval(Duration),
    #[error("a step of {0} % of the weight is out of range: write 1 to 100")]
    WeightStep(u32),
    #[error("a ceiling of {0} % of the weight is out of range: write 100 to {highest}", highest = DynamicWeights::HIGHEST)]
    WeightCeiling(u32),
    #[error("a dead band of {0} % of the weight is out of range: write 0 to 50")]
    DeadBand(u32),
    #[error("{0} packets in a second are out of range: write {low} to {high}", low = SourceLimit::RANGE.start(), high = SourceLimit::RANGE.end())]
    SourceRate(u32),
    #[error("{0} packets at once are out of range: write {low} to {high}, or leave it out for as many as in a second", low = SourceLimit::RANGE.start(), high = SourceLimit::RANGE.end())]
    SourceBurst(u32),
}

const fn version(ipv4: bool) -> &'static str {
    if ipv4 { "IPv4" } else { "IPv6" }
}

/// Every rule that `service` breaks.
#[must_use]
pub fn breaches(service: &Service) -> Vec<(Part, Breach)> {
    let Service {
        vips,
        backends,
        table_slots,
        probe,
        thresholds,
        algorithm,
        moves,
        source_limit,
        dynamic_weights,
        quic_lb,
        mode,
        ..
    } = service;
    let mut found = layout_breaches(vips, backends, *table_slots, probe.as_ref());
    let breach = mode_breach(vips, *mode, backends);
    found.extend(breach.map(|breach| (Part::Mode, breach.into())));
    found.extend(quic_breaches(vips, backends, quic_lb));
    found.extend(via_breaches(vips, *mode, backends, probe.as_ref()));
    let weights = dynamic_weights.as_ref();
    let untimed = untimed_breach(weights, probe.as_ref());
    let untimed = untimed.map(|breach| ("response_time", breach));
    let weights = weights.into_iter().flat_map(weights_breaches);
    let weights = weights.chain(untimed);
    found.extend(weights.map(|(field, breach)| (Part::DynamicWeights(field), breach)));
    let probe = probe.iter().flat_map(probe_breaches);
    found.extend(probe.map(|(field, breach)| (Part::Probe(field), breach.into())));
    found.extend(source_limit.iter().flat_map(limit_breaches));
    let thresholds = threshold_breaches(*thresholds).into_iter();
    found.extend(thresholds.map(|(field, breach)| (Part::Thresholds(field), breach)));
    let drawing = drawing_breach(*algorithm, *moves);
    found.extend(drawing.map(|breach| (Part::Moves("tracking"), breach)));
    let moves = moves_breaches(*moves).into_iter();
    found.extend(moves.map(|(field, breach)| (Part::Moves(field), breach)));
    found
}

/// Every rule that the limit of each source breaks.
#[must_use]
pub fn limit_breaches(limit: &SourceLimit) -> Vec<(Part, Breach)> {
    let SourceLimit { rate, burst } = *limit;
    if !SourceLimit::RANGE.contains(&rate) {
        // The burst may be there only because of the rate.
        return vec![(Part::SourceRate, Breach::SourceRate(rate))];
    }
    let burst = (!SourceLimit::RANGE.contains(&burst)).then_some(Breach::SourceBurst(burst));
    burst
        .map(|it| (Part::SourceBurst, it))
        .into_iter()
        .collect()
}

/// Every rule that VIPs, backends, table and probe of one service break together.
#[must_use]
pub fn layout_breaches(
    vips: &BTreeSet<Vip>,
    backends: &BTreeMap<SocketAddr, Backend>,
    table_slots: TableSlots,
    probe: Option<&Probe>,
) -> Vec<(Part, Breach)> {
    let mut found = sizes(vips, backends.len(), table_slots);
    for (key, backend) in backends {
        let breach = backend_breach(*key, backend, vips);
        found.extend(breach.map(|breach| (Part::Backend(*key), breach)));
    }
    let is_sctp = !vips.is_empty() && vips.iter().all(|vip| vip.protocol == Protocol::Sctp);
    if is_sctp && probe.is_some_and(|probe| probe.port.is_none() && probe.kind.has_port()) {
        found.push((Part::Probe("port"), ProbeBreach::OfSctp.into()));
    }
    found
}

fn sizes(vips: &BTreeSet<Vip>, backends: usize, table: TableSlots) -> Vec<(Part, Breach)> {
    let slots = table.slots(backends);
    let mut found = Vec::new();
    if vips.is_empty() {
        found.push((Part::Vips, Breach::NoVips));
    }
    if vips.len() > MAX_VIPS {
        found.push((Part::Vips, Breach::TooManyVips(vips.len())));
    }
    if backends > MAX_BACKENDS {
        found.push((Part::Backends, Breach::TooManyBackends(backends)));
    }
    if (slots as usize) < backends {
        found.push((Part::TableSlots, Breach::TableTooSmall { slots, backends }));
    }
    found
}

fn backend_breach(key: SocketAddr, backend: &Backend, vips: &BTreeSet<Vip>) -> Option<Breach> {
    let address = backend.address;
    if key != address {
        return Some(Breach::Misfiled {
            backend: address,
            key,
        });
    }
    if backend.remove_at.is_some() && backend.state != AdminState::Drain {
        return Some(Breach::RemovedUndrained(address));
    }
    match backend.mode {
        Mode::L2 | Mode::Ipip | Mode::Gue | Mode::Local => None,
        Mode::Nat | Mode::Snat => vips.iter().find_map(|vip| nat_breach(backend, *vip)),
    }
}

fn nat_breach(backend: &Backend, vip: Vip) -> Option<Breach> {
    let (mode, backend) = (backend.mode, backend.address);
    if vip.addresses.is_ipv4() != backend.is_ipv4() {
        Some(Breach::OtherVersion { mode, backend, vip })
    } else if vip.protocol == Protocol::Sctp {
        Some(Breach::SctpTranslated { mode, backend, vip })
    } else if vip.port == Vip::ANY_PORT {
        Some(Breach::AnyPort { mode, backend, vip })
    } else {
        None
    }
}

/// What of the way to `backend` makes its mode impossible.
///
/// Routes and interfaces change: this is for whoever checks a configuration, and no reason to refuse a change.
#[must_use]
pub fn way_breach(backend: &Backend, vips: &BTreeSet<Vip>, way: Way) -> Option<Breach> {
    let (address, mode) = (backend.address, backend.mode);
    match (way, mode) {
        (Way::Here, Mode::Local) => None,
        (Way::Here, _) => Some(Breach::Here {
            backend: address,
            mode,
        }),
        (Way::By { .. }, Mode::Local) => Some(Breach::NotHere(address)),
        (Way::By { on_link: false, .. }, Mode::L2) => Some(Breach::BehindGateway(address)),
        (Way::By { mtu, .. }, _) => {
            let overhead = mode.overhead(address.ip());
            let vip = *vips.iter().find(|vip| !vip.addresses.is_ipv4())?;
            let is_too_small = overhead > 0 && mtu > 0 && mtu < MIN_IPV6_MTU + overhead;
            is_too_small.then_some(Breach::MtuTooSmall {
                backend: address,
                vip,
                mtu,
                overhead,
            })
        }
    }
}

/// Those of `claims` whose key was claimed before: the key, by whom first, and by whom again.
pub fn repeated<K: Ord + Clone, O: Clone>(
    claims: impl IntoIterator<Item = (K, O)>,
) -> Vec<(K, O, O)> {
    let mut first: BTreeMap<K, O> = BTreeMap::new();
    let mut repeated = Vec::new();
    for (key, owner) in claims {
        if let Some(first) = first.get(&key) {
            repeated.push((key, first.clone(), owner));
        } else {
            first.insert(key, owner);
        }
    }
    repeated
}

/// A VIP that is a prefix and lies within another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap<O> {
    /// The narrower one.
    pub inner: Vip,
    /// Whose it is.
    pub inner_owner: O,
    /// The wider one.
    pub outer: Vip,
    /// Whose it is.
    pub outer_owner: O,
}

/// The VIPs among `claims` that are prefixes and lie within other ones, each once. VIPs of the same prefix are no
/// overlap, and a single address in a prefix is none: its VIPs come first, and the prefix takes the rest.
pub fn overlaps<O: Ord + Clone>(claims: impl IntoIterator<Item = (Vip, O)>) -> Vec<Overlap<O>> {
    let mut prefixes: Vec<(Vip, O)> = claims
        .into_iter()
        .filter(|(vip, _)| vip.is_prefix())
        .collect();
    // A prefix stands before those within it.
    prefixes.sort();
    let mut outermost: Option<(Vip, O)> = None;
    let mut found = Vec::new();
    for (vip, owner) in prefixes {
        match &outermost {
            Some((outer, _)) if outer.addresses == vip.addresses => {}
            Some((outer, outer_owner)) if outer.addresses.contains(vip.addresses) => {
                found.push(Overlap {
                    inner: vip,
                    inner_owner: owner,
                    outer: *outer,
                    outer_owner: outer_owner.clone(),
                });
            }
            _ => outermost = Some((vip, owner)),
        }
    }
    found
}
