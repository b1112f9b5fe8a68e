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
    packet::Network,
    wire::{
        checksum::Change,
        extension::{Extension, Kind, kind},
    },
};

/// Extension headers that are walked over before a packet is given up (RFC 8200 has six kinds, the
/// destination options may come twice).
const MAX_EXTENSIONS: usize = 8;

/// TTL and hop limit of what the program itself sends (RFC 1700, "IP TIME TO LIVE PARAMETER").
pub const HOP_LIMIT: u8 = 64;

/// The flag "don't fragment" among an IPv4 header's flags and offset (RFC 791 section 3.1).
const V4_DONT_FRAGMENT: Be16 = Be16::new(0x4000);

/// An IP version, as the stages use it.
pub trait Ip: FamilyMaps {
    /// The fixed header.
    type Header: View;

    /// The protocol number of this version's ICMP.
    const ICMP: u64;
    /// The protocol number of the other version's ICMP, which has no business here.
    const FOREIGN_ICMP: u64;
    /// Type of an echo request; its code is 0.
    const ECHO_REQUEST: u8;
    /// Type of an echo reply.
    const ECHO_REPLY: u8;
    /// Type and code of "time to live exceeded in transit".
    const TIME_EXCEEDED: [u8; 2];
    /// Type and code of "fragmentation needed" or "packet too big"; the MTU stands in the header's last word.
    const TOO_BIG: [u8; 2];
    /// `AF_INET` or `AF_INET6`.
    const SOCKET_FAMILY: u8;

    /// The source in a fixed header.
    fn source(header: &Self::Header) -> Self::Address;

    /// The destination in a fixed header.
    fn destination(header: &Self::Header) -> Self::Address;

    /// Bytes of the packet, as `header` has it.
    fn length(header: &Self::Header) -> usize;

    /// Whether ICMP follows the fixed header directly: no options, no extension headers.
    fn is_bare_icmp(header: &Self::Header) -> bool;

    /// Whether a router may fragment the packet.
    fn may_be_fragmented(header: &Self::Header) -> bool;

    /// The sum of the pseudo-header of `length` bytes of ICMP, if this version's ICMP has one.
    fn icmp_pseudo_header(source: Self::Address, destination: Self::Address, length: u16)
    -> Change;

    /// Writes the header of `length` bytes of ICMP.
    fn write_icmp(
        header: &mut Self::Header,
        length: u16,
        source: Self::Address,
        destination: Self::Address,
    );

    /// Reads `header`, which stands at `offset`, and the extension headers after it.
    ///
    /// # Errors
    /// What becomes of the packet if it is for a VIP: [`Outcome::Malformed`], [`Outcome::Truncated`],
    /// [`Outcome::Fragment`] or [`Outcome::ExtensionHeaders`].
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

    /// Replaces the hop limit.
    fn set_hop_limit(header: &mut Self::Header, hop_limit: u8);

    /// Replaces the source address.
    fn set_source(header: &mut Self::Header, address: Self::Address);

    /// Replaces the destination address.
    fn set_destination(header: &mut Self::Header, address: Self::Address);
}

impl Ip for V4 {
    type Header = Ipv4Hdr;

    const ICMP: u64 = IpProto::Icmp as u64;
    const FOREIGN_ICMP: u64 = IpProto::Ipv6Icmp as u64;
    const ECHO_REQUEST: u8 = 8;
    const ECHO_REPLY: u8 = 0;
    /// RFC 792.
    const TIME_EXCEEDED: [u8; 2] = [11, 0];
    /// RFC 1191 section 4.
    const TOO_BIG: [u8; 2] = [3, 4];
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
    fn length(header: &Ipv4Hdr) -> usize {
        usize::from(Be16::from_bytes(header.tot_len).get())
    }

    #[inline(always)]
    fn is_bare_icmp(header: &Ipv4Hdr) -> bool {
        header.vihl & 0x0f == 5
    }

    #[inline(always)]
    fn may_be_fragmented(header: &Ipv4Hdr) -> bool {
        Be16::from_bytes(header.frags).raw() & V4_DONT_FRAGMENT.raw() == 0
    }

    #[inline(always)]
    fn icmp_pseudo_header(_: Address4, _: Address4, _: u16) -> Change {
        Change::none()
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a header of 20 bytes")]
    fn write_icmp(
        header: &mut Ipv4Hdr,
        length: u16,
        Address([source]): Address4,
        Address([destination]): Address4,
    ) {
        let [high, low] = (length + size_of::<Ipv4Hdr>() as u16).to_be_bytes();
        let [flags, offset] = V4_DONT_FRAGMENT.to_bytes();
        let sum = Change::none()
            .added(Be32::from_bytes([0x45, 0, high, low]))
            .added(Be32::from_bytes([0, 0, flags, offset]))
            .added(Be32::from_bytes([HOP_LIMIT, IpProto::Icmp as u8, 0, 0]))
            .added(source)
            .added(destination);
        header.vihl = 0x45;
        header.tos = 0;
        header.tot_len = [high, low];
        header.id = [0, 0];
        header.frags = [flags, offset];
        header.ttl = HOP_LIMIT;
        header.proto = IpProto::Icmp as u8;
        header.check = sum.checksum();
        header.src_addr = source.to_bytes();
        header.dst_addr = destination.to_bytes();
    }

    #[inline(always)]
    fn read(_: &Frame, header: &Ipv4Hdr, offset: usize) -> Result<Network, Outcome> {
        /// Offset and the more-fragments flag (RFC 791 section 3.1).
        const FRAGMENT: u16 = 0x3fff;
        let header_len = usize::from(header.vihl & 0x0f) * 4;
        let total_len = usize::from(Be16::from_bytes(header.tot_len).get());
        let is_v4 = header.vihl >> 4 == 4 && header_len >= size_of::<Ipv4Hdr>();
        if !is_v4 || total_len < header_len {
            return Err(Outcome::Malformed);
        }
        if Be16::from_bytes(header.frags).raw() & FRAGMENT.to_be() != 0 {
            return Err(Outcome::Fragment);
        }
        Ok(Network {
            hop_limit: u64::from(header.ttl),
            protocol: u64::from(header.proto),
            payload: offset + header_len,
            end: offset + total_len,
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
        Self::set_hop_limit(header, header.ttl.wrapping_sub(1));
    }

    #[inline(always)]
    fn set_hop_limit(header: &mut Ipv4Hdr, hop_limit: u8) {
        let old = Be16::from_bytes([header.ttl, header.proto]);
        header.ttl = hop_limit;
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
    const ECHO_REQUEST: u8 = 128;
    const ECHO_REPLY: u8 = 129;
    /// RFC 4443 section 3.3.
    const TIME_EXCEEDED: [u8; 2] = [3, 0];
    /// RFC 4443 section 3.2.
    const TOO_BIG: [u8; 2] = [2, 0];
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
    fn length(header: &Ipv6Hdr) -> usize {
        size_of::<Ipv6Hdr>() + usize::from(Be16::from_bytes(header.payload_len).get())
    }

    #[inline(always)]
    fn is_bare_icmp(header: &Ipv6Hdr) -> bool {
        header.next_hdr == IpProto::Ipv6Icmp as u8
    }

    #[inline(always)]
    fn may_be_fragmented(_: &Ipv6Hdr) -> bool {
        false
    }

    /// RFC 4443 section 2.3, RFC 8200 section 8.1.
    #[inline(always)]
    fn icmp_pseudo_header(
        Address(source): Address6,
        Address(destination): Address6,
        length: u16,
    ) -> Change {
        let [high, low] = length.to_be_bytes();
        Change::none()
            .words(&[Be32::default(); 4], &source)
            .words(&[Be32::default(); 4], &destination)
            .added(Be32::from_bytes([0, 0, high, low]))
            .added(Be32::from_bytes([0, 0, 0, IpProto::Ipv6Icmp as u8]))
    }

    #[inline(always)]
    fn write_icmp(header: &mut Ipv6Hdr, length: u16, source: Address6, destination: Address6) {
        header.vcf = [0x60, 0, 0, 0];
        header.payload_len = length.to_be_bytes();
        header.next_hdr = IpProto::Ipv6Icmp as u8;
        header.hop_limit = HOP_LIMIT;
        header.src_addr = source.into();
        header.dst_addr = destination.into();
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
        for _ in 0..MAX_EXTENSIONS {
            let kind = kind(protocol);
            if kind == Kind::Upper {
                break;
            }
            let extension = frame.view::<Extension>(payload).ok_or(Outcome::Truncated)?;
            if kind == Kind::Fragment && !extension.is_atomic_fragment() {
                return Err(Outcome::Fragment);
            }
            payload += match kind {
                Kind::Fragment => Extension::FRAGMENT_LEN,
                Kind::Sized | Kind::Upper => extension.len(),
            };
            if payload > end {
                return Err(Outcome::Malformed);
            }
            protocol = extension.next_header;
        }
        if kind(protocol) != Kind::Upper {
            return Err(Outcome::ExtensionHeaders);
        }
        Ok(Network {
            hop_limit: u64::from(header.hop_limit),
            protocol: u64::from(protocol),
            payload,
            end,
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
        Self::set_hop_limit(header, header.hop_limit.wrapping_sub(1));
    }

    #[inline(always)]
    fn set_hop_limit(header: &mut Ipv6Hdr, hop_limit: u8) {
        header.hop_limit = hop_limit;
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
