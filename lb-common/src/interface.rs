//! Interfaces that have a ledger of their own.
//!
//! Written by the daemon, read by the programs; an array indexed by [`Interface::element`]. The names are the
//! daemon's own memory: an interface that comes back goes on with its ledger.

/// An interface that packets come in by. 24 bytes; all zeros: nobody's element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Interface {
    /// Its index in the kernel, from 1.
    pub index: u32,
    /// The number of its ledger, from 1 to [`LEDGERS`](Self::LEDGERS) - 1.
    pub ledger: u32,
    /// Its name, padded with zeros; the kernel's names have 15 bytes at most.
    pub name: [u8; 16],
}

impl Interface {
    /// Elements of the array.
    pub const ELEMENTS: u32 = 4_096;
    /// Ledgers: one for each interface that has one, and the first for all others.
    pub const LEDGERS: u32 = 64;
    /// The ledger of interfaces without one of their own.
    pub const OTHER: u32 = 0;

    /// The element of the interface with this index. Of two interfaces that share one, only one can have a ledger.
    #[must_use]
    #[inline]
    pub const fn element(index: u32) -> u32 {
        index % Self::ELEMENTS
    }
}
