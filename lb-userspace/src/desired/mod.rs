//! What the operator wants: services and the blocklist, and the changes one may make to them.
//!
//! A change is applied whole or refused with a [`Refusal`] and no effect. What must hold, within services and across
//! them, is in [`rules`], [`blocklist`] and [`Desired::check`] and nowhere else, for the file and the socket alike.

mod apply;
pub mod blocklist;
mod difference;
mod leaving;
mod refusal;
pub mod rules;

pub use refusal::{Refusal, RefusalKind};

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use crate::model::{
    AdminState, Algorithm, Backend, DynamicWeights, Mode, MovesUpdate, Prefix, Probe, QuicLb, Role,
    ServerId, Service, ServiceName, SourceLimit, TableSlots, Vip, Weight,
};

/// All that the operator wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Desired {
    /// The services, by name; one that has not changed is shared with the copies of what was wanted before.
    pub services: BTreeMap<ServiceName, Arc<Service>>,
    /// Sources whose packets to VIP addresses are dropped; none contains another.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub blocklist: BTreeSet<Prefix>,
}

/// One change an operator may make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new service.
    AddService(Service),
    /// New values for the parts that are given.
    UpdateService {
        /// Which service.
        name: ServiceName,
        /// Replaces the set of VIPs.
        vips: Option<BTreeSet<Vip>>,
        /// Replaces the mode of backends added from now on.
        mode: Option<Mode>,
        /// Replaces the table's size.
        table_slots: Option<TableSlots>,
        /// Replaces how flows get their slots; with it comes which flows are remembered, if the two depend on each other
        /// and `moves` does not say.
        algorithm: Option<Algorithm>,
        /// Replaces the probe; `Some(None)` takes it away.
        probe: Option<Option<Probe>>,
        /// Replaces how many ordinary backends must be able to serve.
        min_healthy: Option<u32>,
        /// Replaces how many per cent of them must not be down.
        panic_threshold: Option<u32>,
        /// Replaces parts of how slots move.
        moves: MovesUpdate,
        /// Replaces the limit of each source; `Some(None)` takes it away.
        source_limit: Option<Option<SourceLimit>>,
        /// Replaces what weights follow; `Some(None)`: nothing any more.
        dynamic_weights: Option<Option<DynamicWeights>>,
        /// Replaces the QUIC-LB configurations; without any, connection ids are not read.
        quic_lb: Option<QuicLb>,
    },
    /// The service goes, with all its backends.
    RemoveService {
        /// Which service.
        name: ServiceName,
        /// Also if it has backends that are `up`.
        force: bool,
    },
    /// A new backend.
    AddBackend {
        /// Which service.
        service: ServiceName,
        /// The backend.
        backend: Backend,
    },
    /// New values for the parts that are given.
    UpdateBackend {
        /// Which service.
        service: ServiceName,
        /// Which backend.
        address: SocketAddr,
        /// Replaces the weight.
        weight: Option<Weight>,
        /// Replaces the mode.
        mode: Option<Mode>,
        /// Replaces the state, and calls off a removal under way.
        state: Option<AdminState>,
        /// Replaces the role.
        role: Option<Role>,
        /// Replaces the QUIC server ids.
        server_ids: Option<BTreeSet<ServerId>>,
    },
    /// The backend drains and goes when the deadline has passed; at once if there is none, or if it is
    /// `down` and has nothing to drain.
    RemoveBackend {
        /// Which service.
        service: ServiceName,
        /// Which backend.
        address: SocketAddr,
        /// When it goes; `None`: at once, whatever flows it has.
        at: Option<SystemTime>,
    },
    /// Prefixes go on the blocklist.
    Block(BTreeSet<Prefix>),
    /// Prefixes come off the blocklist.
    Unblock(BTreeSet<Prefix>),
    /// Everything is replaced: a file was applied.
    Replace(Desired),
}

#[cfg(test)]
mod tests;
