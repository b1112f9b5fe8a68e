//! Tries of prefixes, and the keys they are asked by.

use aya_ebpf::btf_maps::{LpmTrie, lpm_trie::Key};
use lb_common::{
    family::{Family, V4, V6},
    prefix::Prefix,
};

/// A family whose addresses are looked up among prefixes.
pub trait PrefixFamily: Family {
    /// Bits of an address.
    const BITS: u32;
}

impl PrefixFamily for V4 {
    const BITS: u32 = 32;
}

impl PrefixFamily for V6 {
    const BITS: u32 = 128;
}

/// A key on the stack whose address stands at a multiple of 8 bytes: the compiler joins its words in pairs.
#[repr(C, align(8))]
pub(super) struct Aligned<Address> {
    before: u32,
    pub(super) key: Prefix<Address>,
}

impl<Address> Aligned<Address> {
    #[inline(always)]
    pub(super) const fn new(bits: u32, address: Address) -> Self {
        Self {
            before: 0,
            key: Prefix { bits, address },
        }
    }
}

/// The value of the longest prefix in `trie` that `address` lies in.
#[inline(always)]
pub(super) fn longest<F: PrefixFamily, V, const ENTRIES: usize>(
    trie: &'static LpmTrie<F::Address, V, ENTRIES>,
    address: F::Address,
) -> Option<&'static V> {
    let aligned = Aligned::new(F::BITS, address);
    // SAFETY: `Key` is `repr(C, packed)` of a `u32` and the address; `Prefix` has the same fields in the same
    // order and no padding (asserted in `lb_common::pod`).
    let key = unsafe { &*(&raw const aligned.key).cast::<Key<F::Address>>() };
    trie.get(key)
}
