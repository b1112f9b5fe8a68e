//! The machines that receive traffic.

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::SystemTime,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ParseError, ServerId, vip::unicast_endpoint};

/// How packets reach a backend.
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
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Direct routing: only MAC addresses change; the backend has the VIP on loopback and replies directly.
    #[default]
    L2,
    /// Destination NAT: address and port change; replies come back through the balancer.
    Nat,
    /// IP in IP; the backend takes the outer header off, has the VIP on loopback and replies directly.
    Ipip,
    /// Generic UDP encapsulation; otherwise as `ipip`.
    Gue,
    /// This host itself: the packet goes to its own stack.
    Local,
    /// Full NAT: addresses and ports of both ends change, so that replies come back by themselves.
    Snat,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 6] = [
        Self::L2,
        Self::Nat,
        Self::Ipip,
        Self::Gue,
        Self::Local,
        Self::Snat,
    ];

    /// Whether packets get an outer header.
    #[must_use]
    pub const fn is_tunnel(self) -> bool {
        matches!(self, Self::Ipip | Self::Gue)
    }

    /// The bytes put before packets on their way to a backend with the address `outer`: an IP header without options
    /// (RFC 791 section 3.1, RFC 8200 section 3), and UDP's in mode `gue` (RFC 768).
    #[must_use]
    pub const fn overhead(self, outer: IpAddr) -> u16 {
        let ip = if outer.is_ipv4() { 20 } else { 40 };
        match self {
            Self::L2 | Self::Nat | Self::Snat | Self::Local => 0,
            Self::Ipip => ip,
            Self::Gue => ip + 8,
        }
    }

    /// Whether packets come from an address of ours.
    #[must_use]
    pub const fn has_source(self) -> bool {
        self.is_tunnel() || matches!(self, Self::Snat)
    }

    /// Whether backends get packets for the VIP itself, and answer clients directly (direct server return).
    #[must_use]
    pub const fn is_direct(self) -> bool {
        matches!(self, Self::L2 | Self::Ipip | Self::Gue)
    }

    /// Whether packets' own addresses and ports change, so that replies must come back through the balancer.
    #[must_use]
    pub const fn translates(self) -> bool {
        matches!(self, Self::Nat | Self::Snat)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L2 => "l2",
            Self::Nat => "nat",
            Self::Ipip => "ipip",
            Self::Gue => "gue",
            Self::Local => "local",
            Self::Snat => "snat",
        })
    }
}

/// What the operator wants of a backend, whatever its health.
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
#[serde(rename_all = "lowercase")]
pub enum AdminState {
    /// Takes new flows while it is healthy.
    #[default]
    Up,
    /// Takes no new flows, keeps those it has.
    Drain,
    /// Takes no packets; its flows move at once.
    Down,
}

impl fmt::Display for AdminState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Drain => "drain",
            Self::Down => "down",
        })
    }
}

/// When a backend takes new flows.
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
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// While it is healthy.
    #[default]
    Ordinary,
    /// Only while too few ordinary ones can.
    Fallback,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 2] = [Self::Ordinary, Self::Fallback];

    /// Whether nothing else was asked for.
    #[must_use]
    pub fn is_ordinary(&self) -> bool {
        *self == Self::Ordinary
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ordinary => "ordinary",
            Self::Fallback => "fallback",
        })
    }
}

/// A backend's share of its service's flows, relative to the other backends': 1 to 1,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u32", try_from = "u32")]
pub struct Weight(u32);

impl Weight {
    /// The largest weight.
    pub const MAX: u32 = 1_000;

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u32> for Weight {
    type Error = ParseError;

    fn try_from(weight: u32) -> Result<Self, ParseError> {
        if (1..=Self::MAX).contains(&weight) {
            Ok(Self(weight))
        } else {
            Err(ParseError::new(format!(
                "weight {weight} is out of range: write 1 to {} (to take no new flows, drain the backend)",
                Self::MAX
            )))
        }
    }
}

impl From<Weight> for u32 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

/// One backend of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backend {
    /// Address and port; unique in its service, and its name. In all modes but `nat` and `snat` packets keep
    /// their port, and this one is only probed.
    pub address: SocketAddr,
    /// Its share.
    pub weight: Weight,
    /// How packets reach it.
    pub mode: Mode,
    /// What the operator wants of it.
    pub state: AdminState,
    /// When it takes new flows.
    #[serde(default, skip_serializing_if = "Role::is_ordinary")]
    pub role: Role,
    /// What QUIC connection ids call it; no other backend of its service has any of them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub server_ids: BTreeSet<ServerId>,
    /// When a draining backend is removed, if it is being removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_at: Option<SystemTime>,
}

impl Backend {
    /// Parses the address of a backend: unicast, with a port.
    ///
    /// # Errors
    /// Says what is wrong with `text`.
    pub fn parse_address(text: &str) -> Result<SocketAddr, ParseError> {
        let address = SocketAddr::from_str(text).map_err(|_| {
            ParseError::new(format!(
                "`{text}` is not a backend address: write ADDRESS:PORT, for example 10.0.0.11:8080 or [fd00::11]:8080"
            ))
        })?;
        unicast_endpoint(address, text)
    }
}
