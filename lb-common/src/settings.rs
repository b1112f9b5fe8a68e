//! Constants of the program, set in `.rodata` before it is loaded: the verifier removes the branches
//! they switch off.

use crate::{budget::Rate, placement::Extent};

/// Written by the daemon at load, read by the program. 48 bytes.
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
    /// What is in use of that which costs look-ups or branches: a set of [`PREFIX_VIPS`](Self::PREFIX_VIPS),
    /// [`REPLIES`](Self::REPLIES), [`BLOCKLIST`](Self::BLOCKLIST), [`ALGORITHMS`](Self::ALGORITHMS) and
    /// [`LOADS`](Self::LOADS). A superset of what the maps hold is as right, and slower.
    pub features: u32,
    /// What [`Mode::SNAT`](crate::backend::Mode::SNAT) needs.
    pub snat: SourceNat,
    /// How many buckets and places for VIPs the maps have: an [`Extent`]'s [`shift`](Extent::shift).
    pub vip_shift: u32,
    /// After so many [`ticks`](crate::progress::ticks) without a packet a TCP connection that its client has ended gives
    /// way to the next one of the same ends: see [`Flow::gives_way`](crate::flow::Flow::gives_way).
    pub reuse_after: u32,
}

impl Settings {
    /// Feature: there are VIPs that are prefixes.
    pub const PREFIX_VIPS: u32 = 1;
    /// Feature: there are backends whose replies come back through us and must be rewritten.
    pub const REPLIES: u32 = 2;
    /// Feature: there is somebody on the blocklist.
    pub const BLOCKLIST: u32 = 4;
    /// Feature: there are VIPs whose flows get their slots in another way than by the hash of their 5-tuple.
    pub const ALGORITHMS: u32 = 8;
    /// Feature: there are VIPs whose flows go to the backend with fewer of them; only with
    /// [`ALGORITHMS`](Self::ALGORITHMS).
    pub const LOADS: u32 = 16;
    /// Every feature.
    pub const ALL_FEATURES: u32 =
        Self::PREFIX_VIPS | Self::REPLIES | Self::BLOCKLIST | Self::ALGORITHMS | Self::LOADS;

    /// [`icmp_errors_per_second`](Self::icmp_errors_per_second) where nobody has said otherwise.
    pub const ICMP_ERRORS_PER_SECOND: u32 = 1_000;

    /// ICMP errors that each CPU may send at once after a pause.
    pub const ICMP_ERROR_BURST: u32 = 100;

    /// How many ICMP errors each CPU may send, if it is `per_second`.
    #[inline]
    #[must_use]
    pub const fn icmp_errors(per_second: u32) -> Rate {
        Rate {
            per_second,
            burst: Self::ICMP_ERROR_BURST,
        }
    }

    /// [`reuse_after`](Self::reuse_after) where nobody has said otherwise: about 4 seconds.
    pub const REUSE_AFTER: u32 = 4;

    /// VIPs of one IP version where nobody has said otherwise.
    pub const VIPS: u32 = 4_096;

    /// What holds where nobody has said anything: no seed, and no ports to give out.
    pub const DEFAULT: Self = Self {
        hash_seed: 0,
        drop_unmatched: 0,
        icmp_errors_per_second: Self::ICMP_ERRORS_PER_SECOND,
        gue_port: 6_080,
        features: Self::ALL_FEATURES,
        snat: SourceNat::NONE,
        vip_shift: Extent::of(Self::VIPS).shift(),
        reuse_after: Self::REUSE_AFTER,
    };
}

/// Source ports towards [`Mode::SNAT`](crate::backend::Mode::SNAT) backends, and how long a flow keeps its own. 16
/// bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SourceNat {
    /// The first port, host order.
    pub first_port: u16,
    /// How many ports from there on the CPU with number 0 gives out, the next CPU as many thereafter, and so on; 0:
    /// there are none, and no flow goes to such a backend.
    pub ports_per_cpu: u16,
    /// After so many [`ticks`](crate::progress::ticks) without a packet the port of an established TCP connection
    /// may be given to another flow.
    pub established: u32,
    /// The same for TCP connections that are partially open or closing.
    pub transitory: u32,
    /// The same for UDP.
    pub udp: u32,
}

impl SourceNat {
    /// No ports.
    pub const NONE: Self = Self {
        first_port: 0,
        ports_per_cpu: 0,
        established: 0,
        transitory: 0,
        udp: 0,
    };
}
