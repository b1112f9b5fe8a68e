//! The kernel's routing and neighbour tables, asked from the program.
//!
//! Only the way back to clients is asked for here; next hops of backends stand in their entries.
#![expect(
    unsafe_code,
    reason = "the kernel's answer stands in a C structure with unions"
)]

use core::mem;

use aya_ebpf::{
    bindings::{
        BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_NOT_FWDED, BPF_FIB_LKUP_RET_SUCCESS,
        bpf_fib_lookup as Lookup,
    },
    helpers::bpf_fib_lookup,
};
use lb_common::{flow::Reply, outcome::Outcome};

use crate::{
    frame::Frame,
    ip::Ip,
    packet::{NextHop, Packet},
};

/// The way to a client.
pub enum Route {
    /// Known to the last byte.
    Via(NextHop),
    /// There is a route, but the kernel has yet to find out the neighbour's MAC address.
    Unresolved,
}

/// The way to the client that `packet`, a NAT backend's, is for; it will seem to come from `reply`.
///
/// # Errors
/// [`Outcome::NotVip`] if the client is this host itself, so that its own stack gets the packet as it is;
/// [`Outcome::ReplyUnroutable`] if there is no route or forwarding is off on the ingress interface.
#[inline(always)]
pub fn to_client<F: Ip>(
    frame: &Frame,
    packet: &Packet<F>,
    reply: &Reply<F::Address>,
) -> Result<Route, Outcome> {
    // SAFETY: the structure is made of integers and unions of integers; all zero is valid.
    let mut lookup: Lookup = unsafe { mem::zeroed() };
    lookup.family = F::SOCKET_FAMILY;
    lookup.l4_protocol = packet.flow.protocol as u8;
    lookup.sport = reply.port.raw();
    lookup.dport = packet.flow.destination_port.raw();
    lookup.ifindex = frame.ingress();
    F::write_addresses(&mut lookup, reply.address, packet.flow.destination);
    let length = size_of::<Lookup>() as i32;
    // SAFETY: the context is the one that the kernel gave; `lookup` is initialised and as long as said.
    let answer = unsafe { bpf_fib_lookup(frame.context().cast(), &raw mut lookup, length, 0) };
    match answer as u32 {
        BPF_FIB_LKUP_RET_SUCCESS => Ok(Route::Via(NextHop {
            egress: lookup.ifindex,
            source: lookup.smac,
            destination: lookup.dmac,
        })),
        BPF_FIB_LKUP_RET_NO_NEIGH => Ok(Route::Unresolved),
        BPF_FIB_LKUP_RET_NOT_FWDED => Err(Outcome::NotVip),
        _ => Err(Outcome::ReplyUnroutable),
    }
}
