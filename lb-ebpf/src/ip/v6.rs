//! IPv6 (RFC 8200).

use lb_common::{
    backend::Backend,
    be::{Be16, Be32},
    family::{Address, Address6, V6},
    hash::FlowHash,
    outcome::Outcome,
};
use network_types::ip::{IpProto, Ipv6Hdr};

use super::{HOP_LIMIT, Ip, Occurrence};
use crate::{
    frame::Frame,
    packet::{Inherited, Network, NewHeader, Part, Version},
    wire::{
        checksum::Change,
        extension::{Extension, Kind, kind},
    },
};

/// Extension headers that are walked over before a packet is given up (RFC 8200 has six kinds, the
/// destination options may come twice).
const MAX_EXTENSIONS: usize = 8;

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
        let mut part = Part::whole();
        for _ in 0..MAX_EXTENSIONS {
            let kind = kind(protocol);
            if kind == Kind::Upper {
                break;
            }
            let extension = frame.view::<Extension>(payload).ok_or(Outcome::Truncated)?;
            if kind == Kind::Fragment && !extension.is_atomic_fragment() {
                let is_later = !extension.is_first_fragment();
                if occurrence.refuses(true, is_later) {
                    return Err(Outcome::Fragment);
                }
                part = Part {
                    position: if is_later { Part::LATER } else { Part::FIRST },
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
            payload: frame.forget_range::<0xffff>(payload),
            end,
            part,
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
    fn set_addresses(
        header: &mut Ipv6Hdr,
        source: Option<&Address6>,
        destination: &Address6,
    ) -> Change {
        let change = replace(&mut header.dst_addr, destination);
        match source {
            Some(source) => change.and(replace(&mut header.src_addr, source)),
            None => change,
        }
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
    fn source_towards(backend: &Backend, hash: FlowHash) -> Address6 {
        backend.source_v6(hash)
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

/// Replaces one address; what that changes of a sum that covers it. Word by word: the stack has no room for it.
#[inline(always)]
fn replace(field: &mut [u8; 16], Address(new): &Address6) -> Change {
    let mut change = Change::none();
    let (words, _) = field.as_chunks_mut();
    for (word, new) in words.iter_mut().zip(new) {
        change = change.words(&[Be32::from_bytes(*word)], &[*new]);
        *word = new.to_bytes();
    }
    change.settled()
}
