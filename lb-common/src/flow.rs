//! Flows and what is remembered of them.
//!
//! Written and read by the program; the daemon does not touch them. Two LRU hash maps per family:
//! *flows*, by the packet a client sends, and *replies*, by the packet a backend sends in NAT mode.

use crate::be::Be16;

/// A 5-tuple. 16 bytes for IPv4, 40 for IPv6; aligned to 8 so that it is hashed by words.
///
/// The same type keys both directions: `source` and `destination` are those of the packet that is
/// looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C, align(8))]
pub struct FlowKey<Address> {
    /// Source address of the packet.
    pub source: Address,
    /// Destination address of the packet.
    pub destination: Address,
    /// Source port.
    pub source_port: Be16,
    /// Destination port.
    pub destination_port: Be16,
    /// IP protocol number, zero-extended: 6 TCP, 17 UDP, 132 SCTP.
    pub protocol: u32,
}

impl<Address> FlowKey<Address> {
    /// The IP protocol number.
    #[inline]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "zero-extended from 8 bits")]
    pub const fn protocol(&self) -> u8 {
        self.protocol as u8
    }
}

/// Where a flow went before. 8 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Flow {
    /// The backend's number.
    pub backend: u32,
    /// The backend's generation when the flow was remembered; the entry counts only while the backend
    /// still has it.
    pub generation: u32,
}

/// What a NAT backend's reply must be rewritten to: the VIP that the client knows. 8 bytes for IPv4, 20
/// for IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Reply<Address> {
    /// The VIP's address.
    pub address: Address,
    /// The VIP's port.
    pub port: Be16,
    /// Always 0.
    pub reserved: u16,
}
