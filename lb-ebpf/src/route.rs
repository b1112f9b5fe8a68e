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
///
/// Not an enum: the compiler would carry an undefined next hop beside "unresolved" across the helper call,
/// and the verifier refuses to read a register that was never written.
pub struct Route {
    /// Whether the kernel knows the neighbour's MAC address; if not, it must find out, and the next hop is not
    /// to be used.
    pub is_resolved: bool,
    /// Where the frame goes.
    pub next_hop: NextHop,
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
    const LENGTH: i32 = 64;
    const { assert!(size_of::<Lookup>() == LENGTH as usize) };
    // SAFETY: the structure is made of integers and unions of integers; all zero is valid.
    let mut lookup: Lookup = unsafe { mem::zeroed() };
    lookup.family = F::SOCKET_FAMILY;
    lookup.l4_protocol = packet.flow.protocol();
    lookup.sport = reply.port.raw();
    lookup.dport = packet.flow.destination_port.raw();
    lookup.ifindex = frame.ingress();
    F::write_addresses(&mut lookup, reply.address, packet.flow.destination);
    // SAFETY: the context is the one that the kernel gave; `lookup` is initialised and as long as said.
    let answer = unsafe { bpf_fib_lookup(frame.context().cast(), &raw mut lookup, LENGTH, 0) };
    let is_resolved = match u32::try_from(answer) {
        Ok(BPF_FIB_LKUP_RET_SUCCESS) => true,
        Ok(BPF_FIB_LKUP_RET_NO_NEIGH) => false,
        Ok(BPF_FIB_LKUP_RET_NOT_FWDED) => return Err(Outcome::NotVip),
        _ => return Err(Outcome::ReplyUnroutable),
    };
    Ok(Route {
        is_resolved,
        next_hop: NextHop {
            egress: lookup.ifindex,
            source: lookup.smac,
            destination: lookup.dmac,
        },
    })
}
