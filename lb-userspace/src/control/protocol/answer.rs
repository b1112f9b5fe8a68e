//! What the methods answer.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::{
        Fault,
        spec::{QuicConfigSpec, ServiceSpec},
    },
    model::{AdminState, Algorithm, Health, Mode, Role},
};

/// Answer of `version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// The daemon's version.
    pub daemon: String,
    /// [`API_VERSION`](super::API_VERSION).
    pub api: u32,
    /// Version of the maps' layout.
    pub abi: u32,
    /// The kernel's release.
    pub kernel: String,
}

/// Answer of every call that changes state: the change is in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// The generation that carries the change.
    pub generation: u32,
    /// What the operator should know: backends that take no traffic, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Applied {
    /// The same, with these warnings before the others.
    #[must_use]
    pub fn with(mut self, warnings: Vec<String>) -> Self {
        self.warnings.splice(..0, warnings);
        self
    }
}

/// Answer of `detach`: nothing is balanced any more, and the daemon ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Detached {
    /// Interfaces that the program was attached to.
    pub interfaces: Vec<String>,
}

/// Answer of `config.check`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checked {
    /// Whether it could be applied.
    pub valid: bool,
    /// Every fault, if not.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// Answer of `service.list`; `service.get` answers one [`ServiceSpec`] by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceRows {
    /// By name, as configured.
    pub services: Vec<ServiceSpec>,
}

/// Answer of `backend.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendRows {
    /// By service and address.
    pub backends: Vec<BackendStatus>,
}

/// One backend, as wanted and as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendStatus {
    /// The service's name.
    pub service: String,
    /// `ADDRESS:PORT`.
    pub address: String,
    /// 1 to 1,000.
    pub weight: u32,
    /// How much of it counts at present; absent if the service's weights are as configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_weight: Option<CurrentWeight>,
    /// How packets reach it.
    pub mode: Mode,
    /// What the operator wants of it.
    pub state: AdminState,
    /// Whether it is being removed when it has drained.
    pub removing: bool,
    /// When it takes new flows; absent if it is an ordinary backend.
    #[serde(default, skip_serializing_if = "Role::is_ordinary")]
    pub role: Role,
    /// What probing concluded.
    pub health: Health,
    /// Since when, in milliseconds since 1970; absent before the first conclusion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_since_ms: Option<u64>,
    /// Why, in words: the last probe's result.
    pub health_reason: String,
    /// Whether new flows can go to it now.
    pub serving: bool,
    /// Why not, in words, if not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_serving_because: Option<String>,
    /// Slots of the lookup table that it has.
    pub slots: u32,
    /// Flows that it has yet, while it drains and when they have been counted: those that are remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows_left: Option<u64>,
    /// What QUIC connection ids call it, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_ids: Vec<String>,
}

/// How much of a configured weight counts at present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CurrentWeight {
    /// Per cent of the configured weight.
    pub percent: u32,
    /// Whether no new flows go to the backend because its agent says so.
    pub drains: bool,
    /// Why, in words.
    pub reason: String,
}

/// Answer of `blocklist.list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blocklist {
    /// `ADDRESS/LENGTH`, IPv4 before IPv6, by address.
    pub prefixes: Vec<String>,
}

/// Answer of `status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The last publication.
    pub generation: u32,
    /// Milliseconds since the daemon started.
    pub uptime_ms: u64,
    /// Whether everything wanted is in the kernel, and can be saved.
    pub in_sync: bool,
    /// What could not be applied or saved and is being retried.
    #[serde(default)]
    pub errors: Vec<String>,
    /// Interfaces and how the program is attached to them.
    pub interfaces: Vec<InterfaceStatus>,
    /// The services.
    pub services: Vec<ServiceStatus>,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// `native`, `generic`, or `detached`.
    pub xdp_mode: String,
}

/// One service as wanted and as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// `ADDRESS:PORT/PROTOCOL`.
    pub vips: Vec<String>,
    /// What QUIC connection ids that name a backend look like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quic_lb: Vec<QuicConfigSpec>,
    /// How its flows get their slots; absent: by the hash of their 5-tuple (`maglev`).
    #[serde(default, skip_serializing_if = "Algorithm::is_default")]
    pub algorithm: Algorithm,
    /// Slots of its lookup table.
    pub table_slots: u32,
    /// The publication that last changed its table or its VIPs.
    pub generation: u32,
    /// How far its slots have come on their way to other backends; absent if flows of none are remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moves: Option<SlotMoves>,
    /// That too few of its backends are left, and who serves then, in words; absent if enough are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emergency: Option<String>,
    /// Its backends.
    pub backends: Vec<BackendStatus>,
}

/// Slots of a service that move, have moved or may move at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlotMoves {
    /// Slots whose flows are remembered.
    pub tracked: u32,
    /// Of these, those that learn which flows they have, and move then.
    pub learning: u32,
    /// Of these, those that are where they belong, and have flows elsewhere.
    pub lingering: u32,
    /// Slots that are to move after those that learn.
    pub waiting: u32,
}

/// Answer of `stats`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// The last publication.
    pub generation: u32,
    /// Packets by outcome since the program was first attached: `pass.not_vip`, `drop.truncated`,
    /// `forward.forwarded` and so on, zeros included. Their sum is the number of packets received.
    pub ledger: BTreeMap<String, u64>,
    /// The ledger's sum.
    pub packets: u64,
    /// The same for each interface that the program is or was attached to, by name. Their sums are the ledger.
    #[serde(default)]
    pub interfaces: Vec<InterfaceLedger>,
    /// What was counted on interfaces that have no ledger any more; absent if nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Counted>,
    /// Per service, summed over its backends.
    pub services: Vec<ServiceTraffic>,
    /// The probes of all services.
    #[serde(default)]
    pub probes: ProbeCounts,
}

/// Probes since the daemon started, and how much later than they were due they began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeCounts {
    /// That came to a result.
    pub made: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// That this host could not make.
    pub impossible: u64,
    /// Half of them began no later than so many microseconds after they were due.
    pub late_p50_us: u64,
    /// The same of 99 in 100.
    pub late_p99_us: u64,
    /// The latest.
    pub late_max_us: u64,
}

/// What the packets of one interface came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InterfaceLedger {
    /// The interface's name.
    pub name: String,
    /// Its packets. One that goes and comes back under the same name goes on counting.
    #[serde(flatten)]
    pub counted: Counted,
}

/// Packets by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counted {
    /// All of them: as many as came in.
    pub packets: u64,
    /// By outcome, without those that no packet had.
    pub ledger: BTreeMap<String, u64>,
}

/// Traffic of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceTraffic {
    /// Its name.
    pub name: String,
    /// Sums over the backends.
    #[serde(flatten)]
    pub total: TrafficCounts,
    /// Each backend.
    pub backends: Vec<BackendTraffic>,
}

/// Traffic of one backend since it was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendTraffic {
    /// `ADDRESS:PORT`.
    pub address: String,
    /// The counters.
    #[serde(flatten)]
    pub counts: TrafficCounts,
}

/// Counters of forwarded traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficCounts {
    /// Packets forwarded to backends.
    pub packets: u64,
    /// Bytes of those frames as received.
    pub bytes: u64,
    /// Flows newly remembered.
    pub flows: u64,
}
