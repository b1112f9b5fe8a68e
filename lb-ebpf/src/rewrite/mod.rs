//! Fifth stage: what changes in the packet from the IP header on, by the backend's mode.

mod nat;
mod quote;
mod tunnel;

use lb_common::{
    backend::{Backend, Mode},
    family::{Family, V4, V6},
    flow::FlowKey,
    hash::FlowHash,
    outcome::Outcome,
};
use network_types::ip::{Ipv4Hdr, Ipv6Hdr};

use self::tunnel::Shim;
use crate::{
    frame::Frame,
    ip::Ip,
    packet::{Link, Packet},
};

/// Rewrites a request for `backend`, whose mode leaves the packet's addresses as they are; answers what then stands
/// before the IP header.
///
/// # Errors
/// [`Outcome::UnsupportedMode`]; [`Outcome::NoRoom`] if the frame cannot grow; [`Outcome::Truncated`] cannot
/// happen after parsing, but the verifier wants every view checked.
#[inline(always)]
pub fn request<F: Ip>(
    frame: &mut Frame,
    link: &Link,
    packet: &Packet<F>,
    backend: &Backend,
    hash: FlowHash,
) -> Result<Link, Outcome> {
    // A tunnel forwards as a router does before it encapsulates (RFC 2003 section 3.1).
    let header = frame
        .view_mut::<F::Header>(packet.network)
        .ok_or(Outcome::Truncated)?;
    F::decrement_hop_limit(header);
    let inherited = F::inherited(header);
    let shim = match backend.mode {
        Mode::L2 => return Ok(*link),
        Mode::IPIP => Shim::None,
        Mode::GUE => Shim::Gue,
        _ => return Err(Outcome::UnsupportedMode),
    };
    match backend.version {
        V4::VERSION => {
            tunnel::encapsulate::<F, V4>(frame, link, packet, inherited, backend, hash, shim)
        }
        V6::VERSION => {
            tunnel::encapsulate::<F, V6>(frame, link, packet, inherited, backend, hash, shim)
        }
        _ => Err(Outcome::UnsupportedMode),
    }
}

/// Bytes that the rewrite puts before a packet to `backend`.
#[inline(always)]
#[must_use]
pub const fn overhead(backend: &Backend) -> usize {
    let shim = match backend.mode {
        Mode::IPIP => Shim::None,
        Mode::GUE => Shim::Gue,
        _ => return 0,
    };
    let header = match backend.version {
        V4::VERSION => size_of::<Ipv4Hdr>(),
        _ => size_of::<Ipv6Hdr>(),
    };
    header + shim.len()
}

/// Rewrites a packet of a NAT backend's flow, of either direction, so that `to` becomes its 5-tuple.
///
/// # Errors
/// [`Outcome::Truncated`], never after parsing.
#[inline(always)]
pub fn translate<F: Ip>(
    frame: &mut Frame,
    packet: &Packet<F>,
    to: &FlowKey<F::Address>,
    hides_routers: bool,
) -> Result<(), Outcome> {
    nat::translate(frame, packet, to, hides_routers)
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
