//! The named thing an operator configures.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    str::FromStr,
    sync::Arc,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Algorithm, Backend, DynamicWeights, Mode, Moves, ParseError, Probe, QuicLb, ServerId,
    SourceLimit, Thresholds, Via, Vip,
};

/// A service's name: 1 to 63 of `a-z A-Z 0-9 . _ -`, beginning with a letter or digit. Copies share the text.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(into = "String", try_from = "String")]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    /// The longest name.
    pub const MAX_LENGTH: usize = 63;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for ServiceName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let begins = text
            .chars()
            .next()
            .is_some_and(|c| c.is_ascii_alphanumeric());
        if begins && text.len() <= Self::MAX_LENGTH && text.chars().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(ParseError::new(format!(
                "`{text}` is not a service name: write 1 to {} letters, digits, `.`, `_` or `-`, beginning with a letter or digit",
                Self::MAX_LENGTH
            )))
        }
    }
}

impl TryFrom<String> for ServiceName {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.as_str().to_owned()
    }
}

/// The size of a service's lookup table: a prime, as Maglev's permutations need it
/// (Maglev, NSDI '16, section 3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableSlots {
    /// The smallest of [`TableSlots::SIZES`] with at least 100 slots for each configured backend.
    #[default]
    Auto,
    /// One of [`TableSlots::SIZES`].
    Fixed(u32),
}

impl TableSlots {
    /// The sizes to choose from; all prime.
    pub const SIZES: [u32; 6] = [1_021, 4_093, 16_381, 65_537, 262_139, 655_373];

    /// The number of slots for a service with `backends` configured backends.
    #[must_use]
    pub fn slots(self, backends: usize) -> u32 {
        match self {
            Self::Fixed(slots) => slots,
            Self::Auto => {
                let wanted = backends.saturating_mul(100);
                let enough = |slots: &u32| *slots as usize >= wanted;
                Self::SIZES
                    .into_iter()
                    .find(enough)
                    .unwrap_or(Self::LARGEST)
            }
        }
    }

    const LARGEST: u32 = 655_373;
}

impl TryFrom<u32> for TableSlots {
    type Error = ParseError;

    fn try_from(slots: u32) -> Result<Self, ParseError> {
        if Self::SIZES.contains(&slots) {
            Ok(Self::Fixed(slots))
        } else {
            Err(ParseError::new(format!(
                "{slots} is not a table size: write \"auto\" or one of {:?}",
                Self::SIZES
            )))
        }
    }
}

impl Serialize for TableSlots {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Fixed(slots) => serializer.serialize_u32(*slots),
        }
    }
}

impl<'de> Deserialize<'de> for TableSlots {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected \"auto\" or a number of slots")]
        enum Written {
            Word(String),
            Number(u32),
        }
        match Written::deserialize(deserializer)? {
            Written::Word(word) if word == "auto" => Ok(Self::Auto),
            Written::Word(word) => Err(serde::de::Error::custom(format!(
                "`{word}` is not a table size: write \"auto\" or one of {:?}",
                Self::SIZES
            ))),
            Written::Number(slots) => Self::try_from(slots).map_err(serde::de::Error::custom),
        }
    }
}

/// One service: what clients address, who answers, and how that is found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Unique among the services.
    pub name: ServiceName,
    /// At least one; no VIP belongs to two services.
    pub vips: BTreeSet<Vip>,
    /// The mode of backends that do not name their own.
    pub mode: Mode,
    /// The size of the lookup table.
    pub table_slots: TableSlots,
    /// How its flows get their slots.
    #[serde(default, skip_serializing_if = "Algorithm::is_default")]
    pub algorithm: Algorithm,
    /// How backends are probed; without one they are taken to be up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// How few backends are too few.
    #[serde(default, skip_serializing_if = "Thresholds::is_default")]
    pub thresholds: Thresholds,
    /// How slots move from one backend to another.
    #[serde(default, skip_serializing_if = "Moves::is_default")]
    pub moves: Moves,
    /// How much one source may send; without, as much as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_limit: Option<SourceLimit>,
    /// What the weights of its backends follow; without, they are as configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic_weights: Option<DynamicWeights>,
    /// Packets to UDP VIPs go to the backend that their QUIC connection id names, if it is of such a configuration.
    #[serde(default, skip_serializing_if = "QuicLb::is_empty")]
    pub quic_lb: QuicLb,
    /// By address.
    pub backends: BTreeMap<SocketAddr, Backend>,
}

impl Service {
    /// How the backend is probed, if it is: the service's probe, which goes to the VIP only where that is possible.
    #[must_use]
    pub fn probe_of(&self, backend: &Backend) -> Option<Probe> {
        let mut probe = self.probe.clone()?;
        if !backend.mode.is_direct() {
            probe.via = Via::Direct;
        }
        Some(probe)
    }

    /// Whether any backend is probed the way that clients' packets go.
    #[must_use]
    pub fn is_probed_via_vip(&self) -> bool {
        let via_vip = self.probe.as_ref().is_some_and(|it| it.via == Via::Vip);
        via_vip && self.backends.values().any(|it| it.mode.is_direct())
    }

    /// The server ids that connection ids of some configuration may hold, with the address of the backend.
    pub fn quic_server_ids(&self) -> impl Iterator<Item = (ServerId, SocketAddr)> {
        self.backends.values().flat_map(|backend| {
            let ids = backend.server_ids.iter().copied();
            let ids = ids.filter(|id| self.quic_lb.may_hold(*id));
            ids.map(|id| (id, backend.address))
        })
    }
}
