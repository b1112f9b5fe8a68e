//! How a backend's health is found out, and what it is.

use std::{fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ProbeKind;

/// How a service's backends are probed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What is tried.
    #[serde(flatten)]
    pub kind: ProbeKind,
    /// The port to try; the backend's own if absent.
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
