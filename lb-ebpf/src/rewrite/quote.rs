//! Network address translation of an ICMP error: of its own address and of the packet that it quotes
//! (RFC 5508 section 4, RFC 3022 section 4.3).
//!
//! All checksums are updated by what changed (RFC 1624): the quoted ones as far as they are quoted, and that of the
//! error, which covers the quote with its checksums and in ICMPv6 the error's own addresses (RFC 4443 section 2.3).

use lb_common::{be::Be16, outcome::Outcome};
use network_types::{ip::IpProto, udp::UdpHdr};

use super::nat::{End, udp_checksum};
use crate::{
    frame::Frame,
    ip::Ip,
    packet::Packet,
    wire::{checksum::Change, icmp::Error},
};

/// Where the checksum stands in a TCP header (RFC 9293 section 3.1).
const TCP_CHECKSUM: usize = 16;
/// Where it stands in a UDP header (RFC 768).
const UDP_CHECKSUM: usize = 6;

/// Replaces address and port of the flow's `end`, which the quoted packet has at its other end.
///
/// An error that a router sent on the way to the backend keeps the router's address: it is true, and the backend's
/// is not in it.
///
/// # Errors
/// [`Outcome::Truncated`], never after parsing.
#[inline(always)]
pub(super) fn translate<F: Ip>(
    frame: &mut Frame,
    packet: &Packet<F>,
    end: End,
    address: F::Address,
    port: Be16,
) -> Result<(), Outcome> {
    let (old_address, old_port) = end.of::<F>(&packet.flow);
    let moved = Change::none().words(old_address.as_ref(), address.as_ref());
    let change = moved.word(old_port, port);
    let mut message = change;

    let header = frame
        .view_mut::<F::Header>(packet.network)
        .ok_or(Outcome::Truncated)?;
    let is_from_end = end == End::Destination || F::source(header) == old_address;
    if is_from_end {
        match end {
            End::Source => F::set_source(header, address),
            End::Destination => F::set_destination(header, address),
        }
        if F::ICMP_COVERS_ADDRESSES {
            message = message.words(old_address.as_ref(), address.as_ref());
        }
    }

    let ports = frame
        .view_mut::<UdpHdr>(packet.transport)
        .ok_or(Outcome::Truncated)?;
    match end {
        End::Source => ports.dst = port.to_bytes(),
        End::Destination => ports.src = port.to_bytes(),
    }
    let is_tcp = packet.flow.protocol == IpProto::Tcp as u32;
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

    let Error { icmp, quoted } = frame
        .view_mut::<Error<F::Header>>(packet.error)
        .ok_or(Outcome::Truncated)?;
    let old = F::header_checksum(quoted);
    match end {
        End::Source => F::set_destination(quoted, address),
        End::Destination => F::set_source(quoted, address),
    }
    message = message.word(old, F::header_checksum(quoted));
    icmp.check = message.apply(icmp.check);
    Ok(())
}
