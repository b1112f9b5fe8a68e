//! The parameters of the methods.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Receiver;
use crate::config::spec::{
    BackendSpec, DynamicWeightsSpec, MovesSpec, ProbeSpec, QuicConfigSpec, TableSlotsSpec,
};

/// No parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// Which service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceRef {
    /// Its name.
    pub name: String,
}

/// Changes the parts of a service that are given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceUpdate {
    /// Which service.
    pub name: String,
    /// Replaces all VIPs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vips: Option<Vec<String>>,
    /// Replaces the mode of backends added from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Replaces the table's size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_slots: Option<TableSlotsSpec>,
    /// Replaces how a new flow gets its slot: `maglev`, `source-hash`, `random`, `round-robin`,
    /// `least-connections`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// Replaces the probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeSpec>,
    /// Takes the probe away: backends are taken to be up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_probe: bool,
    /// Replaces how many ordinary backends must be able to serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_healthy: Option<u32>,
    /// Replaces how many per cent of them must not be down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panic_threshold: Option<u32>,
    /// Replaces which flows are remembered: `on-demand`, `always`, `off`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
    /// Replaces how long flows of a slot are remembered before it moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learn_for: Option<String>,
    /// Replaces how many per cent of the slots move at once between backends that go on serving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_step: Option<u32>,
    /// Replaces how long the share of a backend that begins to serve grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<String>,
    /// Replaces what weights follow, as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic_weights: Option<DynamicWeightsSpec>,
    /// Weights are as configured.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_dynamic_weights: bool,
    /// Replaces the QUIC-LB configurations; an empty list takes them away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quic_lb: Option<Vec<QuicConfigSpec>>,
    /// Replaces the limit of each source, with `source_burst` or without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_rate: Option<u32>,
    /// Only with `source_rate`: packets at once; as many as in a second if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_burst: Option<u32>,
    /// Takes the limit of each source away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_source_rate: bool,
}

impl ServiceUpdate {
    pub(crate) fn moves(&self) -> MovesSpec<'_> {
        MovesSpec {
            tracking: self.tracking.as_deref(),
            learn_for: self.learn_for.as_deref(),
            max_step: self.max_step,
            slow_start: self.slow_start.as_deref(),
        }
    }
}

/// Removes a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceRemove {
    /// Its name.
    pub name: String,
    /// Also while it has backends that are `up`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Adds a backend to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackendAdd {
    /// The service's name.
    pub service: String,
    /// `ADDRESS:PORT`, unique in its service.
    pub address: String,
    /// 1 (default) to 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// A mode; the service's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// `up` (default), `drain` or `down`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// `ordinary` (default) or `fallback`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What QUIC connection ids call it, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_ids: Vec<String>,
}

impl BackendAdd {
    /// The backend alone, as it stands in a file.
    #[must_use]
    pub fn spec(&self) -> BackendSpec {
        BackendSpec {
            address: self.address.clone(),
            weight: self.weight,
            mode: self.mode.clone(),
            state: self.state.clone(),
            role: self.role.clone(),
            server_ids: self.server_ids.clone(),
        }
    }
}

/// Which backend of which service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackendRef {
    /// The service's name.
    pub service: String,
    /// `ADDRESS:PORT`.
    pub address: String,
}

/// Changes the parts of a backend that are given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackendUpdate {
    /// The service's name.
    pub service: String,
    /// `ADDRESS:PORT`.
    pub address: String,
    /// 1 to 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// A mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// `ordinary` or `fallback`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Replaces what QUIC connection ids call it; an empty list takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_ids: Option<Vec<String>>,
}

/// Removes a backend: it drains first, and goes when `drain_timeout` has passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackendRemove {
    /// The service's name.
    pub service: String,
    /// `ADDRESS:PORT`.
    pub address: String,
    /// At once, whatever flows it has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// How long it drains, like `"30s"` (the default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_timeout: Option<String>,
}

/// Which backends to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackendList {
    /// Only those of this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// Of which backend it is asked what its host needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackendSetup {
    /// The service's name.
    pub service: String,
    /// `ADDRESS:PORT`.
    pub address: String,
    /// What takes tunnels off there: `decap` (default) or `kernel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<Receiver>,
    /// Prefixes of other balancers that tunnels come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// The way back: what no other backend of this address needs is taken away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undo: bool,
}

/// Prefixes of sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prefixes {
    /// `ADDRESS/LENGTH`, or an address for itself alone.
    pub prefixes: Vec<String>,
}
