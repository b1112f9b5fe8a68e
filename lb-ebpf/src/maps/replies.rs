//! What is remembered of the way back from NAT backends, and the ports that source NAT gives out.

use core::ptr::NonNull;

use aya_ebpf::{
    bindings::BPF_NOEXIST,
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
};
use lb_common::{
    flow::{FlowKey, Reply},
    progress::{Progress, Signal, ticks},
    settings::{Settings, SourceNat},
    translation::Translation,
};

use super::{
    FamilyMaps,
    settings::{has_feature, source_nat},
};

/// The coarse clock of flows, in [`ticks`].
#[inline(always)]
#[must_use]
pub fn now() -> u32 {
    // SAFETY: the helper only reads the clock.
    ticks(unsafe { bpf_ktime_get_ns() })
}

/// What the packet with 5-tuple `flow` must be rewritten to, if it is a NAT backend's reply; no look-up if there are no
/// such backends.
#[inline(always)]
#[must_use]
pub fn reply<F: FamilyMaps>(flow: &FlowKey<F::Address>) -> Option<KnownReply<F>> {
    if !has_feature(Settings::REPLIES) {
        return None;
    }
    let pointer = F::replies().get_ptr_mut(flow)?;
    NonNull::new(pointer).map(KnownReply)
}

/// Remembers what replies with 5-tuple `flow` must be rewritten to.
#[inline(always)]
pub fn remember_reply<F: FamilyMaps>(flow: &FlowKey<F::Address>, value: &Reply<F::Address>) {
    // As in `remember_flow`; the client's retransmission finds the flow unknown and tries again.
    let _ = F::replies().insert(flow, value, 0);
}

/// Remembers the same if no other flow expects replies with 5-tuple `flow`, or has expired `now`; whether it is so.
#[inline(always)]
#[must_use]
pub fn claim_reply<F: FamilyMaps>(
    flow: &FlowKey<F::Address>,
    value: &Reply<F::Address>,
    now: u32,
) -> bool {
    // Of two CPUs one has it.
    let if_absent = u64::from(BPF_NOEXIST);
    if F::replies().insert(flow, value, if_absent).is_ok() {
        return true;
    }
    reply::<F>(flow).is_some_and(|known| known.has_expired(now))
        && F::replies().insert(flow, value, 0).is_ok()
}

/// An entry among the replies, in place.
///
/// Other CPUs write it, too, and once evicted it is given to another flow. Just looked up it is the last that would
/// be; whatever is read or written then is a whole field of some entry.
#[derive(Clone, Copy)]
pub struct KnownReply<F: FamilyMaps>(NonNull<Reply<F::Address>>);

impl<F: FamilyMaps> KnownReply<F> {
    #[inline(always)]
    const fn pointer(&self) -> *mut Reply<F::Address> {
        self.0.as_ptr()
    }

    /// The reply as the client must see it.
    #[inline(always)]
    #[must_use]
    pub const fn flow(&self) -> &FlowKey<F::Address> {
        // SAFETY: the kernel's pointer to a value, which stays mapped while the program runs. This field is
        // not written in place.
        unsafe { &(*self.pointer()).flow }
    }

    /// Whether account is kept of how far its ends have come: in mode `snat`.
    #[inline(always)]
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        // SAFETY: as in `flow`.
        unsafe { (*self.pointer()).client }.is_tracked()
    }

    /// Whether the client is a probe of this host's own.
    #[inline(always)]
    #[must_use]
    pub fn is_to_probe(&self) -> bool {
        // SAFETY: as in `flow`.
        unsafe { (*self.pointer()).client == Progress::PROBE }
    }

    #[inline(always)]
    fn has_expired(&self, now: u32) -> bool {
        // SAFETY: as in `flow`.
        unsafe { (*self.pointer()).has_expired(now, &source_nat()) }
    }

    /// The client has sent a packet `now` that says `signal`.
    #[inline(always)]
    pub fn client_sent(&self, signal: Signal, now: u32) {
        let reply = self.pointer();
        // SAFETY: as in `flow`; of two CPUs that write at once the last has its way, which the next packet mends.
        let reply = unsafe { &mut *reply };
        update(&mut reply.last_seen, now);
        let client = reply.client.after(signal);
        update(&mut reply.client, client);
        if signal == Signal::SYN {
            update(&mut reply.backend, Progress::SILENT);
        }
    }

    /// The backend has sent a packet that says `signal`, of a flow of which account is kept.
    #[inline(always)]
    pub fn backend_sent(&self, signal: Signal) {
        let reply = self.pointer();
        // SAFETY: as in `client_sent`.
        let reply = unsafe { &mut *reply };
        update(&mut reply.last_seen, now());
        let backend = reply.backend.after(signal);
        update(&mut reply.backend, backend);
    }
}

/// Writes only what changes: both directions of a flow, which may come in by two CPUs, read the same cache line.
#[inline(always)]
pub(super) fn update<T: PartialEq>(field: &mut T, new: T) {
    if *field != new {
        *field = new;
    }
}

/// Where this CPU works out the translation of a packet.
#[inline(always)]
#[must_use]
pub fn translation<F: FamilyMaps>() -> Option<&'static mut Translation<F::Address>> {
    let pointer = F::translations().get_ptr_mut(0)?;
    // SAFETY: this CPU's own element; the program is not preempted by itself, and asks once for each packet.
    Some(unsafe { &mut *pointer })
}

/// The source ports that this CPU gives out, in a circle: the first in host order, and how many.
#[inline(always)]
#[must_use]
pub fn own_ports() -> (u32, u32) {
    let SourceNat {
        first_port,
        ports_per_cpu,
        ..
    } = source_nat();
    let count = u32::from(ports_per_cpu);
    // SAFETY: the helper only tells the number.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    (u32::from(first_port) + cpu * count, count)
}
