//! Third stage: packets for a VIP that nobody may send or that may go no further.

use lb_common::outcome::Outcome;

use crate::{ip::Ip, packet::Packet};

/// Lets a packet to a VIP pass, which comes from `source`.
///
/// # Errors
/// [`Outcome::BadSource`], [`Outcome::TtlExceeded`].
#[inline(always)]
pub fn request<F: Ip>(packet: &Packet<F>, source: F::Address) -> Result<(), Outcome> {
    if F::is_impossible_source(source) || source == packet.flow.destination {
        return Err(Outcome::BadSource);
    }
    hop_limit(packet)
}

/// Lets a packet pass whose hop limit can be decremented once more (RFC 1812 section 5.3.1, RFC 8200
/// section 3).
///
/// # Errors
/// [`Outcome::TtlExceeded`].
#[inline(always)]
pub fn hop_limit<F: Ip>(packet: &Packet<F>) -> Result<(), Outcome> {
    if packet.hop_limit <= 1 {
        return Err(Outcome::TtlExceeded);
    }
    Ok(())
}
