//! Network address and port translation (RFC 3022): of one end or of both.

use lb_common::{flow::FlowKey, outcome::Outcome};
use network_types::{ip::IpProto, udp::UdpHdr};

use super::quote;
use crate::{
    frame::Frame,
    ip::Ip,
    packet::Packet,
    wire::{checksum::Change, tcp::Tcp},
};

/// Makes `to` of the packet's 5-tuple, whose protocol stays, and mends the checksums that cover it. Of an ICMP error,
/// the 5-tuple is that of the flow it is about.
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
    if packet.error != 0 {
        return quote::translate(frame, packet, to, hides_routers);
    }
    let ports = ports::<F>(&packet.flow, to);
    let header = frame
        .view_mut::<F::Header>(packet.network)
        .ok_or(Outcome::Truncated)?;
    // The pseudo-header has the addresses (RFC 9293 section 3.1, RFC 768, RFC 8200 section 8.1).
    let change = F::set_addresses(header, Some(&to.source), &to.destination).and(ports);
    if packet.transport == 0 {
        return Ok(());
    }
    if to.protocol == IpProto::Tcp as u32 {
        let tcp = frame
            .view_mut::<Tcp>(packet.transport)
            .ok_or(Outcome::Truncated)?;
        tcp.source = to.source_port.to_bytes();
        tcp.destination = to.destination_port.to_bytes();
        tcp.check = change.apply(tcp.check);
    } else {
        let udp = frame
            .view_mut::<UdpHdr>(packet.transport)
            .ok_or(Outcome::Truncated)?;
        udp.src = to.source_port.to_bytes();
        udp.dst = to.destination_port.to_bytes();
        udp.check = udp_checksum(udp.check, change);
    }
    Ok(())
}

/// What other ports change of a checksum.
#[inline(always)]
pub(super) const fn ports<F: Ip>(from: &FlowKey<F::Address>, to: &FlowKey<F::Address>) -> Change {
    Change::none()
        .word(from.source_port, to.source_port)
        .word(from.destination_port, to.destination_port)
}

/// A UDP checksum after `change`: none stays none, and a computed 0 is sent as all ones (RFC 768).
#[inline(always)]
pub(super) const fn udp_checksum(checksum: [u8; 2], change: Change) -> [u8; 2] {
    match checksum {
        [0, 0] => [0, 0],
        _ => match change.apply(checksum) {
            [0, 0] => [0xff, 0xff],
            new => new,
        },
    }
}
