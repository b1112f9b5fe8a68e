//! The machines that receive traffic, as the program sees them.
//!
//! Written by the daemon, read by the program; an array indexed by [`BackendId`].

use crate::{
    be::{Be16, Be32},
    family::{Address, Address4, Address6},
    hash::FlowHash,
    vlan::Vlan,
};

/// The number of a backend: its index in the backends map. 0 is never given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct BackendId(pub u32);

/// How packets reach a backend. An open number: whatever stands in the map is valid, and what the
/// program does not know it drops with a reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Mode(pub u8);

impl Mode {
    /// Direct routing: only the MAC addresses change; replies bypass us.
    pub const L2: Self = Self(1);
    /// Destination NAT: address and port change; replies come back through us.
    pub const NAT: Self = Self(2);
    /// IP in IP (RFC 2003, RFC 2473, RFC 4213): an outer IP header is put before the packet's; replies
    /// bypass us. The outer header has the backend's IP version, whatever the packet's.
    pub const IPIP: Self = Self(3);
    /// Generic UDP encapsulation, variant 1 (draft-ietf-intarea-gue section 4): outer IP and UDP headers
    /// directly before the packet's IP header; replies bypass us.
    pub const GUE: Self = Self(4);
    /// Handed to this host's own network stack.
    pub const LOCAL: Self = Self(5);
    /// Full NAT (RFC 3022 section 2.2): address and port of both ends change, so that the backend's replies come back
    /// to us by themselves.
    pub const SNAT: Self = Self(6);

    /// Whether the packets' own addresses and ports change.
    #[must_use]
    #[inline]
    pub const fn translates(self) -> bool {
        matches!(self, Self::NAT | Self::SNAT)
    }
}

/// All that the rewrite of a packet needs to know, in one cache line of 64 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Backend {
    /// Names this use of the number: flows remember it, so that a recycled number is never
    /// believed. 0: the number is not in use.
    pub generation: u32,
    /// The number of the service it belongs to.
    pub service: u16,
    /// The tag that frames to it leave with. [`Vlan::NONE`]: as they came if they leave by the interface they
    /// came in by and that carries no VLAN device, else untagged.
    pub vlan: Vlan,
    /// The backend's address; an IPv4 address stands in the first word, the others are 0.
    pub address: [Be32; 4],
    /// The next hop's MAC address.
    pub destination_mac: [u8; 6],
    /// The egress interface's MAC address.
    pub source_mac: [u8; 6],
    /// Index of the interface that transmits, also its key in the devices map; never a VLAN device.
    pub egress: u32,
    /// The backend's port, for [`Mode::NAT`] and [`Mode::SNAT`]; identity only for the others.
    pub port: Be16,
    /// How packets reach it.
    pub mode: Mode,
    /// IP version of [`address`](Self::address): 4 or 6.
    pub version: u8,
    /// [`Backend::INACTIVE`] or 0.
    pub flags: u8,
    /// So many low bits of [`source`](Self::source)'s last word in use are filled from the flow's hash, 0 to 32.
    pub source_bits: u8,
    /// The largest IP packet that the egress interface carries, in bytes, host order; 0: not known.
    pub mtu: u16,
    /// Our own address towards the backend, in its IP version, as [`address`](Self::address): the outer header's source
    /// for tunnels, the packet's for [`Mode::SNAT`].
    pub source: [Be32; 4],
}

impl Backend {
    /// Flag: remembered flows must choose again. No lookup table names an inactive backend.
    pub const INACTIVE: u8 = 1;

    /// The first word of [`address`](Self::address): all of an IPv4 address.
    #[must_use]
    #[inline]
    pub const fn address_v4(&self) -> Address4 {
        let [word, ..] = self.address;
        Address([word])
    }

    /// [`source`](Self::source) for a flow with hash `hash`, IPv4.
    #[must_use]
    #[inline]
    pub const fn source_v4(&self, hash: FlowHash) -> Address4 {
        let [word, ..] = self.source;
        Address([self.varied(word, hash)])
    }

    /// [`source`](Self::source) for a flow with hash `hash`, IPv6.
    #[must_use]
    #[inline]
    pub const fn source_v6(&self, hash: FlowHash) -> Address6 {
        let [a, b, c, last] = self.source;
        Address([a, b, c, self.varied(last, hash)])
    }

    /// `word` with its low bits filled from `hash`.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "masked to 32 bits")]
    const fn varied(&self, word: Be32, hash: FlowHash) -> Be32 {
        let mask = !(u64::MAX << (self.source_bits & 63)) & u32::MAX as u64;
        let mask = mask as u32;
        Be32::new((word.get() & !mask) | (hash.low() & mask))
    }

    /// The whole of [`address`](Self::address).
    #[must_use]
    #[inline]
    pub const fn address_v6(&self) -> Address6 {
        // Word by word: what is copied as a whole may become a call to `memmove`.
        let [a, b, c, d] = self.address;
        Address([a, b, c, d])
    }
}
