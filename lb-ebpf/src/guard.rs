//! Third stage: packets for a VIP that nobody may send, or not this sender, or not now, and those that may go no
//! further.

use lb_common::{outcome::Outcome, settings::Settings, vip::Vip};

use crate::{
    ip::Ip,
    maps::{settings, sources},
    packet::Packet,
};

/// Lets a packet to a VIP address pass that does not come from the blocklist; no look-up if nobody is on it.
///
/// # Errors
/// [`Outcome::Blocked`].
#[inline(always)]
pub fn blocklist<F: Ip>(source: F::Address) -> Result<(), Outcome> {
    if settings::has_feature(Settings::BLOCKLIST) && sources::is_blocked::<F>(source) {
        return Err(Outcome::Blocked);
    }
    Ok(())
}

/// Lets a packet to `vip` pass whose source has not sent more than the service allows.
///
/// # Errors
/// [`Outcome::RateLimited`].
#[inline(always)]
pub fn rate<F: Ip>(source: F::Address, vip: &Vip) -> Result<(), Outcome> {
    match vip.source_limit() {
        Some(limit) if !sources::spend_packet::<F>(vip.service, source, limit) => {
            Err(Outcome::RateLimited)
        }
        _ => Ok(()),
    }
}

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
