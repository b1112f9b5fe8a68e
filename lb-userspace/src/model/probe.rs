//! How a backend's health is found out, and what it is.

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ProbeKind, Vip};

/// Which way a probe goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// To the backend's own address, by this host's routes.
    #[default]
    Direct,
    /// To the VIP, on this one backend, as clients' packets go. Only to backends in modes that are
    /// [direct](super::Mode::is_direct); the others are probed at their own address all the same.
    Vip,
}

impl Via {
    /// Every way.
    pub const ALL: [Self; 2] = [Self::Direct, Self::Vip];

    /// Whether it is the usual one.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Vip => "vip",
        })
    }
}

/// How a service's backends are probed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What is tried.
    #[serde(flatten)]
    pub kind: ProbeKind,
    /// Which way it goes.
    #[serde(default, skip_serializing_if = "Via::is_default")]
    pub via: Via,
    /// The port to try; the backend's own if absent, or the VIP's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// From the begin of one probe to the begin of the next; 10 ms to 1 h.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// How long one probe may take; at most the interval.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// So many successes in a row make an unhealthy backend healthy; 1 to 100.
    pub rise: u32,
    /// So many failures in a row make a healthy backend unhealthy; 1 to 100.
    pub fall: u32,
    /// Each interval is shortened by a random part of up to so many per cent; 0 to 50.
    pub jitter_percent: u32,
    /// How long a backend is held down that goes down again before it has been up for `hold_down_max`; twice as long
    /// each further time. Zero: it never is.
    #[serde(with = "humantime_serde", default = "hold_down")]
    pub hold_down: Duration,
    /// The longest time that it is held down; at least `hold_down`, at most a day.
    #[serde(with = "humantime_serde", default = "hold_down_max")]
    pub hold_down_max: Duration,
}

const fn hold_down() -> Duration {
    Duration::from_secs(10)
}

const fn hold_down_max() -> Duration {
    Duration::from_mins(5)
}

impl Probe {
    /// `kind` with the defaults: every 2 s, 1 s time-out, 2 up, 3 down, 10 % jitter, held down for 10 s to 5 min.
    #[must_use]
    pub const fn new(kind: ProbeKind) -> Self {
        Self {
            kind,
            via: Via::Direct,
            port: None,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
            jitter_percent: 10,
            hold_down: hold_down(),
            hold_down_max: hold_down_max(),
        }
    }

    /// Which of `vips` is probed on a backend with the address `backend`: the first that speaks the probe's protocol
    /// and has the backend's IP version, so that this host has an address to be answered at; of a prefix its first
    /// address. Where the probe names a port, any VIP of that version will do if none speaks its protocol. None for a
    /// probe that speaks no such protocol.
    #[must_use]
    pub fn vip_for(&self, vips: &BTreeSet<Vip>, backend: IpAddr) -> Option<SocketAddr> {
        let protocol = self.kind.protocol()?;
        let of_version = || {
            let vips = vips.iter();
            vips.filter(|vip| vip.addresses.is_ipv4() == backend.is_ipv4())
        };
        let mut speaking = of_version().filter(|vip| vip.protocol == protocol);
        let vip = if self.port.is_some() {
            speaking.next().or_else(|| of_version().next())
        } else {
            speaking.find(|vip| vip.port != Vip::ANY_PORT)
        }?;
        let port = self.port.unwrap_or(vip.port);
        Some(SocketAddr::new(vip.addresses.address(), port))
    }
}

/// What probing has concluded about a backend. A backend without a probe is taken to be up.
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
pub enum Health {
    /// Not enough probes yet; gets no new flows.
    #[default]
    Unknown,
    /// Healthy.
    Up,
    /// Unhealthy.
    Down,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}
