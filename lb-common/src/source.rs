//! Who sends: ranges of source addresses, and how much each source may send.

/// A range of addresses: a key of a longest-prefix-match trie, laid out as `struct bpf_lpm_trie_key`.
///
/// Written by the daemon, read by the program: the blocklist ([`names::BLOCKLIST_V4`],
/// [`names::BLOCKLIST_V6`]), and the balancers that may tunnel to a backend ([`names::DECAP_SOURCES_V4`],
/// [`names::DECAP_SOURCES_V6`]). What counts is that a key is there; the values mean nothing.
///
/// [`names::BLOCKLIST_V4`]: crate::names::BLOCKLIST_V4
/// [`names::BLOCKLIST_V6`]: crate::names::BLOCKLIST_V6
/// [`names::DECAP_SOURCES_V4`]: crate::names::DECAP_SOURCES_V4
/// [`names::DECAP_SOURCES_V6`]: crate::names::DECAP_SOURCES_V6
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Prefix<A> {
    /// How many bits of the address count.
    pub bits: u32,
    /// The address, in network byte order.
    pub address: A,
}

/// One client of one service: the key of its [`Budget`](crate::budget::Budget) of packets. 8 bytes for IPv4,
/// 12 for IPv6.
///
/// Written and read by the program, in tables that forget the least recently seen client first
/// ([`names::SOURCES_V4`], [`names::SOURCES_V6`]).
///
/// [`names::SOURCES_V4`]: crate::names::SOURCES_V4
/// [`names::SOURCES_V6`]: crate::names::SOURCES_V6
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct SourceKey<Client> {
    /// The service's number.
    pub service: u32,
    /// What its source address tells of it: [`Family::client`](crate::family::Family::client).
    pub client: Client,
}
