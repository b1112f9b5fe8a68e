//! Ethernet II headers (IEEE 802.3 clause 3) and VLAN tags (IEEE 802.1Q clause 9).

use lb_common::be::Be16;
use network_types::eth::EtherType;

/// A MAC address.
pub type Mac = [u8; 6];

/// IPv4 (RFC 894).
pub const IPV4: Be16 = wire_order(EtherType::Ipv4);
/// IPv6 (RFC 2464).
pub const IPV6: Be16 = wire_order(EtherType::Ipv6);
/// A customer's VLAN tag follows.
pub const VLAN: Be16 = wire_order(EtherType::Ieee8021q);
/// A provider's VLAN tag follows (802.1ad).
pub const PROVIDER_VLAN: Be16 = wire_order(EtherType::Ieee8021ad);

/// network-types keeps the numbers in network order already.
const fn wire_order(ethertype: EtherType) -> Be16 {
    Be16::new(u16::from_be(ethertype as u16))
}

/// The header that a frame begins with: 14 bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Ethernet {
    /// Destination address.
    pub destination: Mac,
    /// Source address.
    pub source: Mac,
    ethertype: [u8; 2],
}

impl Ethernet {
    /// Bytes of the header.
    pub const LEN: usize = size_of::<Self>();

    /// What follows.
    #[inline(always)]
    #[must_use]
    pub const fn ethertype(&self) -> Be16 {
        Be16::from_bytes(self.ethertype)
    }

    /// Replaces the whole header.
    #[inline(always)]
    pub const fn write(&mut self, destination: Mac, source: Mac, ethertype: Be16) {
        *self = Self {
            destination,
            source,
            ethertype: ethertype.to_bytes(),
        };
    }

    /// Whether the destination is a group: multicast or broadcast (IEEE 802.3 clause 3.2.3).
    #[inline(always)]
    #[must_use]
    pub const fn is_group_addressed(&self) -> bool {
        let [first, ..] = self.destination;
        first & 1 != 0
    }
}

/// A VLAN tag after its own ethertype: 4 bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Tag {
    /// Priority, drop eligibility and VLAN number.
    pub control: [u8; 2],
    ethertype: [u8; 2],
}

impl Tag {
    /// Bytes of a tag.
    pub const LEN: usize = size_of::<Self>();

    /// What follows.
    #[inline(always)]
    #[must_use]
    pub const fn ethertype(&self) -> Be16 {
        Be16::from_bytes(self.ethertype)
    }
}
