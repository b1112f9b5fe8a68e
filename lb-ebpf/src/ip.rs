//! What the stages need of IPv4 and of IPv6: reading the header and changing its addresses and hop limit.
//!
//! The only place, with the maps, where the two are told apart.

use lb_common::{
    backend::Backend,
    be::{Be16, Be32},
    family::{Address, Address4, Address6, V4, V6},
    hash::FlowHash,
    outcome::Outcome,
};
use network_types::ip::{IpProto, Ipv4Hdr, Ipv6Hdr};

use crate::{
    frame::{Frame, View, forget_range},
    maps::{FamilyMaps, decap::DecapMaps},
    packet::{Network, Version},
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
const DONT_FRAGMENT: Be16 = Be16::new(0x4000);

/// Where an IP header stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Occurrence {
    /// At the head of a packet, of which all must be there.
    Packet,
    /// In an ICMP error, which quotes the beginning of a packet: a first fragment has as much of it.
    Quoted,
}

/// An IP version, as the stages use it.
pub trait Ip: FamilyMaps + DecapMaps {
    /// The fixed header.
    type Header: View;

    /// This version, as a link header announces it.
    const LINK: Version;
    /// The protocol number of a packet of this version inside another.
    const ENCAPSULATED: u8;
    /// The protocol number of this version's ICMP.
    const ICMP: u64;
    /// Whether the checksum of this version's ICMP covers the packet's addresses (RFC 4443 section 2.3).
    const ICMP_COVERS_ADDRESSES: bool;
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

    /// Bytes of the packet, from its header on, as the header says; `None` if it contradicts itself.
    fn extent(header: &Self::Header) -> Option<usize>;

    /// Whether ICMP follows the fixed header directly: no options, no extension headers.
    fn is_bare_icmp(header: &Self::Header) -> bool;

    /// Whether a router may fragment the packet.
    fn may_be_fragmented(header: &Self::Header) -> bool;

    /// The sum of the pseudo-header of `length` bytes of ICMP, if this version's ICMP has one.
    fn icmp_pseudo_header(source: Self::Address, destination: Self::Address, length: u16)
    -> Change;

    /// Reads `header`, which stands at `offset`, and the extension headers after it.
    ///
    /// # Errors
    /// What becomes of the packet if it is for a VIP: [`Outcome::Malformed`], [`Outcome::Truncated`],
    /// [`Outcome::Fragment`] or [`Outcome::ExtensionHeaders`].
    fn read(
        frame: &Frame,
        header: &Self::Header,
        offset: usize,
        occurrence: Occurrence,
    ) -> Result<Network, Outcome>;

    /// Whether ICMP messages of this kind are errors that end a connection or change how it goes on.
    fn is_icmp_error(kind: u8) -> bool;

    /// The header's own checksum; 0 if it has none.
    fn header_checksum(header: &Self::Header) -> Be16;

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

    /// What the header of a packet hands on to an outer one.
    fn inherited(header: &Self::Header) -> Inherited;

    /// The source of the outer header for a flow with hash `hash` to `backend`, which is of this version.
    fn tunnel_source(backend: &Backend, hash: FlowHash) -> Self::Address;

    /// Writes the whole fixed header.
    fn write(header: &mut Self::Header, new: &NewHeader<Self::Address>);
}

/// What a packet's header hands on to an outer one (RFC 2003 section 3.1, RFC 2473 section 6.4). Whole words,
/// for they cross stages.
#[derive(Clone, Copy)]
pub struct Inherited {
    /// DSCP and ECN: differentiated services go on, and congestion is marked (RFC 2983, RFC 6040).
    pub traffic_class: u64,
    /// Flags and fragment offset of an outer IPv4 header: routers may cut it if they might cut the packet.
    pub fragment: Be16,
    /// The packet's own identification, which tells outer packets apart that may be cut; 0 for others
    /// (RFC 6864 section 4.1).
    pub identification: Be16,
}

impl Inherited {
    /// What stands there in a packet that carries no other: best effort, not to be cut.
    pub const NOTHING: Self = Self {
        traffic_class: 0,
        fragment: DONT_FRAGMENT,
        identification: Be16::new(0),
    };
}

/// A header that the program writes: a tunnel's outer one, or that of its own ICMP errors.
pub struct NewHeader<Address> {
    /// From the packet inside a tunnel.
    pub inherited: Inherited,
    /// What follows.
    pub protocol: u8,
    /// Bytes that follow.
    pub payload_len: usize,
    /// Its low bits are the IPv6 flow label, so that routers and cards spread flows (RFC 6438).
    pub hash: FlowHash,
    /// Where it comes from.
    pub source: Address,
    /// Where it goes.
    pub destination: Address,
}

impl Ip for V4 {
    type Header = Ipv4Hdr;

    const LINK: Version = Version::V4;
    const ENCAPSULATED: u8 = IpProto::Ipv4 as u8;
    const ICMP: u64 = IpProto::Icmp as u64;
    const ICMP_COVERS_ADDRESSES: bool = false;
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
    fn extent(header: &Ipv4Hdr) -> Option<usize> {
        let header_len = usize::from(header.vihl & 0x0f) * 4;
        let total_len = usize::from(Be16::from_bytes(header.tot_len).get());
        let is_v4 = header.vihl >> 4 == 4 && header_len >= size_of::<Ipv4Hdr>();
        (is_v4 && total_len >= header_len).then_some(total_len)
    }

    #[inline(always)]
    fn is_bare_icmp(header: &Ipv4Hdr) -> bool {
        header.vihl & 0x0f == 5
    }

    #[inline(always)]
    fn may_be_fragmented(header: &Ipv4Hdr) -> bool {
        Be16::from_bytes(header.frags).raw() & DONT_FRAGMENT.raw() == 0
    }

    #[inline(always)]
    fn icmp_pseudo_header(_: Address4, _: Address4, _: u16) -> Change {
        Change::none()
    }

    #[inline(always)]
    fn read(
        _: &Frame,
        header: &Ipv4Hdr,
        offset: usize,
        occurrence: Occurrence,
    ) -> Result<Network, Outcome> {
        /// Offset and the more-fragments flag (RFC 791 section 3.1).
        const FRAGMENT: u16 = 0x3fff;
        const OFFSET: u16 = 0x1fff;
        let header_len = usize::from(header.vihl & 0x0f) * 4;
        let total_len = usize::from(Be16::from_bytes(header.tot_len).get());
        let is_v4 = header.vihl >> 4 == 4 && header_len >= size_of::<Ipv4Hdr>();
        if !is_v4 || total_len < header_len {
            return Err(Outcome::Malformed);
        }
        let unwanted = match occurrence {
            Occurrence::Packet => FRAGMENT,
            Occurrence::Quoted => OFFSET,
        };
        if Be16::from_bytes(header.frags).raw() & unwanted.to_be() != 0 {
            return Err(Outcome::Fragment);
        }
        Ok(Network {
            hop_limit: u64::from(header.ttl),
            protocol: u64::from(header.proto),
            payload: offset + header_len,
            end: offset + total_len,
        })
    }

    /// Destination unreachable, time exceeded, parameter problem (RFC 792). Source quench is deprecated (RFC 6633), and
    /// redirects are for this host.
    #[inline(always)]
    fn is_icmp_error(kind: u8) -> bool {
        matches!(kind, 3 | 11 | 12)
    }

    #[inline(always)]
    fn header_checksum(header: &Ipv4Hdr) -> Be16 {
        Be16::from_bytes(header.check)
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

    #[inline(always)]
    fn inherited(header: &Ipv4Hdr) -> Inherited {
        let fragment = Be16::from_raw(Be16::from_bytes(header.frags).raw() & DONT_FRAGMENT.raw());
        Inherited {
            traffic_class: u64::from(header.tos),
            fragment,
            identification: Be16::from_bytes(header.id),
        }
    }

    #[inline(always)]
    fn tunnel_source(backend: &Backend, hash: FlowHash) -> Address4 {
        backend.tunnel_source_v4(hash)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "an IP packet's length")]
    fn write(header: &mut Ipv4Hdr, new: &NewHeader<Address4>) {
        const VERSION_AND_LENGTH: u8 = 0x45;
        let Inherited {
            traffic_class,
            fragment,
            identification,
        } = new.inherited;
        let tos = traffic_class as u8;
        let total_len = Be16::new((size_of::<Ipv4Hdr>() + new.payload_len) as u16);
        let check = Change::none()
            .added(Be16::from_bytes([VERSION_AND_LENGTH, tos]))
            .added(total_len)
            .added(identification)
            .added(fragment)
            .added(Be16::from_bytes([HOP_LIMIT, new.protocol]))
            .added_words(new.source.as_ref())
            .added_words(new.destination.as_ref());
        header.vihl = VERSION_AND_LENGTH;
        header.tos = tos;
        header.tot_len = total_len.to_bytes();
        header.id = identification.to_bytes();
        header.frags = fragment.to_bytes();
        header.ttl = HOP_LIMIT;
        header.proto = new.protocol;
        header.check = check.checksum();
        let (Address([source]), Address([destination])) = (new.source, new.destination);
        header.src_addr = source.to_bytes();
        header.dst_addr = destination.to_bytes();
    }
}

impl Ip for V6 {
    type Header = Ipv6Hdr;

    const LINK: Version = Version::V6;
    const ENCAPSULATED: u8 = IpProto::Ipv6 as u8;
    const ICMP: u64 = IpProto::Ipv6Icmp as u64;
    const ICMP_COVERS_ADDRESSES: bool = true;
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
    fn extent(header: &Ipv6Hdr) -> Option<usize> {
        let [first, ..] = header.vcf;
        let payload_len = usize::from(Be16::from_bytes(header.payload_len).get());
        (first >> 4 == 6).then_some(size_of::<Ipv6Hdr>() + payload_len)
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
    fn icmp_pseudo_header(source: Address6, destination: Address6, length: u16) -> Change {
        Change::none()
            .added_words(source.as_ref())
            .added_words(destination.as_ref())
            .added(Be16::new(length))
            .added(Be16::new(u16::from(IpProto::Ipv6Icmp as u8)))
    }

    #[inline(always)]
    fn read(
        frame: &Frame,
        header: &Ipv6Hdr,
        offset: usize,
        occurrence: Occurrence,
    ) -> Result<Network, Outcome> {
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
            let is_readable = match occurrence {
                Occurrence::Packet => extension.is_atomic_fragment(),
                Occurrence::Quoted => extension.is_first_fragment(),
            };
            if kind == Kind::Fragment && !is_readable {
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
            payload: forget_range(payload),
            end,
        })
    }

    /// Destination unreachable, packet too big, time exceeded, parameter problem (RFC 4443 section 3).
    #[inline(always)]
    fn is_icmp_error(kind: u8) -> bool {
        matches!(kind, 1..=4)
    }

    #[inline(always)]
    fn header_checksum(_: &Ipv6Hdr) -> Be16 {
        Be16::default()
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

    #[inline(always)]
    fn inherited(header: &Ipv6Hdr) -> Inherited {
        let [first, second, ..] = header.vcf;
        Inherited {
            traffic_class: u64::from(first << 4 | second >> 4),
            ..Inherited::NOTHING
        }
    }

    #[inline(always)]
    fn tunnel_source(backend: &Backend, hash: FlowHash) -> Address6 {
        backend.tunnel_source_v6(hash)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "an IP packet's length")]
    fn write(header: &mut Ipv6Hdr, new: &NewHeader<Address6>) {
        const FLOW_LABEL: u32 = 0x000f_ffff;
        let class = (new.inherited.traffic_class as u32) << 20;
        let first = 6 << 28 | class | new.hash.low() & FLOW_LABEL;
        header.vcf = Be32::new(first).to_bytes();
        header.payload_len = Be16::new(new.payload_len as u16).to_bytes();
        header.next_hdr = new.protocol;
        header.hop_limit = HOP_LIMIT;
        header.src_addr = new.source.into();
        header.dst_addr = new.destination.into();
    }
}
