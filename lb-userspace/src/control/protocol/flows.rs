//! Parameters and answers of the methods that look into the flow tables.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Protocol;

/// Which flows: those that all given parts fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowFilter {
    /// The service's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The backend that has them, `ADDRESS:PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// The client's address, whatever its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Which flows to list, and how many of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowList {
    /// As in [`FlowFilter::service`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// As in [`FlowFilter::backend`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// As in [`FlowFilter::source`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// At most so many, 1 to 10,000; default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

impl FlowList {
    /// Which flows.
    #[must_use]
    pub fn filter(&self) -> FlowFilter {
        FlowFilter {
            service: self.service.clone(),
            backend: self.backend.clone(),
            source: self.source.clone(),
        }
    }
}

/// Answer of `flows.list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlowRows {
    /// By client.
    pub flows: Vec<FlowRow>,
    /// Whether there are more than were asked for.
    pub more: bool,
}

/// A flow that is remembered: its packets go to the backend, whatever the lookup table says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct FlowRow {
    /// The client, `ADDRESS:PORT`.
    pub source: String,
    /// The VIP's address and port.
    pub destination: String,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: Protocol,
    /// The service's name.
    pub service: String,
    /// `ADDRESS:PORT`.
    pub backend: String,
}

/// Answer of `flows.count`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlowCounts {
    /// All of them.
    pub flows: u64,
    /// Of each backend that has some, by service and address.
    pub backends: Vec<FlowCount>,
}

/// How many flows a backend has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlowCount {
    /// The service's name.
    pub service: String,
    /// `ADDRESS:PORT`.
    pub backend: String,
    /// Remembered now.
    pub flows: u64,
}
