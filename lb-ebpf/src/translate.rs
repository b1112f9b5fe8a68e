//! Between `select` and `rewrite`, for NAT backends only: the addresses and ports that a flow has towards its
//! backend, and what is remembered of its way back.
//!
//! In mode `nat` the source stays the client's. In mode `snat` (RFC 3022 section 2.2) it is our own address with a port
//! that no other flow to that backend has: the entry among the replies, whose key has the port, holds it. The ports of
//! the range are split among the CPUs, and each CPU walks its own in a circle, so that it tries first what has been
//! unused for longest. Ports are told apart by backend and protocol, so that each backend has them all.

use lb_common::{
    backend::Mode,
    be::Be16,
    flow::{FlowKey, Reply},
    outcome::Outcome,
    path::Path,
    progress::Progress,
    translation::Translation,
};
use network_types::ip::IpProto;

use crate::{
    ip::Ip,
    maps,
    packet::{Choice, Packet},
};

/// Ports in a row that are tried for a flow.
const IN_A_ROW: u32 = 8;
/// Ports that are tried when none of these is free, at equal distances around the circle: flows that began one after
/// the other and live long fill a whole stretch of it.
const AROUND: u32 = 8;

/// The 5-tuple that `packet` has towards `choice.backend`, a NAT backend; of an ICMP error, that of its flow.
///
/// The flow and its reply stand in two tables, and the one may have been forgotten before the other, or never remembered:
/// the second is looked up with every packet that may begin a flow or whose flow is known, which also keeps it among the
/// recently used.
///
/// # Errors
/// [`Outcome::UnsupportedMode`] for a backend of the other IP version and for SCTP; in mode `snat`
/// [`Outcome::UnknownFlow`] and [`Outcome::PortsExhausted`].
#[inline(always)]
pub fn request<F: Ip>(
    packet: &Packet<F>,
    choice: &Choice,
) -> Result<&'static FlowKey<F::Address>, Outcome> {
    let backend = choice.backend;
    if backend.version != F::VERSION || !has_mendable_checksum(packet.flow.protocol) {
        return Err(Outcome::UnsupportedMode);
    }
    // Never fails: the map has one element.
    let work = maps::translation::<F>().ok_or(Outcome::UnsupportedMode)?;
    work.to = FlowKey {
        source: packet.flow.source,
        destination: F::backend_address(backend),
        source_port: packet.flow.source_port,
        destination_port: backend.port,
        protocol: packet.flow.protocol,
    };
    if backend.mode == Mode::SNAT {
        work.to.source = F::source_towards(backend, choice.hash);
        own_port(packet, choice, work)?;
    } else if packet.error == 0 && (choice.standing.is_known() || packet.signal.begins_flow()) {
        work.back = work.to.reversed();
        work.reply = entry(packet, [Progress::UNTRACKED; 2], 0);
        // Of two flows that share a way back, to two VIPs, the one that sent last has it.
        let known = maps::reply::<F>(&work.back);
        if !known.is_some_and(|known| *known.flow() == work.reply.flow) {
            maps::remember_reply::<F>(&work.back, &work.reply);
        }
    }
    Ok(&work.to)
}

/// The 5-tuple that a probe's packet to an alias has towards the VIP that the alias stands for.
///
/// The probe's port stays: it differs between the probes of one alias, and of two aliases of one VIP that happen to have
/// the same at the same moment, the one that sent last gets the answer. The kernel chooses ports at random.
///
/// # Errors
/// [`Outcome::NotAProbe`] for ICMP, and for SCTP, which probes do not speak.
#[inline(always)]
pub fn probe<F: Ip>(
    packet: &Packet<F>,
    path: &Path<F::Address>,
) -> Result<&'static FlowKey<F::Address>, Outcome> {
    if packet.error != 0 || !has_mendable_checksum(packet.flow.protocol) {
        return Err(Outcome::NotAProbe);
    }
    // Never fails: the map has one element.
    let work = maps::translation::<F>().ok_or(Outcome::NotAProbe)?;
    work.to = FlowKey {
        source: path.source,
        destination: path.vip,
        ..packet.flow
    };
    work.back = work.to.reversed();
    work.reply = entry(packet, [Progress::PROBE, Progress::UNTRACKED], 0);
    let known = maps::reply::<F>(&work.back);
    let is_known =
        known.is_some_and(|known| known.is_to_probe() && *known.flow() == work.reply.flow);
    if !is_known {
        maps::remember_reply::<F>(&work.back, &work.reply);
    }
    Ok(&work.to)
}

/// Whether the checksum of transport protocol `protocol` can be updated by what changed: SCTP's is a CRC of the whole
/// packet (RFC 9260 section 6.8).
#[inline(always)]
const fn has_mendable_checksum(protocol: u32) -> bool {
    protocol != IpProto::Sctp as u32
}

/// Finds out or chooses the port of our own that the flow has towards its backend.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "ports are below 2^16, also in a word's low half"
)]
fn own_port<F: Ip>(
    packet: &Packet<F>,
    choice: &Choice,
    work: &mut Translation<F::Address>,
) -> Result<(), Outcome> {
    let now = maps::now();
    work.back = work.to.reversed();
    if choice.source_port != 0 {
        work.to.source_port = Be16::from_raw(choice.source_port as u16);
        work.back.destination_port = work.to.source_port;
        let known = maps::reply::<F>(&work.back);
        if let Some(known) = known.filter(|known| *known.flow() == packet.flow.reversed()) {
            if packet.error == 0 {
                known.client_sent(packet.signal, now);
            }
            return Ok(());
        }
    }
    if !packet.signal.begins_flow() {
        return Err(Outcome::UnknownFlow);
    }
    let client = Progress::SILENT.after(packet.signal);
    work.reply = entry(packet, [client, Progress::SILENT], now);
    // Its own port first, if only the reply was forgotten: the backend knows the flow by it.
    if choice.source_port != 0 && maps::claim_reply::<F>(&work.back, &work.reply, now) {
        return Ok(());
    }
    let (first, count) = maps::own_ports();
    if count == 0 {
        return Err(Outcome::PortsExhausted);
    }
    for attempt in 0..IN_A_ROW + AROUND {
        let stride = if attempt < IN_A_ROW {
            1
        } else {
            count / AROUND
        };
        work.place = (work.place + stride) % count;
        work.to.source_port = Be16::new((first + work.place) as u16);
        work.back.destination_port = work.to.source_port;
        if maps::claim_reply::<F>(&work.back, &work.reply, now) {
            return Ok(());
        }
    }
    Err(Outcome::PortsExhausted)
}

/// What is remembered of the way back while client and backend have come so far.
#[inline(always)]
fn entry<F: Ip>(
    packet: &Packet<F>,
    [client, backend]: [Progress; 2],
    now: u32,
) -> Reply<F::Address> {
    Reply {
        flow: packet.flow.reversed(),
        last_seen: now,
        client,
        backend,
    }
}
