//! From what is wanted and what is, to ordered steps. Pure: the same input gives the same plan.
//!
//! The order of publication is that of ARCHITECTURE.md; `Planner::finish` puts the steps into it. Nothing that a packet
//! under way may still use is overwritten: a table goes into a free region of the arena, and what it replaces is cleaned
//! up after a grace period.

mod emergency;
pub mod impact;
mod index;
mod numbers;
mod order;
mod paths;
mod planner;
mod regions;
mod rotation;
mod scope;
mod servers;
mod service;
mod tables;
mod tracking;
mod vips;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use lb_common::vlan::VlanDevice;

use crate::{
    dataplane::{Actual, Capacity, Features, Step},
    desired::Desired,
    health::{Endpoint, Target},
    model::{ChosenSources, Health, Mode, Prefix, ProbeWay, Scope, ServiceName},
    neighbor::{NextHops, Unresolved},
};

pub use self::tracking::{Knowledge, Moving, Scale, Strays};
pub use self::{emergency::Emergency, index::Index, scope::plan_services, tables::Tables};
use self::{planner::Planner, vips::Vips};

/// What the daemon knows of the world outside the data plane.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// What probing has concluded; backends without an entry are taken to be up.
    pub health: &'a BTreeMap<Target, Health>,
    /// Where packets to the backends go.
    pub next_hops: &'a NextHops,
    /// Interfaces that replies may leave by.
    pub interfaces: &'a BTreeSet<u32>,
    /// How frames for the host's VLAN devices leave, and for those that carry some.
    pub vlans: &'a BTreeMap<u32, VlanDevice>,
    /// Where outer headers and the packets of full NAT come from, if the operator has chosen.
    pub sources: ChosenSources,
    /// How probes go the way of clients' packets.
    pub probes: ProbeWay,
    /// What has been learnt of the flows on slots that move.
    pub knowledge: &'a Knowledge,
}

/// All that a plan depends on.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// What the operator wants.
    pub desired: &'a Desired,
    /// What the world is like.
    pub world: World<'a>,
    /// What the kernel holds.
    pub actual: &'a Actual,
    /// How much it can hold.
    pub capacity: Capacity,
}

/// What to do, and what will then be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Whom it is for: of others it says nothing.
    pub scope: Scope,
    /// The publication's number: a new one if anything is published, else that of the last.
    pub generation: u32,
    /// The steps that bring what is wanted, in order.
    pub publish: Vec<Step>,
    /// The steps that take away what is no longer used; they begin with a grace period.
    pub clean: Vec<Step>,
    /// For every configured backend, whether new flows go to it.
    pub serving: BTreeMap<Target, Serving>,
    /// Where probes of backends connect that are probed by their VIP.
    pub paths: BTreeMap<Target, Endpoint>,
    /// For every service that has slots, how far they have come.
    pub moves: BTreeMap<ServiceName, Moving>,
    /// The slots that backends have yet that are to have none, and keep their flows.
    pub leaving: BTreeMap<Target, u32>,
    /// Backends whose share grows.
    pub growing: BTreeSet<Target>,
    /// The services that have too few backends left, and who serves there.
    pub emergencies: BTreeMap<ServiceName, Emergency>,
    /// What is wanted and does not fit.
    pub shortages: Vec<Shortage>,
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.publish.is_empty() && self.clean.is_empty()
    }
}

/// Whether new flows go to a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serving {
    /// Yes: so many slots of the lookup table are its own.
    Slots(u32),
    /// No, and why.
    No(NotServing),
}

/// Why no new flows go to a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotServing {
    /// The operator drains it.
    Draining,
    /// Its agent drains it.
    AgentDrains,
    /// The operator has switched it off.
    Disabled,
    /// Not enough probes yet.
    HealthUnknown,
    /// Probes fail.
    Unhealthy,
    /// It is a fallback backend, and enough others can serve.
    Standby,
    /// The kernel has not been asked for its next hop yet.
    NextHopPending,
    /// It has no next hop.
    Unresolved(Unresolved),
    /// Mode `l2` needs a backend on the same link, and this one is behind a gateway.
    BehindGateway,
    /// Mode `local` needs an address of this host, and this is none.
    NotThisHost,
    /// This host has no address that its packets, in this mode, could come from.
    NoSource(Mode),
    /// See [`Plan::shortages`].
    NoRoom,
}

impl fmt::Display for NotServing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Draining => f.write_str("draining"),
            Self::AgentDrains => f.write_str("its agent takes no new flows"),
            Self::Disabled => f.write_str("disabled"),
            Self::HealthUnknown => f.write_str("health not known yet"),
            Self::Unhealthy => f.write_str("unhealthy"),
            Self::Standby => f.write_str("standing by: enough ordinary backends can serve"),
            Self::NextHopPending => f.write_str("its next hop is being looked up"),
            Self::Unresolved(why) => why.fmt(f),
            Self::BehindGateway => f.write_str(
                "mode l2 needs a backend on the same link, and the route to it has a gateway",
            ),
            Self::NotThisHost => {
                f.write_str("mode local needs an address of this host, and this is another's")
            }
            Self::NoSource(mode) => write!(
                f,
                "this host has no address to send to it from: name one in {}",
                if mode.is_tunnel() {
                    "tunnel_sources"
                } else {
                    "sources of [daemon.snat]"
                }
            ),
            Self::NoRoom => f.write_str("no room in the maps"),
        }
    }
}

/// Something that is wanted and does not fit into the maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// All backend numbers are in use.
    Backends {
        /// Who got none.
        target: Target,
        /// How many there are.
        capacity: u32,
    },
    /// No free region for a table. The service keeps the table it has.
    Slots {
        /// Whose table.
        service: String,
        /// The table's size.
        slots: u32,
        /// The arena's size.
        capacity: u32,
    },
    /// More backends are configured than there are numbers, whether or not all have a next hop now.
    TooManyBackends {
        /// Configured, over all services.
        wanted: usize,
        /// The map's size; number 0 is reserved.
        capacity: u32,
    },
    /// More services than there are numbers.
    Services {
        /// Wanted.
        wanted: usize,
    },
    /// More QUIC server ids than the map holds.
    ServerIds {
        /// Wanted, over all services.
        wanted: usize,
        /// The map's size: two for each backend.
        capacity: u32,
    },
    /// More backends are probed by their VIP than there are aliases.
    Aliases {
        /// Backends without one.
        without: u32,
    },
    /// Aliases and something else would be the same addresses.
    AliasesTaken {
        /// Where aliases are taken from.
        aliases: Prefix,
        /// What VIPs or backends have.
        addresses: Prefix,
    },
    /// More VIPs and addresses than the map of their family holds.
    Vips {
        /// Wanted of one family, address entries counted.
        wanted: usize,
        /// The map's size.
        capacity: u32,
    },
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backends { target, capacity } => write!(
                f,
                "no number left for backend {} of service {}: there are {capacity}, raise max_backends",
                target.address, target.service
            ),
            Self::Slots {
                service,
                slots,
                capacity,
            } => write!(
                f,
                "no room for a table of {slots} slots for service {service} among {capacity}: raise max_slots or choose smaller tables"
            ),
            Self::TooManyBackends { wanted, capacity } => write!(
                f,
                "{wanted} backends are wanted, {} fit: raise max_backends",
                capacity.saturating_sub(1)
            ),
            Self::Services { wanted } => write!(
                f,
                "{wanted} services are wanted, and there are {} numbers for them: give services more VIPs or backends each",
                u16::MAX
            ),
            Self::ServerIds { wanted, capacity } => write!(
                f,
                "{wanted} QUIC server ids are wanted, {capacity} fit: raise max_backends, half of that number"
            ),
            Self::Aliases { without } => write!(
                f,
                "no alias left for {without} backends that are probed by their VIP: choose wider probe_aliases in [daemon]"
            ),
            Self::AliasesTaken { aliases, addresses } => write!(
                f,
                "{addresses} of a VIP or backend lies where aliases for probes by VIP are taken from, {aliases}: choose other probe_aliases in [daemon]"
            ),
            Self::Vips { wanted, capacity } => write!(
                f,
                "{wanted} VIPs and addresses of one IP version are wanted, {capacity} fit: raise max_vips"
            ),
        }
    }
}

/// What the program must do for those of `desired` that are concerned, whatever the health of their backends.
#[must_use]
pub fn features(desired: &Desired, scope: &Scope) -> Features {
    let services = || desired.within(scope);
    let vips = services().flat_map(|service| &service.vips);
    let backends = services().flat_map(|service| service.backends.values());
    let modes = backends.map(|backend| backend.mode);
    let algorithms = services().map(|service| service.algorithm);
    let features = Features::of(vips, modes, algorithms, &desired.blocklist);
    if services().any(|service| service.is_probed_via_vip()) {
        features.with(Features::REPLIES)
    } else {
        features
    }
}

/// Whether `desired` needs the interface of probes.
#[must_use]
pub fn needs_probe_interface(desired: &Desired) -> bool {
    paths::is_needed(desired)
}

/// Plans the way from `input.actual` to what is wanted.
///
/// `tables` remembers tables already computed; it changes how long this takes, never the answer.
#[must_use]
pub fn plan(input: Input<'_>, tables: &mut Tables) -> Plan {
    plan_all(input, tables).0
}

/// As [`plan`]; and the index that it has made, of what the kernel holds before any of the steps.
#[must_use]
pub fn plan_all(input: Input<'_>, tables: &mut Tables) -> (Plan, Index) {
    let index = Index::of(input.desired, input.actual);
    let vips = Vips::new(input.desired, input.actual, input.capacity.vips);
    let mut planner = Planner::new(input, &index, vips);
    for (name, service) in &input.desired.services {
        if let Some(&id) = index.numbers.get(name) {
            planner.service(id, service, tables);
        }
    }
    tables.retain(index.numbers.values().copied());
    planner.backend_room();
    planner.service_room(index.numbers.len());
    planner.path_shortages();
    let plan = planner.finish();
    (plan, index)
}

#[cfg(test)]
mod tests;
