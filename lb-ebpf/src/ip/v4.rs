//! IPv4 (RFC 791).

use lb_common::{
    backend::Backend,
    be::{Be16, Be32},
    family::{Address, Address4, V4},
    hash::FlowHash,
    outcome::Outcome,
};
use network_types::ip::{IpProto, Ipv4Hdr};

use super::{HOP_LIMIT, Ip, Occurrence};
use crate::{
    frame::Frame,
    packet::{DONT_FRAGMENT, Inherited, Network, NewHeader, Part, Version},
    wire::checksum::Change,
};

/// Offset and the more-fragments flag (RFC 791 section 3.1).
const FRAGMENT: u16 = 0x3fff;
/// The offset alone, in 8 bytes.
const OFFSET: u16 = 0x1fff;

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
        let header_len = usize::from(header.vihl & 0x0f) * 4;
        let total_len = usize::from(Be16::from_bytes(header.tot_len).get());
        let is_v4 = header.vihl >> 4 == 4 && header_len >= size_of::<Ipv4Hdr>();
        if !is_v4 || total_len < header_len {
            return Err(Outcome::Malformed);
        }
        let flags = Be16::from_bytes(header.frags);
        let is_fragment = flags.raw() & FRAGMENT.to_be() != 0;
        let is_later = flags.raw() & OFFSET.to_be() != 0;
        if occurrence.refuses(is_fragment, is_later) {
            return Err(Outcome::Fragment);
        }
        let mut part = Part::whole();
        if is_fragment {
            // The tiny fragment attack: TCP flags in a second fragment (RFC 1858 section 3.2).
            if flags.get() & OFFSET == 1 && header.proto == IpProto::Tcp as u8 {
                return Err(Outcome::Malformed);
            }
            part = Part {
                position: if is_later { Part::LATER } else { Part::FIRST },
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
    fn set_addresses(
        header: &mut Ipv4Hdr,
        source: Option<&Address4>,
        destination: &Address4,
    ) -> Change {
        let mut change = replace(&mut header.dst_addr, destination);
        if let Some(source) = source {
            change = change.and(replace(&mut header.src_addr, source));
        }
        header.check = change.apply(header.check);
        change
    }

    #[inline(always)]
    fn inherited(header: &Ipv4Hdr) -> Inherited {
        let flags = Be16::from_bytes(header.frags).raw();
        let identification = Be16::from_bytes(header.id).raw() ^ (flags & OFFSET.to_be());
        Inherited {
            traffic_class: u64::from(header.tos),
            fragment: Be16::from_raw(flags & DONT_FRAGMENT.raw()),
            identification: Be16::from_raw(identification),
        }
    }

    #[inline(always)]
    fn source_towards(backend: &Backend, hash: FlowHash) -> Address4 {
        backend.source_v4(hash)
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

/// Replaces one address; what that changes of a sum that covers it.
#[inline(always)]
fn replace(field: &mut [u8; 4], Address([new]): &Address4) -> Change {
    let old = Be32::from_bytes(*field);
    *field = new.to_bytes();
    Change::none().words(&[old], &[*new])
}
