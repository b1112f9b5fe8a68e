//! How a backend's health is found out, and what it is.

use std::{fmt, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ProbeKind {
    /// A TCP handshake.
    Tcp,
    /// An HTTP/1.1 GET request (RFC 9110); redirects are not followed.
    Http {
        /// The request target; begins with `/`.
        path: String,
        /// The `Host` header; the backend's address if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// The status codes that count as success.
        status: StatusRange,
    },
}

/// A range of HTTP status codes, both ends included; within 100 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRange {
    /// The lowest.
    pub from: u16,
    /// The highest.
    pub to: u16,
}

impl StatusRange {
    /// Whether `status` is in the range.
    #[must_use]
    pub const fn contains(self, status: u16) -> bool {
        self.from <= status && status <= self.to
    }
}

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
}

impl Probe {
    /// `kind` with the defaults: every 2 s, 1 s time-out, 2 up, 3 down, 10 % jitter.
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
