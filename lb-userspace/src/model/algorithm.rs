//! How the flows of a service are spread over its backends.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Tracking;

/// How a new flow gets its slot.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// By the hash of its 5-tuple.
    #[default]
    Maglev,
    /// By the hash of its source address: all flows of a source are on one slot.
    SourceHash,
    /// By chance.
    Random,
    /// Each CPU gives its new flows the slots one after the other.
    RoundRobin,
    /// Of two slots that the hash of its 5-tuple chooses, the one whose backend has fewer flows for its weight.
    LeastConnections,
}

impl Algorithm {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Maglev,
        Self::SourceHash,
        Self::Random,
        Self::RoundRobin,
        Self::LeastConnections,
    ];

    /// Whether it is the one that is used where nobody has asked for another.
    #[must_use]
    pub const fn is_default(&self) -> bool {
        matches!(self, Self::Maglev)
    }

    /// Whether a flow's slot is drawn when it begins: then its packets do not tell it, and all flows must be remembered.
    #[must_use]
    pub const fn draws_slots(self) -> bool {
        matches!(
            self,
            Self::Random | Self::RoundRobin | Self::LeastConnections
        )
    }

    /// Whether it goes by the number of flows that backends have.
    #[must_use]
    pub const fn counts_flows(self) -> bool {
        matches!(self, Self::LeastConnections)
    }

    /// Which flows are remembered where nobody has said so.
    #[must_use]
    pub const fn tracking(self) -> Tracking {
        if self.draws_slots() {
            Tracking::Always
        } else {
            Tracking::OnDemand
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Maglev => "maglev",
            Self::SourceHash => "source-hash",
            Self::Random => "random",
            Self::RoundRobin => "round-robin",
            Self::LeastConnections => "least-connections",
        })
    }
}
