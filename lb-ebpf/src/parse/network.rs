//! The IP header with its extensions, and whether what follows can be balanced at all.

use lb_common::outcome::Outcome;
use network_types::ip::IpProto;

use crate::{
    frame::Frame,
    ip::{Ip, Occurrence},
    packet::{Network, Part},
};

/// Reads `header`, which stands at `offset`, as far as to a TCP, UDP, SCTP or ICMP header.
///
/// # Errors
/// As [`Ip::read`]; [`Outcome::WrongIcmp`]; for other protocols [`Outcome::Unmatched`] if the packet is whole,
/// [`Outcome::Truncated`] if the frame ends inside an IP header, and [`Outcome::Malformed`] if it ends thereafter.
#[inline(always)]
pub(super) fn network<F: Ip>(
    frame: &Frame,
    header: &F::Header,
    offset: usize,
) -> Result<Network, Outcome> {
    const TCP: u64 = IpProto::Tcp as u64;
    const UDP: u64 = IpProto::Udp as u64;
    const SCTP: u64 = IpProto::Sctp as u64;
    let network = F::read(frame, header, offset, Occurrence::Packet)?;
    match network.protocol {
        TCP | UDP | SCTP => Ok(network),
        icmp if icmp == F::ICMP => Ok(network),
        icmp if icmp == F::FOREIGN_ICMP => Err(Outcome::WrongIcmp),
        // What its first fragment told decides: its own number may be that of an extension header.
        _ if network.part.position == Part::LATER => Ok(network),
        _ if network.payload > frame.first_buffer() => Err(Outcome::Truncated),
        _ if !frame.reaches(network.end) => Err(Outcome::Malformed),
        _ => Err(Outcome::Unmatched),
    }
}
