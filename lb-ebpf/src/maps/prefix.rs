//! Tries of prefixes, as they are asked.

use aya_ebpf::btf_maps::{LpmTrie, lpm_trie::Key};
use lb_common::{family::Family, prefix::Prefix};

use super::key::Aligned;

/// The value of the longest prefix in `trie` that `address` lies in.
#[inline(always)]
pub(super) fn longest<F: Family, V, const ENTRIES: usize>(
    trie: &'static LpmTrie<F::Address, V, ENTRIES>,
    address: F::Address,
) -> Option<&'static V> {
    let aligned = Aligned::new(Prefix {
        bits: F::BITS,
        address,
    });
    // SAFETY: `Key` is `repr(C, packed)` of a `u32` and the address; `Prefix` has the same fields in the same
    // order and no padding (asserted in `lb_common::pod`).
    let key = unsafe { &*(&raw const aligned.key).cast::<Key<F::Address>>() };
    trie.get(key)
}
