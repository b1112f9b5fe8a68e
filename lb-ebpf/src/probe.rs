//! The pipeline of the interface of probes: a probe's packet to an alias becomes a client's packet to the VIP, and goes
//! to the one backend that the alias stands for, by the stages that clients' packets go through.
//!
//! ```text
//! parse -> translate -> rewrite -> emit
//! ```
//!
//! The interface is a tap whose frames the daemon leads back into it: what this host's stack has sent comes in here,
//! with its checksums complete, and so do the answers that the other program has sent to it. The former go to
//! backends, the latter to the stack; there is nothing else.

use lb_common::{
    backend::BackendId,
    family::{V4, V6},
    hash::flow_hash,
    outcome::Outcome,
};

use crate::{
    emit,
    forward::Sent,
    frame::Frame,
    guard,
    ip::Ip,
    maps,
    packet::{Link, NextHop, Version},
    parse, rewrite, translate,
};

/// From a frame on the interface of probes to what becomes of it.
///
/// # Errors
/// The outcome of what does not go to a backend.
#[inline(always)]
pub fn probe(frame: &mut Frame) -> Result<Sent, Outcome> {
    let link = parse::link(frame).map_err(|_| Outcome::NotAProbe)?;
    match link.version {
        Version::V4 => packet::<V4>(frame, &link),
        Version::V6 => packet::<V6>(frame, &link),
    }
}

#[inline(always)]
fn packet<F: Ip>(frame: &mut Frame, link: &Link) -> Result<Sent, Outcome> {
    let source = parse::source::<F>(frame, link.network).map_err(|_| Outcome::NotAProbe)?;
    // Before anything else of it is read: an answer may be a later fragment, or an ICMP error.
    if maps::path::path::<F>(source).is_some() {
        return Err(Outcome::ProbeReply);
    }
    let packet = parse::packet::<F>(frame, link.network).map_err(|_| Outcome::NotAProbe)?;
    let path = maps::path::path::<F>(packet.flow.destination).ok_or(Outcome::NotAProbe)?;
    // Whether flows may go to it does not matter: probes find out whether they may again.
    let backend = maps::backend(BackendId(path.backend))
        .filter(|backend| backend.generation == path.generation)
        .ok_or(Outcome::StaleTable)?;
    if !guard::fits(packet.len(), rewrite::overhead(backend), backend.mtu) {
        return Err(Outcome::TooBig);
    }
    let to = translate::probe(&packet, path)?;
    rewrite::translate(frame, &packet, to, true)?;
    let hash = flow_hash::<F>(to, maps::settings::hash_seed());
    let link = rewrite::request(frame, link, &packet, backend, hash)?;
    let action = emit::emit(frame, &link, &NextHop::from(backend))?;
    parse::remember(&packet);
    Ok(Sent {
        outcome: Outcome::Forwarded,
        action,
    })
}
