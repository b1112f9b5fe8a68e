//! The kernel's side: what it holds, and the steps that change it.
//!
//! [`Actual`] is what the kernel holds, as values; [`Step`] is one write. Only this module and its children
//! name aya or map types; [`kernel`] is the real thing.

mod abi;
mod actual;
mod arena;
pub mod attach;
pub mod decap;
mod features;
mod flows;
pub mod kernel;
pub mod ledger;
mod load;
mod loads;
#[cfg(feature = "log")]
pub mod log;
mod mapped;
#[cfg(test)]
pub(crate) mod memory;
mod paths;
mod pins;
mod prefixes;
pub mod probe;
mod selftest;
mod source;
pub mod trial;
mod vips;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use lb_common::{
    backend::BackendId,
    placement::Extent,
    settings::Settings,
    table::{SLOTS_PER_ELEMENT, Slot},
    traffic::Traffic,
    vlan::VlanDevice,
};

use crate::{
    model::{Algorithm, Mode, Prefix, QuicLb, ServerId, Source, SourceLimit, Vip},
    neighbor::NextHop,
};

pub use actual::Actual;
pub use features::Features;
pub use flows::{FlowTables, Hashes, RememberedFlow};
pub use loads::Counted;
pub use pins::Pins;
pub use vips::placement;

/// The number of a service in the maps, from 1 to 65,535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceId(pub u16);

/// A part of the arena: where one lookup table stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region {
    /// The first slot; a multiple of [`SLOTS_PER_ELEMENT`].
    pub offset: u32,
    /// The number of slots; 0: no table.
    pub slots: u32,
}

impl Region {
    /// The first slot after the region that another table may begin at.
    #[must_use]
    pub const fn end(self) -> u32 {
        self.offset + self.slots.next_multiple_of(SLOTS_PER_ELEMENT)
    }
}

/// A VIP as published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VipEntry {
    /// Its lookup table.
    pub region: Region,
    /// The publication that wrote it.
    pub generation: u32,
    /// The service it belongs to.
    pub service: ServiceId,
    /// How much each source may send.
    pub source_limit: Option<SourceLimit>,
    /// What QUIC connection ids look like; none but on UDP VIPs.
    pub quic_lb: QuicLb,
    /// How a new flow gets its slot.
    pub algorithm: Algorithm,
}

/// A QUIC server id of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerKey {
    /// The service.
    pub service: ServiceId,
    /// What connection ids call one of its backends.
    pub id: ServerId,
}

/// The backend that has a server id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerEntry {
    /// Its number.
    pub backend: BackendId,
    /// Names the use of the number.
    pub generation: u32,
}

/// A backend as published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendEntry {
    /// Names this use of the number.
    pub generation: u32,
    /// The service it belongs to.
    pub service: ServiceId,
    /// Its address and port.
    pub address: SocketAddr,
    /// How packets reach it.
    pub mode: Mode,
    /// Where its packets go.
    pub next_hop: NextHop,
    /// Where its packets, or their outer headers, come from; only in modes in which that is an address of ours.
    pub source: Option<Source>,
    /// Whether remembered flows may still go to it.
    pub active: bool,
    /// How many flows it is to have beside the others of its service: weight times per cent; 0 where nobody counts.
    pub load_weight: u32,
}

/// What an alias stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathEntry {
    /// The VIP's address, of the alias's IP version.
    pub vip: IpAddr,
    /// The address of this host that the backend answers to, likewise.
    pub source: IpAddr,
    /// The backend's number.
    pub backend: BackendId,
    /// Names the use of the number.
    pub generation: u32,
    /// Index of the interface of probes.
    pub interface: u32,
}

/// One write to the kernel. Each is atomic and safe to repeat.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Allows redirects to an interface.
    PutDevice(u32),
    /// Says how frames for an interface leave that is a VLAN device or carries some.
    PutVlan(u32, VlanDevice),
    /// Writes a backend.
    PutBackend(BackendId, BackendEntry),
    /// Gives a backend a server id, of which it is the only one from here on.
    PutServer(ServerKey, ServerEntry),
    /// Makes an alias stand for a VIP on a backend.
    PutPath(IpAddr, PathEntry),
    /// Makes an alias stand for nothing.
    RemovePath(IpAddr),
    /// Takes a server id away.
    RemoveServer(ServerKey),
    /// Writes a lookup table into a region that nobody reads.
    WriteTable(Region, Arc<[Slot]>),
    /// Puts a prefix on the blocklist.
    Block(Prefix),
    /// Publishes a VIP: from here on its packets use the region. The first one of its addresses adds the address
    /// entry, or the prefix.
    PutVip(Vip, VipEntry),
    /// Takes a VIP away; with the last one of its addresses, the address entry, or the prefix.
    RemoveVip(Vip),
    /// Takes a prefix off the blocklist.
    Unblock(Prefix),
    /// Waits until no packet under way can still use what was replaced; empties `retired`.
    Grace,
    /// Takes a backend away that no table names.
    RemoveBackend(BackendId),
    /// Forbids redirects to an interface.
    RemoveDevice(u32),
    /// Forgets how frames for an interface leave.
    RemoveVlan(u32),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PutDevice(index) => write!(f, "allow redirects to interface {index}"),
            Self::PutVlan(index, device) => {
                let VlanDevice { parent, vlan, .. } = device;
                let id = vlan.id();
                write!(f, "send for interface {index} by {parent} in VLAN {id}")
            }
            Self::PutBackend(id, entry) => {
                write!(f, "write backend {} as number {}", entry.address, id.0)
            }
            Self::PutServer(key, entry) => {
                let number = entry.backend.0;
                write!(f, "give server id {} to backend number {number}", key.id)
            }
            Self::PutPath(alias, entry) => {
                let (vip, number) = (entry.vip, entry.backend.0);
                write!(f, "let {alias} stand for {vip} on backend number {number}")
            }
            Self::RemovePath(alias) => write!(f, "let {alias} stand for nothing"),
            Self::RemoveServer(key) => write!(f, "take server id {} away", key.id),
            Self::WriteTable(region, _) => {
                write!(
                    f,
                    "write a table of {} slots at {}",
                    region.slots, region.offset
                )
            }
            Self::PutVip(vip, entry) => {
                write!(f, "publish {vip} with {} slots", entry.region.slots)
            }
            Self::RemoveVip(vip) => write!(f, "take {vip} away"),
            Self::Block(prefix) => write!(f, "put {prefix} on the blocklist"),
            Self::Unblock(prefix) => write!(f, "take {prefix} off the blocklist"),
            Self::Grace => f.write_str("wait for packets under way"),
            Self::RemoveBackend(id) => write!(f, "take backend number {} away", id.0),
            Self::RemoveDevice(index) => write!(f, "forbid redirects to interface {index}"),
            Self::RemoveVlan(index) => write!(f, "forget the VLAN of interface {index}"),
        }
    }
}

/// A write or read that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("{action}")]
pub struct DataplaneError {
    /// What was attempted, and on what.
    pub action: String,
    /// What the kernel said.
    #[source]
    pub source: anyhow::Error,
}

/// A data plane that can be read, written and counted. `actual` is in step with every write that worked.
pub trait Dataplane {
    /// What it holds.
    fn actual(&self) -> &Actual;

    /// How much it can hold.
    fn capacity(&self) -> Capacity;

    /// Reads everything again: what somebody else changed is seen here.
    ///
    /// # Errors
    /// A map could not be read.
    fn refresh(&mut self) -> Result<(), DataplaneError>;

    /// Does one step.
    ///
    /// # Errors
    /// The kernel refused; nothing has changed.
    fn apply(&mut self, step: &Step) -> Result<(), DataplaneError>;

    /// Notes that all steps of publication `generation` have been done.
    fn published(&mut self, generation: u32);

    /// A backend's counters, all CPUs summed. They belong to the number and survive its reuse.
    ///
    /// # Errors
    /// The map could not be read.
    fn traffic(&self, backend: BackendId) -> Result<Traffic, DataplaneError>;
}

/// Sizes of the maps, fixed at load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Slots in the arena; a multiple of [`SLOTS_PER_ELEMENT`].
    pub slots: u32,
    /// Backend numbers, 0 among them.
    pub backends: u32,
    /// VIPs per IP version, address entries among them.
    pub vips: u32,
    /// Flows per IP version.
    pub flows: u32,
    /// Sources per IP version whose packets are counted against a limit.
    pub sources: u32,
}

impl Capacity {
    /// Flows per IP version of one packet so far, besides [`flows`](Self::flows): a quarter of these.
    #[must_use]
    pub const fn fresh_flows(&self) -> u32 {
        let quarter = self.flows / 4;
        if quarter == 0 { 1 } else { quarter }
    }

    /// Buckets and places for VIPs.
    #[must_use]
    pub const fn vip_extent(&self) -> Extent {
        Extent::of(self.vips)
    }

    /// QUIC server ids of all services: two for each backend, so that each can have an old and a new one.
    #[must_use]
    pub const fn server_ids(&self) -> u32 {
        self.backends.saturating_mul(2)
    }
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            slots: 1 << 21,
            backends: 4_096,
            vips: Settings::VIPS,
            flows: 1 << 18,
            sources: 1 << 16,
        }
    }
}
