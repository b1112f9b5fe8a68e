//! The constants that the daemon sets before it loads the program: the verifier knows them, and removes what they switch
//! off.

use aya_ebpf::Global;
use lb_common::{
    budget::Rate,
    placement::Extent,
    settings::{Settings, SourceNat},
};

#[expect(
    unsafe_code,
    reason = "an attribute: the daemon finds the global by its name"
)]
#[unsafe(no_mangle)]
static SETTINGS: Global<Settings> = Global::new(Settings::DEFAULT);

/// A constant. One field at a time: a volatile copy of all would be made on the stack.
macro_rules! constant {
    ($($field:ident).+) => {{
        let settings = (&raw const SETTINGS).cast::<Settings>();
        // SAFETY: `Global` is transparent. Volatile, as its own `load`: the loader has written what the compiler
        // cannot know.
        unsafe { (&raw const (*settings).$($field).+).read_volatile() }
    }};
}

/// The seed of the flow hash.
#[inline(always)]
#[must_use]
pub fn hash_seed() -> u64 {
    constant!(hash_seed)
}

/// Whether packets to a VIP address on which no service listens are dropped.
#[inline(always)]
#[must_use]
pub fn drops_unmatched() -> bool {
    constant!(drop_unmatched) != 0
}

/// How many ICMP errors this CPU may send.
#[inline(always)]
#[must_use]
pub fn icmp_errors() -> Rate {
    Settings::icmp_errors(constant!(icmp_errors_per_second))
}

/// UDP port of GUE, host order.
#[inline(always)]
#[must_use]
pub fn gue_port() -> u32 {
    constant!(gue_port)
}

/// How many buckets and places for VIPs there are.
#[inline(always)]
#[must_use]
pub fn vip_extent() -> Extent {
    Extent::from_shift(constant!(vip_shift))
}

/// After how many ticks a connection that has ended gives way to the next one of the same ends.
#[inline(always)]
#[must_use]
pub fn reuse_after() -> u32 {
    constant!(reuse_after)
}

/// Whether `feature`, one of those of [`Settings`], is in use.
#[inline(always)]
#[must_use]
pub fn has_feature(feature: u32) -> bool {
    constant!(features) & feature != 0
}

/// What source NAT gives out.
#[inline(always)]
#[must_use]
pub fn source_nat() -> SourceNat {
    SourceNat {
        first_port: constant!(snat.first_port),
        ports_per_cpu: constant!(snat.ports_per_cpu),
        established: constant!(snat.established),
        transitory: constant!(snat.transitory),
        udp: constant!(snat.udp),
    }
}
