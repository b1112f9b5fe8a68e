//! ICMP errors: the flow of the packet that they quote.
//!
//! An error quotes what somebody sent who is now told about it, from its IP header on: all of it, or as little as
//! that header and 8 bytes (RFC 792; RFC 1812 section 4.3.2.3; RFC 4443 section 3). It belongs to the flow of
//! that packet, seen from the other end.

use lb_common::{be::Be16, flow::FlowKey, outcome::Outcome, progress::Signal};
use network_types::{ip::IpProto, udp::UdpHdr};

use crate::{
    frame::Frame,
    ip::{Ip, Occurrence},
    packet::{Network, Packet},
    wire::icmp::Icmp,
};

/// Reads the ICMP message of a packet whose IP header `header` stands at `offset`, if it is an error about TCP, UDP or
/// SCTP.
///
/// # Errors
/// [`Outcome::Icmp`] for all other messages, also errors about later fragments, whose ports nobody can tell;
/// [`Outcome::Truncated`] if the quote ends before the ports' 8 bytes do; [`Outcome::Malformed`] also if the
/// quoted packet is not of the host that is told about it: nothing that it has sent (RFC 5508 section 4.2).
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the protocol was 8 bits wide"
)]
pub(super) fn error<F: Ip>(
    frame: &Frame,
    header: &F::Header,
    network: &Network,
    offset: usize,
) -> Result<Packet<F>, Outcome> {
    const TCP: u64 = IpProto::Tcp as u64;
    const UDP: u64 = IpProto::Udp as u64;
    const SCTP: u64 = IpProto::Sctp as u64;
    let icmp = frame
        .view::<Icmp>(network.payload)
        .ok_or(Outcome::Truncated)?;
    let quote = network.payload + Icmp::LEN;
    if quote > network.end {
        return Err(Outcome::Truncated);
    }
    if !F::is_icmp_error(icmp.kind) {
        return Err(Outcome::Icmp);
    }
    let quoted_header = frame.view(quote).ok_or(Outcome::Truncated)?;
    let quoted = match F::read(frame, quoted_header, quote, Occurrence::Quoted) {
        Err(Outcome::Fragment) => return Err(Outcome::Icmp),
        other => other?,
    };
    // The quoted lengths are those of the packet that was sent; what is here of it ends with the error.
    if quoted.payload > network.end {
        return Err(Outcome::Truncated);
    }
    if !matches!(quoted.protocol, TCP | UDP | SCTP) {
        return Err(Outcome::Icmp);
    }
    // Of TCP and SCTP, too, the ports are the first 4 of these 8 bytes.
    let ports = frame
        .view::<UdpHdr>(quoted.payload)
        .ok_or(Outcome::Truncated)?;
    if quoted.payload + size_of::<UdpHdr>() > network.end {
        return Err(Outcome::Truncated);
    }
    if !frame.reaches(network.end) || F::source(quoted_header) != F::destination(header) {
        return Err(Outcome::Malformed);
    }
    Ok(Packet {
        flow: FlowKey {
            source: F::destination(quoted_header),
            destination: F::source(quoted_header),
            source_port: Be16::from_bytes(ports.dst),
            destination_port: Be16::from_bytes(ports.src),
            protocol: quoted.protocol as u32,
        },
        hop_limit: network.hop_limit,
        signal: Signal::NOTHING,
        network: offset,
        error: network.payload,
        transport: quoted.payload,
        part: network.part,
        end: network.end,
    })
}
