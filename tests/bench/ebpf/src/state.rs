//! What the driver sets before it loads the wrapper, the flows' counter, and the program under test.
#![expect(
    unsafe_code,
    reason = "attributes: the driver finds constants by their names; and a tail call"
)]

use aya_ebpf::{
    Global,
    bindings::xdp_md,
    btf_maps::{PerCpuArray, ProgramArray},
    helpers::bpf_redirect,
    macros::btf_map,
    programs::XdpContext,
};

use crate::names::TEMPLATE_PLACES;

#[unsafe(no_mangle)]
static TEMPLATE: Global<[u64; TEMPLATE_PLACES.len()]> = Global::new([0; TEMPLATE_PLACES.len()]);
#[unsafe(no_mangle)]
static LENGTH: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static FLOWS: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static SERVICES: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static EGRESS: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static IS_IPV6: Global<u32> = Global::new(0);

#[btf_map]
static SUBJECT: ProgramArray<1> = ProgramArray::new();
/// Packets so far, on one CPU.
#[btf_map]
static COUNTER: PerCpuArray<u64, 1> = PerCpuArray::new();

/// Word `index` of the template.
#[inline(always)]
#[must_use]
pub fn template(index: usize) -> u64 {
    let words = (&raw const TEMPLATE).cast::<u64>();
    if index >= TEMPLATE_PLACES.len() {
        return 0;
    }
    // SAFETY: `Global` is transparent, and the index was compared with the length. Volatile, as its own `load`: the
    // loader has written what the compiler cannot know.
    unsafe { words.add(index).read_volatile() }
}

/// Bytes of the frame.
#[inline(always)]
#[must_use]
pub fn length() -> u32 {
    LENGTH.load()
}

/// The mask of flows.
#[inline(always)]
#[must_use]
pub fn flows() -> u32 {
    FLOWS.load()
}

/// The mask of services.
#[inline(always)]
#[must_use]
pub fn services() -> u32 {
    SERVICES.load()
}

/// Whether the frame holds IPv6.
#[inline(always)]
#[must_use]
pub fn is_ipv6() -> bool {
    IS_IPV6.load() != 0
}

/// The action that sends the frame out of the interface that the driver names.
#[inline(always)]
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the helper answers an action"
)]
pub fn redirect() -> u32 {
    // SAFETY: the helper takes no pointers.
    unsafe { bpf_redirect(EGRESS.load(), 0) as u32 }
}

/// Counts one more packet; how many there were before.
#[inline(always)]
#[must_use]
pub fn count() -> u64 {
    let Some(counter) = COUNTER.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's own element, and the program is not preempted by itself.
    unsafe {
        let before = *counter;
        *counter = before.wrapping_add(1);
        before
    }
}

/// Goes on as the program under test, if there is one. The index is a constant, so that the kernel makes a direct jump
/// of it.
#[inline(always)]
pub fn call_subject(context: *mut xdp_md) {
    // SAFETY: nothing is to be dropped here, and the context is the one that the kernel gave.
    unsafe { SUBJECT.tail_call(&XdpContext::new(context), 0) };
}
