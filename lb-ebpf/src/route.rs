//! The kernel's routing and neighbour tables, asked from the program.
//!
//! Only the way back to clients is asked for here; next hops of backends stand in their entries.
#![expect(unsafe_code, reason = "a helper that fills a C structure")]

use core::mem::{MaybeUninit, offset_of};

use aya_ebpf::{
    bindings::{
        BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_NOT_FWDED, BPF_FIB_LKUP_RET_SUCCESS,
        bpf_fib_lookup as Lookup,
    },
    helpers::bpf_fib_lookup,
};
use lb_common::{flow::FlowKey, outcome::Outcome, vlan::Vlan};

use crate::{
    frame::Frame,
    ip::Ip,
    packet::NextHop,
    wire::ethernet::{Addresses, Mac},
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

/// `struct bpf_fib_lookup` in words, for the parts that are cleared or copied: the verifier wants the stack to be
/// accessed by aligned words.
#[repr(C)]
struct Query {
    head: [u64; 2],
    source: [u64; 2],
    destination: [u64; 2],
    /// Table and the MAC addresses of the answer.
    rest: [u64; 2],
}

const _: () = assert!(
    size_of::<Query>() == size_of::<Lookup>()
        && offset_of!(Query, source) == offset_of!(Lookup, __bindgen_anon_3)
        && offset_of!(Query, destination) == offset_of!(Lookup, __bindgen_anon_4)
        && offset_of!(Query, rest) == offset_of!(Lookup, __bindgen_anon_5)
);

/// The way to the client that a NAT backend's packet is for; its 5-tuple will be `reply`.
///
/// # Errors
/// [`Outcome::ReplyNotForwarded`] if the client is this host itself, so that its own stack gets the packet as it
/// is, or if there is no route (the kernel's answer is the same); [`Outcome::ReplyUnroutable`] if the
/// route forbids it or forwarding is off on the ingress interface.
#[inline(always)]
pub fn to_client<F: Ip>(frame: &Frame, reply: &FlowKey<F::Address>) -> Result<Route, Outcome> {
    const LENGTH: i32 = 64;
    const { assert!(size_of::<Query>() == LENGTH as usize) };
    let mut query = MaybeUninit::<Query>::uninit();
    let query = query.as_mut_ptr();
    let lookup = query.cast::<Lookup>();
    // SAFETY: `lookup` points to the query, which is writable and aligned. Every field is written, in place, so
    // afterwards all of it is initialised; clearing it first, or its end without `volatile`, would become a
    // call to `memset`. The context is the one that the kernel gave, and the query is as long as said.
    let (answer, lookup) = unsafe {
        (&raw mut (*lookup).family).write(F::SOCKET_FAMILY);
        (&raw mut (*lookup).l4_protocol).write(reply.protocol());
        (&raw mut (*lookup).sport).write(reply.source_port.raw());
        (&raw mut (*lookup).dport).write(reply.destination_port.raw());
        // 0: the kernel does not compare with the route's MTU.
        (&raw mut (*lookup).__bindgen_anon_1.tot_len).write(0);
        (&raw mut (*lookup).ifindex).write(frame.ingress());
        (&raw mut (*lookup).__bindgen_anon_2.flowinfo).write(0);
        (&raw mut (*query).source).write(F::socket_address(reply.source));
        (&raw mut (*query).destination).write(F::socket_address(reply.destination));
        let rest = (&raw mut (*query).rest).cast::<u64>();
        rest.write_volatile(0);
        rest.add(1).write_volatile(0);
        let answer = bpf_fib_lookup(frame.context().cast(), lookup, LENGTH, 0);
        (answer, &*lookup)
    };
    let is_resolved = match u32::try_from(answer) {
        Ok(BPF_FIB_LKUP_RET_SUCCESS) => true,
        Ok(BPF_FIB_LKUP_RET_NO_NEIGH) => false,
        Ok(BPF_FIB_LKUP_RET_NOT_FWDED) => return Err(Outcome::ReplyNotForwarded),
        _ => return Err(Outcome::ReplyUnroutable),
    };
    Ok(Route {
        is_resolved,
        next_hop: NextHop {
            egress: lookup.ifindex,
            vlan: Vlan::NONE,
            addresses: Addresses::new(mac(&lookup.dmac), mac(&lookup.smac)),
        },
    })
}

/// A MAC address out of the kernel's answer, which stands on the stack at an even offset only.
#[inline(always)]
#[expect(clippy::many_single_char_names, reason = "six bytes in their order")]
fn mac(address: &Mac) -> Mac {
    let pairs = address.as_ptr().cast::<[u8; 2]>();
    // SAFETY: three pairs of bytes are the six bytes of `address`. Volatile, so that the compiler does not
    // join them to words: the verifier refuses misaligned stack access.
    let [[a, b], [c, d], [e, f]] = unsafe {
        [
            pairs.read_volatile(),
            pairs.add(1).read_volatile(),
            pairs.add(2).read_volatile(),
        ]
    };
    [a, b, c, d, e, f]
}
