//! What the stages need of IPv4 and of IPv6: reading the header and changing its addresses and hop limit.
//!
//! The only place, with the maps, where the two are told apart.

mod v4;
mod v6;

use lb_common::{backend::Backend, be::Be16, hash::FlowHash, outcome::Outcome};

use crate::{
    frame::{Frame, View},
    maps::{FamilyMaps, decap::DecapMaps, path::PathMaps, sources::SourceMaps},
    packet::{Inherited, Network, NewHeader, Version},
    wire::checksum::Change,
};

/// TTL and hop limit of what the program itself sends (RFC 1700, "IP TIME TO LIVE PARAMETER").
pub const HOP_LIMIT: u8 = 64;

/// Where an IP header stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Occurrence {
    /// At the head of a packet, be it a fragment.
    Packet,
    /// At the head of a tunnel's packet, of which all must be there.
    Tunnel,
    /// In an ICMP error, which quotes the beginning of a packet: a first fragment has as much of it.
    Quoted,
}

impl Occurrence {
    /// Whether a fragment, a later one or not, is of no use there.
    #[inline(always)]
    const fn refuses(self, is_fragment: bool, is_later: bool) -> bool {
        match self {
            Self::Packet => false,
            Self::Tunnel => is_fragment,
            Self::Quoted => is_later,
        }
    }
}

/// An IP version, as the stages use it.
pub trait Ip: FamilyMaps + DecapMaps + PathMaps + SourceMaps {
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

    /// Replaces the destination, and the source unless it is to stay (`None`); what that changes of a checksum that
    /// covers both.
    fn set_addresses(
        header: &mut Self::Header,
        source: Option<&Self::Address>,
        destination: &Self::Address,
    ) -> Change;

    /// What the header of a packet hands on to an outer one.
    fn inherited(header: &Self::Header) -> Inherited;

    /// Our own address towards `backend`, which is of this version, for a flow with hash `hash`.
    fn source_towards(backend: &Backend, hash: FlowHash) -> Self::Address;

    /// Writes the whole fixed header.
    fn write(header: &mut Self::Header, new: &NewHeader<Self::Address>);
}
