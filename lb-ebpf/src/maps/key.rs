//! Keys on the stack, laid where the verifier wants them.

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
