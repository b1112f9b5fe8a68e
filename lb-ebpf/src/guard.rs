//! Third stage: packets for a VIP that nobody may send or that may go no further.

use lb_common::outcome::Outcome;

use crate::{ip::Ip, packet::Packet};

/// Lets a packet to a VIP pass that a host may have sent.
///
/// # Errors
/// [`Outcome::BadSource`].
#[inline(always)]
pub fn source<F: Ip>(source: F::Address, vip: F::Address) -> Result<(), Outcome> {
    if F::is_impossible_source(source) || source == vip {
        return Err(Outcome::BadSource);
    }
    Ok(())
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

/// Whether an IP packet of `length` bytes may go where `mtu` bytes may, behind `overhead` bytes that are put before
/// it. An `mtu` of 0 is not known, and everything fits.
#[inline(always)]
#[must_use]
pub const fn fits(length: usize, overhead: usize, mtu: u16) -> bool {
    mtu == 0 || length + overhead <= mtu as usize
}
