//! Constants of the program, set in `.rodata` before it is loaded: the verifier removes the branches
//! they switch off.

/// Written by the daemon at load, read by the program. 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// Seed of the flow hash; equal on all balancers of a fleet.
    pub hash_seed: u64,
    /// 1: a packet to a VIP address on which no service listens is dropped; 0: it is passed.
    pub drop_unmatched: u32,
    /// ICMP errors that each CPU may send in a second, after a burst of [`Budget::BURST`](crate::budget::Budget);
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
}
