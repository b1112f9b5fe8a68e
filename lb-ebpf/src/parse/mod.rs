//! First stage: from bytes to values. Reads, changes nothing.

mod icmp;
mod link;
mod network;
mod quic;
mod transport;

use lb_common::{
    flow::FlowKey,
    fragment::{FragmentKey, FragmentPorts},
    outcome::Outcome,
    progress::Signal,
};

use crate::{
    frame::Frame,
    ip::Ip,
    maps,
    packet::{Network, Packet, Part},
};

pub use link::link;
pub use quic::server_id;

/// The destination of the IP packet at `offset`.
///
/// # Errors
/// [`Outcome::NotIp`] if the frame is too short to have one.
#[inline(always)]
pub fn destination<F: Ip>(frame: &Frame, offset: usize) -> Result<F::Address, Outcome> {
    frame.view(offset).map(F::destination).ok_or(Outcome::NotIp)
}

/// The source of the IP packet at `offset`.
///
/// # Errors
/// [`Outcome::Truncated`], never after [`packet`].
#[inline(always)]
pub fn source<F: Ip>(frame: &Frame, offset: usize) -> Result<F::Address, Outcome> {
    frame.view(offset).map(F::source).ok_or(Outcome::Truncated)
}

/// Reads the TCP, UDP or SCTP packet, or the ICMP error about one, whose IP header stands at `offset`.
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
    if network.part.position == Part::LATER {
        return later::<F>(frame, header, offset, &network);
    }
    if network.protocol == F::ICMP {
        // Of its fragments, none has all that would have to be answered or translated.
        if network.part.position != Part::WHOLE {
            return Err(Outcome::Fragment);
        }
        return match icmp::error::<F>(frame, header, &network, offset) {
            // What is not steered must be as whole as the rest.
            Err(Outcome::Icmp) if !frame.reaches(network.end) => Err(Outcome::Malformed),
            other => other,
        };
    }
    let transport = transport::transport(frame, &network)?;
    // After the headers: a frame that ends inside one is truncated, one that ends after them contradicts
    // its IP length.
    if !frame.reaches(network.end) {
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
        signal: transport.signal,
        network: offset,
        error: 0,
        transport: network.payload,
        part: network.part,
        end: network.end,
    })
}

/// A fragment without a transport header: its first fragment told the ports.
#[inline(always)]
fn later<F: Ip>(
    frame: &Frame,
    header: &F::Header,
    offset: usize,
    network: &Network,
) -> Result<Packet<F>, Outcome> {
    if !frame.reaches(network.end) {
        return Err(Outcome::Malformed);
    }
    let (source, destination) = (F::source(header), F::destination(header));
    let key = fragment_key::<F>(source, destination, network.part);
    let known = maps::fragment::<F>(&key).ok_or(Outcome::Fragment)?;
    Ok(Packet {
        flow: FlowKey {
            source,
            destination,
            source_port: known.source_port,
            destination_port: known.destination_port,
            protocol: known.protocol,
        },
        hop_limit: network.hop_limit,
        signal: Signal::NOTHING,
        network: offset,
        error: 0,
        transport: 0,
        part: network.part,
        end: network.end,
    })
}

/// Remembers the ports of a first fragment for the later ones.
#[inline(always)]
pub fn remember<F: Ip>(packet: &Packet<F>) {
    if packet.part.position == Part::FIRST {
        let flow = &packet.flow;
        let key = fragment_key::<F>(flow.source, flow.destination, packet.part);
        let value = FragmentPorts {
            source_port: flow.source_port,
            destination_port: flow.destination_port,
            protocol: flow.protocol,
        };
        maps::remember_fragment::<F>(&key, &value);
    }
}

#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "identifications have at most 32 bits, protocols 8"
)]
const fn fragment_key<F: Ip>(
    source: F::Address,
    destination: F::Address,
    part: Part,
) -> FragmentKey<F::Address> {
    FragmentKey {
        source,
        destination,
        identification: part.identification as u32,
        protocol: part.protocol as u32,
    }
}
