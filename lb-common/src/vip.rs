//! Which packets belong to a service, and to which lookup table.
//!
//! Written by the daemon, read by the program; where a VIP stands is the business of [`placement`](crate::placement).
//! Replacing one is the step that publishes a change: a packet sees the old entry or the new one, never a mix.
//!
//! A VIP may be all addresses of a prefix. The prefixes stand in a trie per family ([`names::VIP_PREFIXES_V4`],
//! [`names::VIP_PREFIXES_V6`]), the longest one that an address lies in counts, and its VIPs stand among the others under
//! its first address and its length.
//!
//! [`names::VIP_PREFIXES_V4`]: crate::names::VIP_PREFIXES_V4
//! [`names::VIP_PREFIXES_V6`]: crate::names::VIP_PREFIXES_V6

use crate::{
    be::{Be16, Be32},
    budget::Rate,
    prefix::Prefix,
};

/// The destination of a packet, as clients address it. 8 bytes for IPv4, 20 for IPv6.
///
/// Besides its services, every VIP address has one **address entry** with port and protocol 0
/// ([`VipKey::address_entry`]): it tells "no service on that port" from "not ours". Of the addresses of a prefix, the
/// prefix's entry in the trie says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct VipKey<Address> {
    /// Destination address; of a VIP that is a prefix, the first one.
    pub address: Address,
    /// Destination port; 0 in the address entry and in a VIP of every port.
    pub port: Be16,
    /// IP protocol number (6 TCP, 17 UDP, 132 SCTP); 0 in the address entry.
    pub protocol: u8,
    /// Length in bits of a VIP that is a prefix, less than the address has; 0 for one address.
    pub prefix: u8,
}

impl<Address> VipKey<Address> {
    /// The key of a service's VIP.
    #[inline]
    pub const fn new(address: Address, port: Be16, protocol: u8) -> Self {
        Self {
            address,
            port,
            protocol,
            prefix: 0,
        }
    }

    /// The key of a service's VIP that is a prefix.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most 127")]
    pub const fn of_prefix(prefix: Prefix<Address>, port: Be16, protocol: u8) -> Self
    where
        Address: Copy,
    {
        Self {
            prefix: prefix.bits as u8,
            ..Self::new(prefix.address, port, protocol)
        }
    }

    /// The key of a VIP of every port that has none of its own.
    #[inline]
    pub const fn any_port(address: Address, protocol: u8) -> Self {
        Self::new(address, Be16::new(0), protocol)
    }

    /// What is not the address, as one word.
    #[inline]
    #[must_use]
    pub const fn tail(&self) -> u32 {
        self.port.raw() as u32 | (self.protocol as u32) << 16 | (self.prefix as u32) << 24
    }

    /// Whether this is `other`: one branch, not one for each field, for the verifier follows every way through them.
    #[inline]
    #[must_use]
    pub fn is(&self, other: &Self) -> bool
    where
        Address: AsRef<[Be32]>,
    {
        let words = self.address.as_ref().iter().zip(other.address.as_ref());
        let difference = self.tail() ^ other.tail();
        words.fold(difference, |difference, (a, b)| {
            difference | (a.raw() ^ b.raw())
        }) == 0
    }

    /// The key that says that `address` is a VIP address, whatever the port.
    #[inline]
    pub const fn address_entry(address: Address) -> Self {
        Self::new(address, Be16::new(0), 0)
    }
}

/// What the program needs to know of a VIP. 32 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Vip {
    /// The first slot of the lookup table in the arena, in slots from the arena's start; a multiple of
    /// [`SLOTS_PER_ELEMENT`](crate::table::SLOTS_PER_ELEMENT).
    pub table_offset: u32,
    /// The table's size in slots; 0 means that the service has no live backend.
    pub table_slots: u32,
    /// The publication that wrote this entry.
    pub generation: u32,
    /// The service's number, from 1; 0 in address entries.
    pub service: u32,
    /// [`Vip::QUIC`]; bits 8 to 14: the QUIC-LB configurations 0 to 6 whose connection ids begin with their length; at
    /// most one of [`Vip::BY_SOURCE`], [`Vip::RANDOM`], [`Vip::ROUND_ROBIN`] and [`Vip::LEAST_CONNECTIONS`].
    pub flags: u32,
    /// Bytes of the server ids of the QUIC-LB configurations 0 to 6, 4 bits each from the lowest on; 0: the
    /// configuration is not in use.
    pub quic: u32,
    /// Packets that each source may send in a second; 0: as many as it likes.
    pub source_rate: u32,
    /// Packets that a source may send at once after a pause, from 1, if there is a rate.
    pub source_burst: u32,
}

impl Vip {
    /// Flag: packets are QUIC's, and go where the server id in their connection id says.
    pub const QUIC: u32 = 1;

    /// Flag: a hash of the source address alone chooses the slot, [`source_hash`](crate::hash::source_hash).
    pub const BY_SOURCE: u32 = 1 << 16;
    /// Flag: chance chooses the slot of each new flow; all slots are tracked.
    pub const RANDOM: u32 = 1 << 17;
    /// Flag: each CPU gives its new flows the slots one after the other ([`names::TURNS`](crate::names::TURNS)); all slots
    /// are tracked.
    pub const ROUND_ROBIN: u32 = 1 << 18;

    /// Flag: of the two slots that two hashes of a new flow choose, it gets the one whose backend has fewer flows for its
    /// weight ([`names::LOADS`](crate::names::LOADS)); all slots are tracked.
    pub const LEAST_CONNECTIONS: u32 = 1 << 19;

    const ENCODED_LENGTHS: u32 = 8;

    /// Whether a flow's slot is chosen when it begins, and cannot be told from its packets: the flow table is all that
    /// knows where it is.
    #[must_use]
    #[inline]
    pub const fn draws_slots(&self) -> bool {
        self.flags & (Self::RANDOM | Self::ROUND_ROBIN | Self::LEAST_CONNECTIONS) != 0
    }

    /// Bytes of the server ids of the QUIC-LB configuration `config`, 0 to 7; 0 if it is not in use.
    #[must_use]
    #[inline]
    pub const fn server_id_length(&self, config: u32) -> u32 {
        self.quic >> (4 * (config & 7)) & 0xf
    }

    /// Whether the first octet of that configuration's connection ids tells how many follow.
    #[must_use]
    #[inline]
    pub const fn encodes_length(&self, config: u32) -> bool {
        self.flags >> (Self::ENCODED_LENGTHS + (config & 7)) & 1 == 1
    }

    /// How many packets each source may send, if that is limited.
    #[must_use]
    #[inline]
    pub const fn source_limit(&self) -> Option<Rate> {
        if self.source_rate == 0 {
            return None;
        }
        Some(Rate {
            per_second: self.source_rate,
            burst: self.source_burst,
        })
    }

    /// Uses the QUIC-LB configuration `config`, 0 to 6, with server ids of `length` bytes, 1 to 15.
    #[must_use]
    #[inline]
    pub const fn with_quic(mut self, config: u32, length: u32, encodes_length: bool) -> Self {
        self.flags |= Self::QUIC | (encodes_length as u32) << (Self::ENCODED_LENGTHS + config);
        self.quic |= length << (4 * config);
        self
    }
}
