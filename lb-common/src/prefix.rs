//! Ranges of addresses, as the program finds the longest one that an address lies in.

/// A key of a trie of prefixes: the layout of `struct bpf_lpm_trie_key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Prefix<Address> {
    /// How many bits of the address count: at most 32, or 128. Host order.
    pub bits: u32,
    /// The address; as a value and in keys of entries, the first one of the range.
    pub address: Address,
}
