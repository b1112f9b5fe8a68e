//! First stage: from bytes to values. Reads, changes nothing.

mod icmp;
mod link;
mod network;
mod transport;

use lb_common::{flow::FlowKey, outcome::Outcome};

use crate::{frame::Frame, ip::Ip, packet::Packet};

pub use link::link;

/// The destination of the IP packet at `offset`.
///
/// # Errors
/// [`Outcome::NotIp`] if the frame is too short to have one.
#[inline(always)]
pub fn destination<F: Ip>(frame: &Frame, offset: usize) -> Result<F::Address, Outcome> {
    frame.view(offset).map(F::destination).ok_or(Outcome::NotIp)
}

/// The source of the IP packet at `offset`, which is not that of its flow in an ICMP error.
///
/// # Errors
/// [`Outcome::Truncated`], never after [`packet`].
#[inline(always)]
pub fn source<F: Ip>(frame: &Frame, offset: usize) -> Result<F::Address, Outcome> {
    frame.view(offset).map(F::source).ok_or(Outcome::Truncated)
}

/// Reads the TCP or UDP packet, or the ICMP error about one, whose IP header stands at `offset`.
///
/// # Errors
/// What becomes of the packet if it is for a VIP address.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "the protocol was 8 bits wide"
)]
pub fn packet<F: Ip>(frame: &Frame, offset: usize) -> Result<Packet<F>, Outcome> {
    let header = frame.view(offset).ok_or(Outcome::Truncated)?;
    let network = network::network::<F>(frame, header, offset)?;
    if network.protocol == F::ICMP {
        return match icmp::error::<F>(frame, header, &network, offset) {
            // What is not steered must be as whole as the rest.
            Err(Outcome::Icmp) if network.end > frame.len() => Err(Outcome::Malformed),
            other => other,
        };
    }
    let transport = transport::transport(frame, &network)?;
    // After the headers: a frame that ends inside one is truncated, one that ends after them contradicts
    // its IP length.
    if network.end > frame.len() {
        return Err(Outcome::Malformed);
    }
    Ok(Packet {
        flow: FlowKey {
            source: F::source(header),
            destination: F::destination(header),
            source_port: transport.source,
            destination_port: transport.destination,
            protocol: network.protocol as u32,
        },
        hop_limit: network.hop_limit,
        begins_flow: transport.begins_flow,
        network: offset,
        error: 0,
        transport: network.payload,
        end: network.end,
    })
}
