//! IPv6 extension headers (RFC 8200 section 4): the part they have in common, and the fragment header.

use lb_common::be::{Be16, Be32};
use network_types::ip::IpProto;

/// The first 8 bytes of an extension header; each is a multiple of 8 long.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Extension {
    /// The protocol number of what follows.
    pub next_header: u8,
    length: u8,
    fragment: [u8; 2],
    rest: [u8; 4],
}

/// What a protocol number stands for in an IPv6 header chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Hop-by-hop options, routing header or destination options: length in its second byte.
    Sized,
    /// Fragment header: 8 bytes (RFC 8200 section 4.5).
    Fragment,
    /// Not an extension header that is walked over.
    Upper,
}

/// The kind of header with protocol number `number`.
#[inline(always)]
#[must_use]
pub const fn kind(number: u8) -> Kind {
    const HOP_BY_HOP: u8 = IpProto::HopOpt as u8;
    const ROUTING: u8 = IpProto::Ipv6Route as u8;
    const DESTINATION: u8 = IpProto::Ipv6Opts as u8;
    const FRAGMENT: u8 = IpProto::Ipv6Frag as u8;
    match number {
        HOP_BY_HOP | ROUTING | DESTINATION => Kind::Sized,
        FRAGMENT => Kind::Fragment,
        _ => Kind::Upper,
    }
}

impl Extension {
    /// Bytes of a fragment header.
    pub const FRAGMENT_LEN: usize = 8;

    /// Bytes of a [`Kind::Sized`] header: 8 to 2,048.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        (self.length as usize + 1) * 8
    }

    /// For a fragment header: whether the datagram is whole after all, an atomic fragment (RFC 6946).
    #[inline(always)]
    #[must_use]
    pub const fn is_atomic_fragment(&self) -> bool {
        const OFFSET_AND_MORE: u16 = 0xfff9;
        Be16::from_bytes(self.fragment).raw() & OFFSET_AND_MORE.to_be() == 0
    }

    /// For a fragment header: whether the datagram's beginning follows.
    #[inline(always)]
    #[must_use]
    pub const fn is_first_fragment(&self) -> bool {
        const OFFSET: u16 = 0xfff8;
        Be16::from_bytes(self.fragment).raw() & OFFSET.to_be() == 0
    }

    /// For a fragment header: the datagram's identification.
    #[inline(always)]
    #[must_use]
    pub const fn identification(&self) -> u32 {
        Be32::from_bytes(self.rest).get()
    }
}
