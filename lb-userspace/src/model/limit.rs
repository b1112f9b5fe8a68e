//! How much one source may send.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// How many packets one source may send to a service. One source is an IPv4 address, or an IPv6 /64: hosts
/// choose the other half of their addresses as they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLimit {
    /// Packets in a second; in [`RANGE`](Self::RANGE).
    pub rate: u32,
    /// Packets at once, after a pause; in [`RANGE`](Self::RANGE).
    pub burst: u32,
}

impl SourceLimit {
    /// What rate and burst may be. More than that no source sends, and none is held up.
    pub const RANGE: RangeInclusive<u32> = 1..=10_000_000;

    /// So many packets in a second; at once, unless `burst` says otherwise, as many as in a second.
    #[must_use]
    pub fn new(rate: u32, burst: Option<u32>) -> Self {
        Self {
            rate,
            burst: burst.unwrap_or(rate),
        }
    }
}
