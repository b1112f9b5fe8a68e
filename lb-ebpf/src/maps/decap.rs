//! The maps of the program that strips tunnels, but for those that it counts in. The balancer uses none of them.

use aya_ebpf::{
    Global,
    btf_maps::{HashMap, LpmTrie},
    macros::btf_map,
};
use lb_common::{
    decap::{DecapSettings, GUE_PORT},
    family::{Address4, Address6, Family, V4, V6},
    prefix::Prefix,
};

use super::{key::Aligned, prefix::longest};

/// Elements of each list: the values mean nothing, what counts is that a key is there.
const ENTRIES: usize = 1024;

#[expect(
    unsafe_code,
    reason = "an attribute: the daemon finds the global by its name"
)]
#[unsafe(no_mangle)]
static DECAP_SETTINGS: Global<DecapSettings> = Global::new(DecapSettings {
    gue_port: GUE_PORT as u32,
    any_destination: 0,
});

#[btf_map]
static DECAP_SOURCES_V4: LpmTrie<Address4, u32, ENTRIES> = LpmTrie::new();
#[btf_map]
static DECAP_SOURCES_V6: LpmTrie<Address6, u32, ENTRIES> = LpmTrie::new();
#[btf_map]
static DECAP_DESTINATIONS_V4: HashMap<Address4, u32, ENTRIES> = HashMap::new();
#[btf_map]
static DECAP_DESTINATIONS_V6: HashMap<Address6, u32, ENTRIES> = HashMap::new();
#[btf_map]
static DECAP_VIPS_V4: LpmTrie<Address4, u32, ENTRIES> = LpmTrie::new();
#[btf_map]
static DECAP_VIPS_V6: LpmTrie<Address6, u32, ENTRIES> = LpmTrie::new();

type Prefixes<A> = LpmTrie<A, u32, ENTRIES>;
type Addresses<A> = HashMap<A, u32, ENTRIES>;

/// A family's own lists.
pub trait DecapMaps: Family {
    #[doc(hidden)]
    fn sources() -> &'static Prefixes<Self::Address>;
    #[doc(hidden)]
    fn destinations() -> &'static Addresses<Self::Address>;
    #[doc(hidden)]
    fn decap_vips() -> &'static Prefixes<Self::Address>;
}

impl DecapMaps for V4 {
    #[inline(always)]
    fn sources() -> &'static Prefixes<Address4> {
        &DECAP_SOURCES_V4
    }
    #[inline(always)]
    fn destinations() -> &'static Addresses<Address4> {
        &DECAP_DESTINATIONS_V4
    }
    #[inline(always)]
    fn decap_vips() -> &'static Prefixes<Address4> {
        &DECAP_VIPS_V4
    }
}

impl DecapMaps for V6 {
    #[inline(always)]
    fn sources() -> &'static Prefixes<Address6> {
        &DECAP_SOURCES_V6
    }
    #[inline(always)]
    fn destinations() -> &'static Addresses<Address6> {
        &DECAP_DESTINATIONS_V6
    }
    #[inline(always)]
    fn decap_vips() -> &'static Prefixes<Address6> {
        &DECAP_VIPS_V6
    }
}

/// The constants that were set at load.
#[inline(always)]
#[must_use]
pub fn settings() -> DecapSettings {
    DECAP_SETTINGS.load()
}

/// Whether `source` may tunnel packets to this host.
#[inline(always)]
#[must_use]
pub fn is_allowed_source<F: DecapMaps>(source: F::Address) -> bool {
    longest::<F, _, _>(F::sources(), source).is_some()
}

/// Whether tunnels may end at `destination`.
#[inline(always)]
#[must_use]
pub fn is_destination<F: DecapMaps>(destination: F::Address) -> bool {
    settings().any_destination != 0 || has::<F>(F::destinations(), destination)
}

/// Whether a packet inside a tunnel may be for `address`.
#[inline(always)]
#[must_use]
pub fn is_vip<F: DecapMaps>(address: F::Address) -> bool {
    longest::<F, _, _>(F::decap_vips(), address).is_some()
}

#[inline(always)]
#[expect(
    clippy::needless_borrows_for_generic_args,
    reason = "a copy would not stand at a multiple of 8 bytes"
)]
fn has<F: DecapMaps>(list: &Addresses<F::Address>, address: F::Address) -> bool {
    let aligned = Aligned::new(Prefix { bits: 0, address });
    // SAFETY: only whether there is an element is asked; the value is not read.
    unsafe { list.get(&aligned.key.address) }.is_some()
}
