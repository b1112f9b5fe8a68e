//! Parameters and answers of the methods that deal with a configuration as a whole.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{Difference, spec::ConfigSpec};

/// A whole configuration, as TOML text or as a JSON object of the same shape: exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigText {
    /// The text of a configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toml: Option<String>,
    /// The same as an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigSpec>,
}

/// A whole configuration, and how much applying it may move.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigApply {
    /// The text of a configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toml: Option<String>,
    /// The same as an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigSpec>,
    /// What it may move; without limits if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// How long backends drain that it leaves out of their services, after their slots have moved, for example `5m`; 30
    /// seconds if absent, with `0s` they go at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_timeout: Option<String>,
}

/// How much a configuration may move; what is absent is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// So many per cent of any one service's slots, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_slots_percent: Option<u32>,
    /// So many remembered flows of all services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_flows: Option<u64>,
}

/// What to compare the running configuration with: at most one of the three; without any, the file that the daemon was
/// started with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigDiff {
    /// The text of a configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toml: Option<String>,
    /// The same as an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ConfigSpec>,
    /// One that was applied before: its number in the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
}

/// Which configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigGet {
    /// Its number in the history; the running one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
}

/// Goes back to a configuration that was applied before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigRollback {
    /// Its number in the history; if absent, the last one that differs from what is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// What it may move; without limits if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// How long backends drain that it leaves out, as with `config.apply`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_timeout: Option<String>,
}

/// Answer of `config.plan`: what `config.apply` would do now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Planned {
    /// Whether it would do anything.
    pub changes: bool,
    /// What is configured another way than now.
    pub differences: Vec<Difference>,
    /// What would be written to the kernel, in order. Backends that are new get their slots when probes have found
    /// them healthy: the steps of that are not among them.
    pub steps: Vec<String>,
    /// Services that something happens to.
    pub services: Vec<ServiceImpact>,
    /// Flows that are remembered now, of all services.
    pub flows: u64,
    /// How many of them would go on with another server, or with none.
    pub moved_flows: u64,
    /// What exceeds the budget, in words; empty if nothing does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over_budget: Vec<String>,
}

/// What a configuration does to one service, once its new backends are healthy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceImpact {
    /// Its name.
    pub name: String,
    /// Slots of its lookup table, of the larger one if its size changes.
    pub slots: u32,
    /// How many of them go to another server, or to none.
    pub moved_slots: u32,
    /// Its flows that are remembered now.
    pub flows: u64,
    /// How many of them would go on with another server, or with none.
    pub moved_flows: u64,
    /// Backends that come: `ADDRESS:PORT`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Backends that go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
}

/// Answer of `config.diff`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Diff {
    /// From what is running to what it is compared with; empty if they are the same.
    pub differences: Vec<Difference>,
}

/// Answer of `config.history`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// The newest first.
    pub entries: Vec<HistoryEntry>,
    /// Whether what is running differs from the newest: changes over the socket have been made since.
    pub changed_since: bool,
}

/// A configuration that was applied as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryEntry {
    /// Counts up from 1; names it.
    pub number: u32,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// How it came.
    pub origin: HistoryOrigin,
    /// Of a rollback: which one it went back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u32>,
    /// The user who asked for it over the socket; absent if nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// That user's process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The generation that carried it.
    pub generation: u32,
    /// What it changed.
    pub differences: Vec<Difference>,
}

/// How a configuration came to be the running one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HistoryOrigin {
    /// From the file, at a start.
    Start,
    /// From the file, by SIGHUP.
    Reload,
    /// By `config.apply`.
    Apply,
    /// By `config.rollback`.
    Rollback,
    /// By single changes over the socket: kept when something else was about to replace them.
    Changes,
}

impl std::fmt::Display for HistoryOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Start => "start",
            Self::Reload => "reload",
            Self::Apply => "apply",
            Self::Rollback => "rollback",
            Self::Changes => "changes",
        })
    }
}
