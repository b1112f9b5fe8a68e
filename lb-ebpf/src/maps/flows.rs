//! What is remembered of clients' flows: those of one packet so far, and those that have gone on.

use core::ptr::NonNull;

use lb_common::{
    flow::{Flow, FlowKey},
    progress::{Progress, Signal},
};

use super::{FamilyMaps, replies::update};

/// Where `flow` went before, if it has gone on after its first packet.
#[inline(always)]
#[must_use]
pub fn flow<F: FamilyMaps>(flow: &FlowKey<F::Address>) -> Option<KnownFlow> {
    NonNull::new(F::flows().get_ptr_mut(flow)?).map(KnownFlow)
}

/// Where `flow` went before, if that was one packet.
#[inline(always)]
#[must_use]
pub fn fresh_flow<F: FamilyMaps>(flow: &FlowKey<F::Address>) -> Option<KnownFlow> {
    NonNull::new(F::fresh().get_ptr_mut(flow)?).map(KnownFlow)
}

/// Remembers where `flow` goes, which may not go on.
#[inline(always)]
pub fn remember_fresh_flow<F: FamilyMaps>(flow: &FlowKey<F::Address>, value: &Flow) {
    // A full table evicts; a failure under contention leaves the flow to the lookup table and to its next packet, which go
    // the same way until the table changes, unless slots are drawn.
    let _ = F::fresh().insert(flow, value, 0);
}

/// Remembers where `flow` goes, which has gone on.
#[inline(always)]
pub fn remember_flow<F: FamilyMaps>(flow: &FlowKey<F::Address>, value: &Flow) {
    // As in `remember_fresh_flow`.
    let _ = F::flows().insert(flow, value, 0);
}

/// The same for a flow that was remembered by one packet until now.
#[inline(always)]
pub fn confirm_flow<F: FamilyMaps>(flow: &FlowKey<F::Address>, value: &Flow) {
    if F::flows().insert(flow, value, 0).is_ok() {
        // Another CPU may have been first.
        let _ = F::fresh().remove(flow);
    }
}

/// An entry among the flows, in place: as a [`KnownReply`](super::KnownReply), it may be given to another flow.
///
/// What is read then is of some flow whose backend and generation are valid as a pair, or refused by the comparison of
/// generations.
#[derive(Clone, Copy)]
pub struct KnownFlow(NonNull<Flow>);

impl KnownFlow {
    /// What is remembered.
    #[inline(always)]
    #[must_use]
    pub const fn flow(&self) -> Flow {
        // SAFETY: the kernel's pointer to a value, which stays mapped while the program runs; plain data.
        unsafe { *self.0.as_ptr() }
    }

    /// The client has sent a packet `now`, in ticks, and has come so far with it.
    #[inline(always)]
    pub fn client_sent(&self, client: Progress, now: u32) {
        // SAFETY: as in `flow`; of two CPUs that write at once the last has its way, which the next packet mends.
        let flow = unsafe { &mut *self.0.as_ptr() };
        update(&mut flow.last_seen, now);
        update(&mut flow.client, client);
    }

    /// How far the client has come after a packet that says `signal`.
    #[inline(always)]
    #[must_use]
    pub const fn client_after(&self, signal: Signal) -> Progress {
        self.flow().client.after(signal)
    }
}
