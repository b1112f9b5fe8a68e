//! The arena: one array that holds the lookup tables of all services, each at its own offset.
//!
//! Written by the daemon with plain stores through a shared mapping, read by the program. A table is
//! never changed while a VIP entry points to it (see [`vip`](crate::vip)).

use crate::{backend::BackendId, hash::FlowHash};

/// Slots in one element of the arena: 16 x 4 bytes, one cache line.
pub const SLOTS_PER_ELEMENT: u32 = 16;

/// One element of the arena, 64 bytes.
pub type Element = [Slot; SLOTS_PER_ELEMENT as usize];

/// One slot of a lookup table: which backend serves the flows that hash here, and whether they are remembered.
///
/// Bits 0 to 23: the backend's number. Bit 24: tracked. Bits 25 and 26: the [`batch`](Self::batch), which is the
/// daemon's alone. Bits 27 to 31: reserved, 0.
///
/// A packet whose slot is not tracked goes to the slot's backend, and touches no flow table. Of a tracked slot flows are
/// remembered, and stay where they are when the slot gets another backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Slot(u32);

impl Slot {
    const BACKEND_BITS: u32 = 24;
    const TRACKED: u32 = 1 << Self::BACKEND_BITS;
    const BATCH_BITS: u32 = Self::BACKEND_BITS + 1;

    /// The last number of a batch.
    pub const MAX_BATCH: u8 = 3;

    /// The number of the last backend that a slot can name.
    pub const MAX_BACKEND: u32 = (1 << Self::BACKEND_BITS) - 1;

    /// A slot served by `backend`.
    #[must_use]
    #[inline]
    pub const fn new(backend: BackendId) -> Self {
        Self(backend.0 & Self::MAX_BACKEND)
    }

    /// The same, and its flows are remembered.
    #[must_use]
    #[inline]
    pub const fn tracked(self) -> Self {
        Self(self.0 | Self::TRACKED)
    }

    /// The same, tracked in this batch, 0 to [`MAX_BATCH`](Self::MAX_BATCH).
    #[must_use]
    #[inline]
    pub const fn learning(self, batch: u8) -> Self {
        let owner = Self::new(self.backend()).tracked();
        Self(owner.0 | (batch as u32 & Self::MAX_BATCH as u32) << Self::BATCH_BITS)
    }

    /// Whether its flows are remembered.
    #[must_use]
    #[inline]
    pub const fn is_tracked(self) -> bool {
        self.0 & Self::TRACKED != 0
    }

    /// 0: if it is tracked, all flows that it may have are remembered. Else, from 1 to
    /// [`MAX_BATCH`](Self::MAX_BATCH), with which others it began to be tracked while it had flows already: those that
    /// have sent nothing since are not remembered.
    #[must_use]
    #[inline]
    pub const fn batch(self) -> u8 {
        (self.0 >> Self::BATCH_BITS) as u8 & Self::MAX_BATCH
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

/// Counters of turns on each CPU: the services whose numbers agree in the lowest 12 bits share one.
pub const TURNS: u32 = 4_096;

/// The slot that a CPU gives its next flow in a table of `slots` slots, when `turn` is what its counter says, and what the
/// counter says next. Always below `slots` (0 if `slots` is 0): a counter that has come to the end, or to that of a smaller
/// table, begins anew.
#[must_use]
#[inline]
pub const fn turn(turn: u32, slots: u32) -> (u32, u32) {
    let slot = if turn < slots { turn } else { 0 };
    (slot, slot + 1)
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
    fn flags_leave_the_backend_alone() {
        let plain = Slot::new(BackendId(Slot::MAX_BACKEND));
        assert!(!plain.is_tracked());
        assert_eq!((plain.tracked().batch(), plain.batch()), (0, 0));
        for batch in 0..=Slot::MAX_BATCH {
            let slot = plain.learning(batch);
            assert!(slot.is_tracked());
            assert_eq!((slot.backend(), slot.batch()), (plain.backend(), batch));
            assert_eq!(slot.learning(0), plain.tracked());
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

    #[test]
    fn turns_go_around_the_table_whatever_its_size_becomes() {
        let mut counter = 0;
        let mut take = |slots| {
            let (slot, next) = turn(counter, slots);
            counter = next;
            slot
        };
        assert_eq!([take(3), take(3), take(3), take(3)], [0, 1, 2, 0]);
        assert_eq!([take(7), take(7), take(7)], [1, 2, 3]);
        assert_eq!([take(3), take(3)], [0, 1], "the table has shrunk");
        assert_eq!(turn(u32::MAX, 0), (0, 1));
    }
}
