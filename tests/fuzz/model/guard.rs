//! Sources that no packet may have or that are not let in, and packets that may go no further.

use std::net::IpAddr;

use lb_common::outcome::Outcome;

use super::{Model, Service, classify::contains, parse::Parsed};

/// Refuses sources that cannot be.
pub(super) fn source(parsed: &Parsed) -> Result<(), Outcome> {
    let impossible = match parsed.source {
        IpAddr::V4(source) => {
            // All of 0.0.0.0/8 and 240.0.0.0/4 are no source (RFC 6890, tables 1 and 15).
            source.is_loopback() || source.octets()[0] == 0 || source.octets()[0] >= 224
        }
        IpAddr::V6(source) => {
            source.is_unspecified() || source.is_loopback() || source.is_multicast()
        }
    };
    if impossible || parsed.source == parsed.destination {
        return Err(Outcome::BadSource);
    }
    Ok(())
}

/// Refuses hop limits that are used up.
pub(super) const fn hops(parsed: &Parsed) -> Result<(), Outcome> {
    if parsed.ttl <= 1 {
        return Err(Outcome::TtlExceeded);
    }
    Ok(())
}

impl Model {
    /// Refuses whatever is for a VIP address and comes from somebody on the blocklist.
    pub(super) fn blocklist(&self, parsed: &Parsed) -> Result<(), Outcome> {
        let mut prefixes = self.blocklist.iter();
        if prefixes.any(|prefix| contains(*prefix, parsed.source)) {
            return Err(Outcome::Blocked);
        }
        Ok(())
    }

    /// Refuses packets to a service with a limit from those who have sent too much. All others may send what they
    /// like: the world's limit is higher than any machine could send.
    pub(super) fn rate(&self, parsed: &Parsed, service: &Service) -> Result<(), Outcome> {
        // One client is one IPv4 address, or all of an IPv6 /64.
        let length = if parsed.is_v4 { 32 } else { 64 };
        let mut exhausted = self.exhausted.iter();
        let is_client = |client: &IpAddr| contains((*client, length), parsed.source);
        if service.is_limited && exhausted.any(is_client) {
            return Err(Outcome::RateLimited);
        }
        Ok(())
    }
}
