//! Fragmented datagrams and what is remembered of them.
//!
//! Written and read by the program; the daemon does not touch them. One LRU hash map per family: only a
//! datagram's first fragment has the ports, so they are remembered for the later ones.

use crate::be::Be16;

/// What the fragments of a datagram have in common (RFC 791 section 3.2, RFC 8200 section 4.5). 16 bytes for
/// IPv4, 40 for IPv6; aligned to 8 so that it is hashed by words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C, align(8))]
pub struct FragmentKey<Address> {
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Identification as it stands in the packet, in host order; IPv4's 16 bits zero-extended.
    pub identification: u32,
    /// The protocol number in the IPv4 header or the IPv6 fragment header, zero-extended.
    pub protocol: u32,
}

/// What only the first fragment tells. 8 bytes; aligned to 8, for it is copied as one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct FragmentPorts {
    /// Source port.
    pub source_port: Be16,
    /// Destination port.
    pub destination_port: Be16,
    /// The transport's protocol number, zero-extended: in IPv6 more extension headers may stand before it.
    pub protocol: u32,
}
