//! Ethernet II headers (IEEE 802.3 clause 3) and VLAN tags (IEEE 802.1Q clause 9).

use lb_common::{
    be::{Be16, Be32},
    vlan::Vlan,
};
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

/// Destination and source address, as the 12 bytes that a header begins with.
///
/// As words, not as two arrays of 6 bytes: those are copied byte by byte, in a call.
#[derive(Clone, Copy)]
pub struct Addresses([Be32; 3]);

impl Addresses {
    /// A header's addresses.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::many_single_char_names, reason = "twelve bytes in their order")]
    pub const fn new(destination: Mac, source: Mac) -> Self {
        let [a, b, c, d, e, f] = destination;
        let [g, h, i, j, k, l] = source;
        Self([
            Be32::from_bytes([a, b, c, d]),
            Be32::from_bytes([e, f, g, h]),
            Be32::from_bytes([i, j, k, l]),
        ])
    }
}

/// The header that a frame begins with: 14 bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Ethernet {
    addresses: [[u8; 4]; 3],
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

    /// Both addresses.
    #[inline(always)]
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        Addresses(self.addresses.map(Be32::from_bytes))
    }

    /// The addresses of a frame back to where this one came from.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::many_single_char_names, reason = "twelve bytes in their order")]
    pub const fn back(&self) -> Addresses {
        let [[a, b, c, d], [e, f, g, h], [i, j, k, l]] = self.addresses;
        Addresses::new([g, h, i, j, k, l], [a, b, c, d, e, f])
    }

    /// Replaces both addresses.
    #[inline(always)]
    pub fn set_addresses(&mut self, Addresses(words): Addresses) {
        self.addresses = words.map(Be32::to_bytes);
    }

    /// Replaces what follows.
    #[inline(always)]
    pub const fn set_ethertype(&mut self, ethertype: Be16) {
        self.ethertype = ethertype.to_bytes();
    }

    /// Whether the destination is a group: multicast or broadcast (IEEE 802.3 clause 3.2.3).
    #[inline(always)]
    #[must_use]
    pub const fn is_group_addressed(&self) -> bool {
        let [[first, ..], ..] = self.addresses;
        first & 1 != 0
    }
}

/// The ethertype alone, where tags stand before it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct EtherTypeField([u8; 2]);

impl EtherTypeField {
    /// Bytes of the field.
    pub const LEN: usize = size_of::<Self>();

    /// Replaces it.
    #[inline(always)]
    pub const fn set(&mut self, ethertype: Be16) {
        self.0 = ethertype.to_bytes();
    }
}

/// A header after the ethertype that announces it. One view of both costs one check.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Announced<Header> {
    /// The link header's last field.
    pub ethertype: EtherTypeField,
    /// What it announces.
    pub header: Header,
}

/// A VLAN tag after its own ethertype: 4 bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Tag {
    /// Priority, drop eligibility and VLAN number.
    control: [u8; 2],
    ethertype: [u8; 2],
}

impl Tag {
    /// Bytes of a tag.
    pub const LEN: usize = size_of::<Self>();

    /// The tag of `vlan` with this priority, before `ethertype`.
    #[inline(always)]
    #[must_use]
    pub const fn new(priority: u16, vlan: Vlan, ethertype: Be16) -> Self {
        Self {
            control: Be16::new(priority | vlan.id()).to_bytes(),
            ethertype: ethertype.to_bytes(),
        }
    }

    /// The ethertype before a tag of `vlan`.
    #[inline(always)]
    #[must_use]
    pub const fn announced_by(vlan: Vlan) -> Be16 {
        if vlan.is_provider() {
            PROVIDER_VLAN
        } else {
            VLAN
        }
    }

    /// Priority and drop eligibility, in their place in the control field.
    #[inline(always)]
    #[must_use]
    pub const fn priority(&self) -> u16 {
        Be16::from_bytes(self.control).get() & !Vlan::ID
    }

    /// What follows.
    #[inline(always)]
    #[must_use]
    pub const fn ethertype(&self) -> Be16 {
        Be16::from_bytes(self.ethertype)
    }

    /// Replaces what follows.
    #[inline(always)]
    pub const fn set_ethertype(&mut self, ethertype: Be16) {
        self.ethertype = ethertype.to_bytes();
    }
}
