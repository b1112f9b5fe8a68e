//! The methods and their parameters.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ConfigApply, ConfigDiff, ConfigGet, ConfigRollback, ConfigText, ErrorCode, FlowFilter,
    FlowList, Receiver, RpcError,
};
use crate::config::spec::{BackendSpec, ProbeSpec, QuicConfigSpec, ServiceSpec, TableSlotsSpec};

/// A call, as a method's name and its parameters.
///
/// `#[serde(tag = "method", content = "params")]`: the JSON of a request without `jsonrpc` and `id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "method", content = "params")]
pub enum Call {
    /// Versions of the daemon, the protocol, the ABI and the kernel.
    #[serde(rename = "version")]
    Version(NoParams),
    /// Adds a service, with or without backends.
    #[serde(rename = "service.add")]
    ServiceAdd(ServiceSpec),
    /// Changes the parts that are given.
    #[serde(rename = "service.update")]
    ServiceUpdate(ServiceUpdate),
    /// Removes a service and its backends.
    #[serde(rename = "service.remove")]
    ServiceRemove(ServiceRemove),
    /// One service as configured.
    #[serde(rename = "service.get")]
    ServiceGet(ServiceRef),
    /// All services as configured.
    #[serde(rename = "service.list")]
    ServiceList(NoParams),
    /// Adds a backend.
    #[serde(rename = "backend.add")]
    BackendAdd(BackendAdd),
    /// Changes weight or mode.
    #[serde(rename = "backend.update")]
    BackendUpdate(BackendUpdate),
    /// Drains a backend, then removes it.
    #[serde(rename = "backend.remove")]
    BackendRemove(BackendRemove),
    /// No new flows; those it has stay.
    #[serde(rename = "backend.drain")]
    BackendDrain(BackendRef),
    /// Back to `up` from `drain`.
    #[serde(rename = "backend.undrain")]
    BackendUndrain(BackendRef),
    /// Back to `up` from any state.
    #[serde(rename = "backend.enable")]
    BackendEnable(BackendRef),
    /// No packets at all; its flows move at once.
    #[serde(rename = "backend.disable")]
    BackendDisable(BackendRef),
    /// Backends with state and health.
    #[serde(rename = "backend.list")]
    BackendList(BackendList),
    /// What a backend's host needs for its mode.
    #[serde(rename = "backend.setup")]
    BackendSetup(BackendSetup),
    /// Puts prefixes on the blocklist.
    #[serde(rename = "blocklist.add")]
    BlocklistAdd(Prefixes),
    /// Takes prefixes off the blocklist.
    #[serde(rename = "blocklist.remove")]
    BlocklistRemove(Prefixes),
    /// The blocklist.
    #[serde(rename = "blocklist.list")]
    BlocklistList(NoParams),
    /// Every fault of a configuration, without applying it.
    #[serde(rename = "config.check")]
    ConfigCheck(ConfigText),
    /// What applying a configuration would do.
    #[serde(rename = "config.plan")]
    ConfigPlan(ConfigApply),
    /// Replaces everything by a configuration.
    #[serde(rename = "config.apply")]
    ConfigApply(ConfigApply),
    /// How the running configuration differs from another.
    #[serde(rename = "config.diff")]
    ConfigDiff(ConfigDiff),
    /// The running configuration, or one that was applied before.
    #[serde(rename = "config.get")]
    ConfigGet(ConfigGet),
    /// The configurations that were applied.
    #[serde(rename = "config.history")]
    ConfigHistory(NoParams),
    /// Goes back to a configuration that was applied before.
    #[serde(rename = "config.rollback")]
    ConfigRollback(ConfigRollback),
    /// Attachments, generation, services and health with reasons.
    #[serde(rename = "status")]
    Status(NoParams),
    /// Counters: ledger, services, backends.
    #[serde(rename = "stats")]
    Stats(NoParams),
    /// Flows that are remembered.
    #[serde(rename = "flows.list")]
    FlowsList(FlowList),
    /// How many flows are remembered, by backend.
    #[serde(rename = "flows.count")]
    FlowsCount(FlowFilter),
}

/// The names of all methods, as a client may call them.
pub const METHODS: [&str; 29] = [
    "version",
    "service.add",
    "service.update",
    "service.remove",
    "service.get",
    "service.list",
    "backend.add",
    "backend.update",
    "backend.remove",
    "backend.drain",
    "backend.undrain",
    "backend.enable",
    "backend.disable",
    "backend.list",
    "backend.setup",
    "blocklist.add",
    "blocklist.remove",
    "blocklist.list",
    "config.check",
    "config.plan",
    "config.apply",
    "config.diff",
    "config.get",
    "config.history",
    "config.rollback",
    "status",
    "stats",
    "flows.list",
    "flows.count",
];

impl Call {
    /// Reads a call from a method's name and its parameters; absent parameters are `{}`.
    ///
    /// # Errors
    /// [`ErrorCode::MethodNotFound`]; [`ErrorCode::InvalidParams`] with serde's words (they name the
    /// unknown or missing field).
    pub fn decode(method: &str, params: Option<Value>) -> Result<Self, RpcError> {
        fn read<P: for<'de> Deserialize<'de>>(
            method: &str,
            params: Option<Value>,
        ) -> Result<P, RpcError> {
            let params = params.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
            if !params.is_object() {
                let message = format!("params of {method} must be an object with named fields");
                return Err(RpcError::new(ErrorCode::InvalidParams, message));
            }
            serde_json::from_value(params).map_err(|error| {
                RpcError::new(
                    ErrorCode::InvalidParams,
                    format!("params of {method}: {error}"),
                )
            })
        }
        Ok(match method {
            "version" => Self::Version(read(method, params)?),
            "service.add" => Self::ServiceAdd(read(method, params)?),
            "service.update" => Self::ServiceUpdate(read(method, params)?),
            "service.remove" => Self::ServiceRemove(read(method, params)?),
            "service.get" => Self::ServiceGet(read(method, params)?),
            "service.list" => Self::ServiceList(read(method, params)?),
            "backend.add" => Self::BackendAdd(read(method, params)?),
            "backend.update" => Self::BackendUpdate(read(method, params)?),
            "backend.remove" => Self::BackendRemove(read(method, params)?),
            "backend.drain" => Self::BackendDrain(read(method, params)?),
            "backend.undrain" => Self::BackendUndrain(read(method, params)?),
            "backend.enable" => Self::BackendEnable(read(method, params)?),
            "backend.disable" => Self::BackendDisable(read(method, params)?),
            "backend.list" => Self::BackendList(read(method, params)?),
            "backend.setup" => Self::BackendSetup(read(method, params)?),
            "blocklist.add" => Self::BlocklistAdd(read(method, params)?),
            "blocklist.remove" => Self::BlocklistRemove(read(method, params)?),
            "blocklist.list" => Self::BlocklistList(read(method, params)?),
            "config.check" => Self::ConfigCheck(read(method, params)?),
            "config.plan" => Self::ConfigPlan(read(method, params)?),
            "config.apply" => Self::ConfigApply(read(method, params)?),
            "config.diff" => Self::ConfigDiff(read(method, params)?),
            "config.get" => Self::ConfigGet(read(method, params)?),
            "config.history" => Self::ConfigHistory(read(method, params)?),
            "config.rollback" => Self::ConfigRollback(read(method, params)?),
            "status" => Self::Status(read(method, params)?),
            "stats" => Self::Stats(read(method, params)?),
            "flows.list" => Self::FlowsList(read(method, params)?),
            "flows.count" => Self::FlowsCount(read(method, params)?),
            other => {
                let message = format!("no method `{other}`; there are: {}", METHODS.join(", "));
                return Err(RpcError::new(ErrorCode::MethodNotFound, message));
            }
        })
    }

    /// Whether the call only reads.
    #[must_use]
    pub const fn is_read_only(&self) -> bool {
        matches!(
            self,
            Self::Version(_)
                | Self::ServiceGet(_)
                | Self::ServiceList(_)
                | Self::BackendList(_)
                | Self::BackendSetup(_)
                | Self::BlocklistList(_)
                | Self::ConfigCheck(_)
                | Self::ConfigPlan(_)
                | Self::ConfigDiff(_)
                | Self::ConfigGet(_)
                | Self::ConfigHistory(_)
                | Self::Status(_)
                | Self::Stats(_)
                | Self::FlowsList(_)
                | Self::FlowsCount(_)
        )
    }
}

/// No parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// Which service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceRef {
    /// Its name.
    pub name: String,
}

/// Changes the parts of a service that are given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Replaces the probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeSpec>,
    /// Takes the probe away: backends are taken to be up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_probe: bool,
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

/// Removes a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceRemove {
    /// Its name.
    pub name: String,
    /// Also while it has backends that are `up`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Adds a backend to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
            server_ids: self.server_ids.clone(),
        }
    }
}

/// Which backend of which service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendRef {
    /// The service's name.
    pub service: String,
    /// `ADDRESS:PORT`.
    pub address: String,
}

/// Changes the parts of a backend that are given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Replaces what QUIC connection ids call it; an empty list takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_ids: Option<Vec<String>>,
}

/// Removes a backend: it drains first, and goes when `drain_timeout` has passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackendList {
    /// Only those of this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// Of which backend it is asked what its host needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prefixes {
    /// `ADDRESS/LENGTH`, or an address for itself alone.
    pub prefixes: Vec<String>,
}
