//! TCP (RFC 9293 section 3.1), UDP (RFC 768) and SCTP (RFC 9260 section 3) headers: the ports, and what they say of the
//! flow.

use lb_common::{be::Be16, outcome::Outcome, progress::Signal};
use network_types::{ip::IpProto, udp::UdpHdr};

use crate::{
    frame::Frame,
    packet::{Network, Part},
    wire::{sctp::Sctp, tcp::Tcp},
};

/// What a transport header tells.
pub(super) struct Ports {
    pub(super) source: Be16,
    pub(super) destination: Be16,
    /// What it says of its sender's end of the flow.
    pub(super) signal: Signal,
}

/// Reads the header that follows the IP header.
///
/// # Errors
/// [`Outcome::Truncated`], [`Outcome::Malformed`].
#[inline(always)]
pub(super) fn transport(frame: &Frame, network: &Network) -> Result<Ports, Outcome> {
    const TCP: u64 = IpProto::Tcp as u64;
    const SCTP: u64 = IpProto::Sctp as u64;
    // Lengths are those of the datagram, of which a first fragment is only a part.
    let is_whole = network.part.position == Part::WHOLE;
    match network.protocol {
        TCP => tcp(frame, network.payload, network.end),
        SCTP => sctp(frame, network.payload, network.end, is_whole),
        _ => udp(frame, network.payload, network.end, is_whole),
    }
}

#[inline(always)]
fn tcp(frame: &Frame, offset: usize, end: usize) -> Result<Ports, Outcome> {
    let header = frame.view::<Tcp>(offset).ok_or(Outcome::Truncated)?;
    if offset + size_of::<Tcp>() > end {
        return Err(Outcome::Truncated);
    }
    if header.header_len() < size_of::<Tcp>() || offset + header.header_len() > end {
        return Err(Outcome::Malformed);
    }
    Ok(Ports {
        source: Be16::from_bytes(header.source),
        destination: Be16::from_bytes(header.destination),
        signal: Signal::of_tcp(header.control),
    })
}

#[inline(always)]
fn udp(frame: &Frame, offset: usize, end: usize, is_whole: bool) -> Result<Ports, Outcome> {
    let header = frame.view::<UdpHdr>(offset).ok_or(Outcome::Truncated)?;
    if offset + size_of::<UdpHdr>() > end {
        return Err(Outcome::Truncated);
    }
    let length = usize::from(Be16::from_bytes(header.len).get());
    if length < size_of::<UdpHdr>() || is_whole && offset + length > end {
        return Err(Outcome::Malformed);
    }
    Ok(Ports {
        source: Be16::from_bytes(header.src),
        destination: Be16::from_bytes(header.dst),
        signal: Signal::GOES_ON,
    })
}

#[inline(always)]
fn sctp(frame: &Frame, offset: usize, end: usize, is_whole: bool) -> Result<Ports, Outcome> {
    let header = frame.view::<Sctp>(offset).ok_or(Outcome::Truncated)?;
    if offset + size_of::<Sctp>() > end {
        return Err(Outcome::Truncated);
    }
    let chunk_end = header.first_chunk_end().ok_or(Outcome::Malformed)?;
    if is_whole && offset + chunk_end > end {
        return Err(Outcome::Malformed);
    }
    Ok(Ports {
        source: Be16::from_bytes(header.common.src),
        destination: Be16::from_bytes(header.common.dst),
        signal: if header.is_last() {
            Signal::RST
        } else {
            Signal::GOES_ON
        },
    })
}
