//! Network address and port translation of one end (RFC 3022 section 4.1).

use lb_common::{be::Be16, flow::FlowKey, outcome::Outcome};
use network_types::{ip::IpProto, tcp::TcpHdr, udp::UdpHdr};

use super::quote;
use crate::{frame::Frame, ip::Ip, packet::Packet, wire::checksum::Change};

/// Which end of a packet is translated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Destination,
}

impl End {
    /// Address and port that a flow has there.
    #[inline(always)]
    pub(super) fn of<F: Ip>(self, flow: &FlowKey<F::Address>) -> (F::Address, Be16) {
        match self {
            Self::Source => (flow.source, flow.source_port),
            Self::Destination => (flow.destination, flow.destination_port),
        }
    }
}

/// Whether ports of transport protocol `protocol` can be translated: SCTP's checksum, a CRC of the whole packet
/// (RFC 9260 section 6.8), cannot be updated by what changed.
#[inline(always)]
pub(super) const fn translates(protocol: u32) -> bool {
    protocol != IpProto::Sctp as u32
}

/// Replaces address and port of one end and mends the checksums that cover them.
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
    if packet.error != 0 {
        return quote::translate(frame, packet, end, address, port);
    }
    let flow = &packet.flow;
    let (old_address, old_port) = end.of::<F>(flow);
    // The pseudo-header has the addresses (RFC 9293 section 3.1, RFC 768, RFC 8200 section 8.1).
    let change = Change::none()
        .words(old_address.as_ref(), address.as_ref())
        .word(old_port, port);

    let header = frame
        .view_mut::<F::Header>(packet.network)
        .ok_or(Outcome::Truncated)?;
    match end {
        End::Source => F::set_source(header, address),
        End::Destination => F::set_destination(header, address),
    }
    if packet.transport == 0 {
        return Ok(());
    }
    if flow.protocol == IpProto::Tcp as u32 {
        let tcp = frame
            .view_mut::<TcpHdr>(packet.transport)
            .ok_or(Outcome::Truncated)?;
        match end {
            End::Source => tcp.source = port.to_bytes(),
            End::Destination => tcp.dest = port.to_bytes(),
        }
        tcp.check = change.apply(tcp.check);
    } else {
        let udp = frame
            .view_mut::<UdpHdr>(packet.transport)
            .ok_or(Outcome::Truncated)?;
        match end {
            End::Source => udp.src = port.to_bytes(),
            End::Destination => udp.dst = port.to_bytes(),
        }
        udp.check = udp_checksum(udp.check, change);
    }
    Ok(())
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
