//! The arena: one array that holds the lookup tables of all services, each at its own offset.
//!
//! Written by the daemon with plain stores through a shared mapping, read by the program. A table is
//! never changed while a VIP entry points to it (see [`vip`](crate::vip)).

use crate::{backend::BackendId, hash::FlowHash};

/// Slots in one element of the arena: 16 x 4 bytes, one cache line.
pub const SLOTS_PER_ELEMENT: u32 = 16;

/// One element of the arena, 64 bytes.
pub type Element = [Slot; SLOTS_PER_ELEMENT as usize];

/// One slot of a lookup table: which backend serves the flows that hash here.
///
/// Bits 0 to 23: the backend's number. Bits 24 to 31: reserved for flags, 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Slot(u32);

impl Slot {
    const BACKEND_BITS: u32 = 24;

    /// The number of the last backend that a slot can name.
    pub const MAX_BACKEND: u32 = (1 << Self::BACKEND_BITS) - 1;

    /// A slot served by `backend`.
    #[must_use]
    #[inline]
    pub const fn new(backend: BackendId) -> Self {
        Self(backend.0 & Self::MAX_BACKEND)
    }

    /// From the integer in the map.
    #[must_use]
    #[inline]
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// The integer in the map.
    #[must_use]
    #[inline]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// The backend that serves this slot.
    #[must_use]
    #[inline]
    pub const fn backend(self) -> BackendId {
        BackendId(self.0 & Self::MAX_BACKEND)
    }
}

/// The slot that `hash` falls on in a table of `slots` slots: the high half of the product, so all of
/// the range is used evenly and no division is needed. Always below `slots` (0 if `slots` is 0).
#[must_use]
#[inline]
pub const fn slot_of(hash: FlowHash, slots: u32) -> u32 {
    (((hash.0 >> 32) * slots as u64) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_keep_their_backend() {
        for id in [0, 1, 4_096, Slot::MAX_BACKEND] {
            assert_eq!(Slot::new(BackendId(id)).backend(), BackendId(id));
        }
    }

    #[test]
    fn every_hash_falls_inside_the_table() {
        for slots in [0, 1, 1_021, 65_537, 655_373] {
            for high in [0, 1, u64::from(u32::MAX) / 2, u64::from(u32::MAX)] {
                let slot = slot_of(FlowHash(high << 32), slots);
                assert!(slot < slots.max(1), "{high:#x} in {slots} gave {slot}");
            }
        }
        assert_eq!(slot_of(FlowHash(u64::MAX), 1_021), 1_020);
    }
}
