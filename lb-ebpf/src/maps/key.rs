//! Keys on the stack, laid where the verifier wants them.

use aya_ebpf::btf_maps::{LpmTrie, lpm_trie::Key};
use lb_common::{family::Family, source::Prefix};

/// A key whose second word, an address, stands at a multiple of 8 bytes: the compiler joins its words in pairs.
#[repr(C, align(8))]
pub(super) struct Aligned<K> {
    before: u32,
    pub(super) key: K,
}

impl<K> Aligned<K> {
    /// `key` begins with a word that is no part of an address.
    #[inline(always)]
    pub(super) const fn new(key: K) -> Self {
        Self { before: 0, key }
    }
}

/// Whether one of the prefixes in `trie` covers `address`.
#[inline(always)]
pub(super) fn covers<F: Family, const ENTRIES: usize>(
    trie: &LpmTrie<F::Address, u32, ENTRIES>,
    address: F::Address,
) -> bool {
    let aligned = Aligned::new(Prefix {
        bits: F::BITS,
        address,
    });
    // SAFETY: `Key` is `repr(C, packed)` of a `u32` and the address; `Prefix` has the same fields in the same
    // order and no padding (asserted in `lb_common::pod`).
    let key = unsafe { &*(&raw const aligned.key).cast::<Key<F::Address>>() };
    trie.get(key).is_some()
}
