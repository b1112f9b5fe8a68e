//! Fifth stage: what changes in the packet from the IP header on, by the backend's mode.

mod nat;
mod quote;

use lb_common::{
    backend::{Backend, Mode},
    flow::Reply,
    outcome::Outcome,
};

use crate::{frame::Frame, ip::Ip, packet::Packet};

/// Rewrites a request for `backend`.
///
/// # Errors
/// [`Outcome::UnsupportedMode`]; [`Outcome::Truncated`] cannot happen after parsing, but the verifier wants
/// every view checked.
#[inline(always)]
pub fn request<F: Ip>(
    frame: &mut Frame,
    packet: &Packet<F>,
    backend: &Backend,
) -> Result<(), Outcome> {
    match backend.mode {
        Mode::L2 => {}
        Mode::NAT if backend.version == F::VERSION => {
            nat::translate::<F>(
                frame,
                packet,
                nat::End::Destination,
                F::backend_address(backend),
                backend.port,
            )?;
        }
        _ => return Err(Outcome::UnsupportedMode),
    }
    decrement_hop_limit(frame, packet)
}

/// Rewrites a NAT backend's reply so that it comes from the VIP.
///
/// # Errors
/// As [`request`].
#[inline(always)]
pub fn reply<F: Ip>(
    frame: &mut Frame,
    packet: &Packet<F>,
    reply: &Reply<F::Address>,
) -> Result<(), Outcome> {
    nat::translate::<F>(frame, packet, nat::End::Source, reply.address, reply.port)
}

/// Takes one from the hop limit, as a router must.
///
/// # Errors
/// As [`request`].
#[inline(always)]
pub fn decrement_hop_limit<F: Ip>(frame: &mut Frame, packet: &Packet<F>) -> Result<(), Outcome> {
    let header = frame
        .view_mut::<F::Header>(packet.network)
        .ok_or(Outcome::Truncated)?;
    F::decrement_hop_limit(header);
    Ok(())
}
