//! Network address translation of an ICMP error: of its own address and of the packet that it quotes
//! (RFC 5508 section 4, RFC 3022 section 4.3).
//!
//! All checksums are updated by what changed (RFC 1624): the quoted ones as far as they are quoted, and that of the
//! error, which covers the quote with its checksums and in ICMPv6 the error's own addresses (RFC 4443 section 2.3).

use lb_common::{be::Be16, flow::FlowKey, outcome::Outcome};
use network_types::{ip::IpProto, udp::UdpHdr};

use super::nat::{ports, udp_checksum};
use crate::{
    frame::Frame,
    ip::Ip,
    packet::Packet,
    wire::{
        checksum::Change,
        icmp::{Error, Icmp},
    },
};

/// Where the checksum stands in a TCP header (RFC 9293 section 3.1).
const TCP_CHECKSUM: usize = 16;
/// Where it stands in a UDP header (RFC 768).
const UDP_CHECKSUM: usize = 6;

/// Makes `to` of the 5-tuple of the flow that the error is about; the quoted packet has it the other way round.
///
/// An error that a router sent on the way keeps the router's address, which is true, as long as one end of the flow
/// stays what it is. Where both are translated, neither side has a route to the other's routers: the error comes from
/// the end that `to` comes from.
///
/// # Errors
/// [`Outcome::Truncated`], never after parsing.
#[inline(always)]
pub(super) fn translate<F: Ip>(
    frame: &mut Frame,
    packet: &Packet<F>,
    to: &FlowKey<F::Address>,
    hides_routers: bool,
) -> Result<(), Outcome> {
    let from = &packet.flow;
    let header = frame
        .view_mut::<F::Header>(packet.network)
        .ok_or(Outcome::Truncated)?;
    let moves = hides_routers || F::source(header) == from.source;
    let outer = F::set_addresses(header, moves.then_some(&to.source), &to.destination);
    let mut message = Change::none();
    if F::ICMP_COVERS_ADDRESSES {
        message = outer;
    }

    let Error { quoted, .. } = frame
        .view_mut::<Error<F::Header>>(packet.error)
        .ok_or(Outcome::Truncated)?;
    let old = F::header_checksum(quoted);
    let inner = F::set_addresses(quoted, Some(&to.destination), &to.source);
    let change = inner.and(ports::<F>(from, to));
    message = message.and(change).word(old, F::header_checksum(quoted));

    let header = frame
        .view_mut::<UdpHdr>(packet.transport)
        .ok_or(Outcome::Truncated)?;
    header.src = to.destination_port.to_bytes();
    header.dst = to.source_port.to_bytes();
    let is_tcp = to.protocol == IpProto::Tcp as u32;
    let place = packet.transport + if is_tcp { TCP_CHECKSUM } else { UDP_CHECKSUM };
    if place + size_of::<[u8; 2]>() <= packet.end {
        let checksum = frame.view_mut::<[u8; 2]>(place).ok_or(Outcome::Truncated)?;
        let old = *checksum;
        let new = if is_tcp {
            change.apply(old)
        } else {
            udp_checksum(old, change)
        };
        *checksum = new;
        message = message.word(Be16::from_bytes(old), Be16::from_bytes(new));
    }

    let icmp = frame
        .view_mut::<Icmp>(packet.error)
        .ok_or(Outcome::Truncated)?;
    icmp.check = message.apply(icmp.check);
    Ok(())
}
