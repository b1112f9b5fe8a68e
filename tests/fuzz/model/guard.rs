//! Sources that no packet may have, and packets that may go no further.

use std::net::IpAddr;

use lb_common::outcome::Outcome;

use super::parse::Parsed;

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
