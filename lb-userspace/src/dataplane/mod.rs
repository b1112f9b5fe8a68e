//! The kernel's side: what it holds, and the steps that change it.
//!
//! [`Actual`] is what the kernel holds, as values; [`Step`] is one write. Only this module and its children
//! name aya or map types.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use lb_common::{
    backend::BackendId,
    outcome::Outcome,
    table::{SLOTS_PER_ELEMENT, Slot},
    traffic::Traffic,
};

use crate::{
    model::{Mode, Vip},
    neighbor::NextHop,
};

/// The number of a service in the maps, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceId(pub u32);

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
    /// Whether remembered flows may still go to it.
    pub active: bool,
}

/// What the kernel holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Actual {
    /// The last publication.
    pub generation: u32,
    /// The VIPs.
    pub vips: BTreeMap<Vip, VipEntry>,
    /// Addresses with an address entry.
    pub addresses: BTreeSet<IpAddr>,
    /// The backends.
    pub backends: BTreeMap<BackendId, BackendEntry>,
    /// The lookup tables that VIPs point to.
    pub tables: BTreeMap<Region, Arc<[Slot]>>,
    /// Interfaces that packets may be redirected to.
    pub devices: BTreeSet<u32>,
    /// Regions that no VIP points to any more, but a packet under way may still read.
    pub retired: BTreeSet<Region>,
}

/// One write to the kernel. Each is atomic and safe to repeat.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Allows redirects to an interface.
    PutDevice(u32),
    /// Writes a backend.
    PutBackend(BackendId, BackendEntry),
    /// Writes a lookup table into a region that nobody reads.
    WriteTable(Region, Arc<[Slot]>),
    /// Publishes a VIP: from here on its packets use the region. The address entry comes before it.
    PutVip(Vip, VipEntry),
    /// Takes a VIP away; with the last one of its address, the address entry.
    RemoveVip(Vip),
    /// Waits until no packet under way can still use what was replaced; empties `retired`.
    Grace,
    /// Takes a backend away that no table names.
    RemoveBackend(BackendId),
    /// Forbids redirects to an interface.
    RemoveDevice(u32),
}

/// Packets by outcome, all CPUs summed.
pub type Ledger = BTreeMap<Outcome, u64>;

/// A write or read that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {source}")]
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

    /// Packets by outcome.
    ///
    /// # Errors
    /// The map could not be read.
    fn ledger(&self) -> Result<Ledger, DataplaneError>;

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
}

impl Default for Capacity {
    fn default() -> Self {
        Self {
            slots: 1 << 21,
            backends: 4_096,
            vips: 4_096,
            flows: 1 << 18,
        }
    }
}
