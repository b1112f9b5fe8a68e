//! What the stages need of IPv4 and of IPv6: reading the header and changing its addresses and hop limit.
//!
//! The only place, with the maps, where the two are told apart.

use lb_common::{
    backend::Backend,
    be::{Be16, Be32},
    family::{Address, Address4, Address6, V4, V6},
    outcome::Outcome,
};
use network_types::ip::{IpProto, Ipv4Hdr, Ipv6Hdr};

use crate::{
    frame::{Frame, View},
    maps::FamilyMaps,
    packet::{Network, Part},
    wire::{
        checksum::Change,
        extension::{Extension, Kind, kind},
    },
};

/// Extension headers that are walked over before a packet is given up (RFC 8200 has six kinds, the
/// destination options may come twice).
const MAX_EXTENSIONS: usize = 8;

/// An IP version, as the stages use it.
pub trait Ip: FamilyMaps {
    /// The fixed header.
    type Header: View;

    /// The protocol number of this version's ICMP.
    const ICMP: u64;
    /// The protocol number of the other version's ICMP, which has no business here.
    const FOREIGN_ICMP: u64;
    /// `AF_INET` or `AF_INET6`.
    const SOCKET_FAMILY: u8;

    /// The source in a fixed header.
    fn source(header: &Self::Header) -> Self::Address;

    /// The destination in a fixed header.
    fn destination(header: &Self::Header) -> Self::Address;

    /// Reads `header`, which stands at `offset`, and the extension headers after it.
    ///
    /// # Errors
    /// What becomes of the packet if it is for a VIP: [`Outcome::Malformed`], [`Outcome::Truncated`]
    /// or [`Outcome::ExtensionHeaders`].
    fn read(frame: &Frame, header: &Self::Header, offset: usize) -> Result<Network, Outcome>;

    /// Whether no host may send from `address`: loopback, multicast, broadcast or unspecified.
    fn is_impossible_source(address: Self::Address) -> bool;

    /// The address of a backend of this version.
    fn backend_address(backend: &Backend) -> Self::Address;

    /// An address as the kernel's route query has it: an IPv4 one in the first half word,
    /// all else 0. Words are little-endian, as the target is.
    fn socket_address(address: Self::Address) -> [u64; 2];

    /// Takes one from the hop limit, which is not 0.
    fn decrement_hop_limit(header: &mut Self::Header);

    /// Replaces the source address.
    fn set_source(header: &mut Self::Header, address: Self::Address);

    /// Replaces the destination address.
    fn set_destination(header: &mut Self::Header, address: Self::Address);
}

impl Ip for V4 {
    type Header = Ipv4Hdr;

    const ICMP: u64 = IpProto::Icmp as u64;
    const FOREIGN_ICMP: u64 = IpProto::Ipv6Icmp as u64;
    const SOCKET_FAMILY: u8 = 2;

    #[inline(always)]
    fn source(header: &Ipv4Hdr) -> Address4 {
        Address([Be32::from_bytes(header.src_addr)])
    }

    #[inline(always)]
    fn destination(header: &Ipv4Hdr) -> Address4 {
        Address([Be32::from_bytes(header.dst_addr)])
    }

    #[inline(always)]
    fn read(_: &Frame, header: &Ipv4Hdr, offset: usize) -> Result<Network, Outcome> {
        /// Offset and the more-fragments flag (RFC 791 section 3.1).
        const FRAGMENT: u16 = 0x3fff;
        const OFFSET: u16 = 0x1fff;
        let header_len = usize::from(header.vihl & 0x0f) * 4;
        let total_len = usize::from(Be16::from_bytes(header.tot_len).get());
        let is_v4 = header.vihl >> 4 == 4 && header_len >= size_of::<Ipv4Hdr>();
        if !is_v4 || total_len < header_len {
            return Err(Outcome::Malformed);
        }
        let mut part = Part::whole();
        let flags = Be16::from_bytes(header.frags);
        if flags.raw() & FRAGMENT.to_be() != 0 {
            let offset = flags.get() & OFFSET;
            // The tiny fragment attack: TCP flags in a second fragment (RFC 1858 section 3.2).
            if offset == 1 && header.proto == IpProto::Tcp as u8 {
                return Err(Outcome::Malformed);
            }
            part = Part {
                position: if offset == 0 {
                    Part::FIRST
                } else {
                    Part::LATER
                },
                identification: u64::from(Be16::from_bytes(header.id).get()),
                protocol: u64::from(header.proto),
            };
        }
        Ok(Network {
            hop_limit: u64::from(header.ttl),
            protocol: u64::from(header.proto),
            payload: offset + header_len,
            end: offset + total_len,
            part,
        })
    }

    /// RFC 1122 section 3.2.1.3 and RFC 6890: 0/8, 127/8, 224/4 and 240/4 with the broadcast address.
    #[inline(always)]
    fn is_impossible_source(Address([address]): Address4) -> bool {
        let [first, ..] = address.to_bytes();
        first == 0 || first == 127 || first >= 224
    }

    #[inline(always)]
    fn backend_address(backend: &Backend) -> Address4 {
        backend.address_v4()
    }

    #[inline(always)]
    fn socket_address(Address([word]): Address4) -> [u64; 2] {
        [u64::from(word.raw()), 0]
    }

    #[inline(always)]
    fn decrement_hop_limit(header: &mut Ipv4Hdr) {
        let old = Be16::from_bytes([header.ttl, header.proto]);
        header.ttl = header.ttl.wrapping_sub(1);
        let new = Be16::from_bytes([header.ttl, header.proto]);
        header.check = Change::none().word(old, new).apply(header.check);
    }

    #[inline(always)]
    fn set_source(header: &mut Ipv4Hdr, Address(new): Address4) {
        let old = [Be32::from_bytes(header.src_addr)];
        header.check = Change::none().words(&old, &new).apply(header.check);
        let [new] = new;
        header.src_addr = new.to_bytes();
    }

    #[inline(always)]
    fn set_destination(header: &mut Ipv4Hdr, Address(new): Address4) {
        let old = [Be32::from_bytes(header.dst_addr)];
        header.check = Change::none().words(&old, &new).apply(header.check);
        let [new] = new;
        header.dst_addr = new.to_bytes();
    }
}

impl Ip for V6 {
    type Header = Ipv6Hdr;

    const ICMP: u64 = IpProto::Ipv6Icmp as u64;
    const FOREIGN_ICMP: u64 = IpProto::Icmp as u64;
    const SOCKET_FAMILY: u8 = 10;

    #[inline(always)]
    fn source(header: &Ipv6Hdr) -> Address6 {
        Address6::from(header.src_addr)
    }

    #[inline(always)]
    fn destination(header: &Ipv6Hdr) -> Address6 {
        Address6::from(header.dst_addr)
    }

    #[inline(always)]
    fn read(frame: &Frame, header: &Ipv6Hdr, offset: usize) -> Result<Network, Outcome> {
        let [first, ..] = header.vcf;
        let mut payload = offset + size_of::<Ipv6Hdr>();
        let end = payload + usize::from(Be16::from_bytes(header.payload_len).get());
        if first >> 4 != 6 {
            return Err(Outcome::Malformed);
        }
        let mut protocol = header.next_hdr;
        let mut part = Part::whole();
        for _ in 0..MAX_EXTENSIONS {
            let kind = kind(protocol);
            if kind == Kind::Upper {
                break;
            }
            let extension = frame.view::<Extension>(payload).ok_or(Outcome::Truncated)?;
            if kind == Kind::Fragment && !extension.is_atomic_fragment() {
                part = Part {
                    position: if extension.is_first_fragment() {
                        Part::FIRST
                    } else {
                        Part::LATER
                    },
                    identification: u64::from(extension.identification()),
                    protocol: u64::from(extension.next_header),
                };
            }
            payload += match kind {
                Kind::Fragment => Extension::FRAGMENT_LEN,
                Kind::Sized | Kind::Upper => extension.len(),
            };
            if payload > end {
                return Err(Outcome::Malformed);
            }
            protocol = extension.next_header;
            // What follows is the middle of something, whatever the number says.
            if part.position == Part::LATER {
                break;
            }
        }
        if part.position != Part::LATER && kind(protocol) != Kind::Upper {
            return Err(Outcome::ExtensionHeaders);
        }
        Ok(Network {
            hop_limit: u64::from(header.hop_limit),
            protocol: u64::from(protocol),
            payload,
            end,
            part,
        })
    }

    /// RFC 4291 sections 2.5.2, 2.5.3 and 2.7: unspecified, loopback, multicast.
    #[inline(always)]
    fn is_impossible_source(Address([a, b, c, d]): Address6) -> bool {
        let [first, ..] = a.to_bytes();
        let unspecified_or_loopback = a.raw() | b.raw() | c.raw() == 0 && d.get() <= 1;
        first == 0xff || unspecified_or_loopback
    }

    #[inline(always)]
    fn backend_address(backend: &Backend) -> Address6 {
        backend.address_v6()
    }

    #[inline(always)]
    fn socket_address(Address([a, b, c, d]): Address6) -> [u64; 2] {
        let join = |low: Be32, high: Be32| u64::from(low.raw()) | u64::from(high.raw()) << 32;
        [join(a, b), join(c, d)]
    }

    #[inline(always)]
    fn decrement_hop_limit(header: &mut Ipv6Hdr) {
        header.hop_limit = header.hop_limit.wrapping_sub(1);
    }

    #[inline(always)]
    fn set_source(header: &mut Ipv6Hdr, address: Address6) {
        header.src_addr = address.into();
    }

    #[inline(always)]
    fn set_destination(header: &mut Ipv6Hdr, address: Address6) {
        header.dst_addr = address.into();
    }
}
