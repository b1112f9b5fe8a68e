//! Constants of the program, set in `.rodata` before it is loaded: the verifier removes the branches
//! they switch off.

use crate::budget::Rate;

/// Written by the daemon at load, read by the program. 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// Seed of the flow hash; equal on all balancers of a fleet.
    pub hash_seed: u64,
    /// 1: a packet to a VIP address on which no service listens is dropped; 0: it is passed.
    pub drop_unmatched: u32,
    /// ICMP errors that each CPU may send in a second, after a burst of [`ICMP_ERROR_BURST`](Self::ICMP_ERROR_BURST);
    /// 0: none. Replies to echo requests are not counted.
    pub icmp_errors_per_second: u32,
    /// Destination UDP port of packets to [`Mode::GUE`](crate::backend::Mode::GUE) backends, host order, in
    /// the low half.
    pub gue_port: u32,
    /// Always 0.
    pub reserved: u32,
}

impl Settings {
    /// [`icmp_errors_per_second`](Self::icmp_errors_per_second) where nobody has said otherwise.
    pub const ICMP_ERRORS_PER_SECOND: u32 = 1_000;
    /// ICMP errors that each CPU may send at once after a pause.
    pub const ICMP_ERROR_BURST: u32 = 100;

    /// How many ICMP errors each CPU may send.
    #[inline]
    #[must_use]
    pub const fn icmp_errors(&self) -> Rate {
        Rate {
            per_second: self.icmp_errors_per_second,
            burst: Self::ICMP_ERROR_BURST,
        }
    }
}
