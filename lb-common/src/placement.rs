//! Where VIPs stand: two arrays of each family, so that the program finds one, or finds none, by two loads.
//!
//! Written by the daemon with plain stores through shared mappings, read by the program. A key's [`hash`] chooses a
//! **bucket** ([`names::VIP_BUCKETS_V4`], [`names::VIP_BUCKETS_V6`]), which holds a **ticket**, or 0: no VIP falls on it.
//! Hash and ticket together choose a **place** ([`names::VIPS_V4`], [`names::VIPS_V6`]), and there the VIP stands, if its
//! ticket and its key are those asked for. The daemon draws tickets until one gives each of a bucket's VIPs a free place.
//! Arrays, unlike hash maps, are looked up without a call.
//!
//! # What a packet can see
//! The daemon keeps to this order. To add a VIP to a bucket, or to replace one: it draws a ticket that was never used,
//! writes **all** VIPs of the bucket to free places under that ticket, and then stores the ticket in the bucket; nothing
//! else publishes. To take a VIP away: it stores ticket 0 in its place, and in the bucket if that was the last one. A place
//! that is left by either becomes free, and its ticket 0, after a grace period: when all packets are through that came
//! before. Tickets are words of 64 bits, each stored and loaded whole; they count on and do not come again.
//!
//! So a packet that has loaded ticket `t`, which is not 0, from the bucket of its key and looks at the key's place there,
//! - finds its VIP, whole, if `t` was drawn for it: all of it was written before `t` was stored, what it reads there
//!   depends on its load of `t`, and the place is not written again before the packet is through, but for the ticket when
//!   the VIP is taken away, whereafter it is not there;
//! - finds nothing else: for any other VIP, whether it is being written, is there, or was left there, the place has another
//!   ticket, or the same one with the whole key of another VIP of this bucket. What was taken out of a bucket never has the
//!   bucket's ticket again.
//!
//! It may hold on to what it has found until it is through: no copy is needed.
//!
//! [`names::VIPS_V4`]: crate::names::VIPS_V4
//! [`names::VIPS_V6`]: crate::names::VIPS_V6
//! [`names::VIP_BUCKETS_V4`]: crate::names::VIP_BUCKETS_V4
//! [`names::VIP_BUCKETS_V6`]: crate::names::VIP_BUCKETS_V6

use crate::{
    family::Family,
    hash::{FINAL, round},
    vip::{Vip, VipKey},
};

/// A bucket: the ticket under which its VIPs stand; 0: none do.
pub type Bucket = u64;

/// A place for a VIP. 64 bytes, one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Place<F: Family> {
    /// What it is found by.
    pub key: VipKey<F::Address>,
    /// Up to the same size for both families; 0.
    pub reserved: F::Reserved,
    /// The ticket that it was written under; 0: the place is free, or its VIP was taken away.
    pub ticket: u64,
    /// What stands there.
    pub vip: Vip,
}

/// How many buckets and places there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// What of a hash is not the bucket's number, in bits.
    shift: u32,
}

impl Extent {
    /// The most VIPs of one family.
    pub const MAX_VIPS: u32 = 1 << 20;

    /// Room for `vips` VIPs, at most [`MAX_VIPS`](Self::MAX_VIPS): as many buckets, rounded up to a power of two, and
    /// twice as many places.
    #[must_use]
    #[inline]
    pub const fn of(vips: u32) -> Self {
        let vips = if vips < 2 { 2 } else { vips };
        Self {
            shift: u64::BITS - vips.next_power_of_two().trailing_zeros(),
        }
    }

    /// As [`Settings`](crate::settings::Settings) have it.
    #[must_use]
    #[inline]
    pub const fn from_shift(shift: u32) -> Self {
        Self { shift }
    }

    /// The same for [`Settings`](crate::settings::Settings).
    #[must_use]
    #[inline]
    pub const fn shift(self) -> u32 {
        self.shift
    }

    /// How many buckets there are.
    #[must_use]
    #[inline]
    pub const fn buckets(self) -> u32 {
        1 << (u64::BITS - self.shift)
    }

    /// How many places there are.
    #[must_use]
    #[inline]
    pub const fn places(self) -> u32 {
        2 * self.buckets()
    }

    /// The bucket of a key with this hash.
    #[must_use]
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most 20 bits are left")]
    pub const fn bucket(self, hash: u64) -> u32 {
        hash.wrapping_shr(self.shift) as u32
    }

    /// The place of a key with this hash under `ticket`.
    #[must_use]
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most 21 bits are left")]
    pub const fn place(self, hash: u64, ticket: u64) -> u32 {
        let mixed = (hash ^ ticket).wrapping_mul(FINAL[0]);
        mixed.wrapping_shr(self.shift.wrapping_sub(1)) as u32
    }
}

/// The hash of a key: of two IPv4 keys never the same. No seed, for nobody chooses VIPs but the operator.
///
/// 1 round for IPv4, 3 for IPv6. Words are not taken with their neighbours: where they stand on the program's stack, they
/// could not be loaded together.
#[must_use]
#[inline]
pub fn hash<F: Family>(key: &VipKey<F::Address>) -> u64 {
    let words = key.address.as_ref();
    let (first, second) = words.split_at(words.len() / 2);
    let mut state = 0;
    for (a, b) in first.iter().zip(second) {
        state = round(state, u64::from(a.raw()) | u64::from(b.raw()) << 32);
    }
    let unpaired = match words {
        [word] => word.raw(),
        _ => 0,
    };
    round(state, u64::from(unpaired) | u64::from(key.tail()) << 32)
}

#[cfg(test)]
mod tests;
