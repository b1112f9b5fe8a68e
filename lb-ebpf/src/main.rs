//! Entry points: the outcome of a packet becomes an XDP action and one count in the ledger.
//!
//! Each program is there twice. The one with `_frags` takes frames of several buffers, which is how drivers hand jumbo
//! frames over; kernels from 5.18 on load it, and the daemons load the other where it is refused.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![expect(
    clippy::inline_always,
    reason = "see the library's documentation: the verifier wants one function"
)]

use aya_ebpf::{
    bindings::xdp_action::{XDP_DROP, XDP_PASS},
    macros::xdp,
    programs::XdpContext,
};
use lb_common::outcome::{Kind, Outcome};
use lb_ebpf::{
    decap,
    forward::{Sent, forward},
    frame::Frame,
    maps, probe,
};

/// Balances what arrives for a VIP, turns NAT replies back, and passes everything else.
#[xdp]
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that `#[xdp]` wants"
)]
#[inline(always)]
fn balancer(ctx: XdpContext) -> u32 {
    balance(&ctx, Frame::new(ctx.ctx))
}

/// [`balancer`] for jumbo frames.
#[xdp(frags)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that `#[xdp]` wants"
)]
#[inline(always)]
fn balancer_frags(ctx: XdpContext) -> u32 {
    balance(&ctx, Frame::with_fragments(ctx.ctx))
}

#[inline(always)]
fn balance(ctx: &XdpContext, mut frame: Frame) -> u32 {
    let result = forward(&mut frame);
    finish(ctx, &frame, &result)
}

/// The program on the interface of probes: sends probes to backends, and answers to this host's stack.
#[xdp]
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that `#[xdp]` wants"
)]
#[inline(always)]
fn probe(ctx: XdpContext) -> u32 {
    send_probe(&ctx, Frame::new(ctx.ctx))
}

/// [`probe`] over maps that a program for jumbo frames uses.
#[xdp(frags)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that `#[xdp]` wants"
)]
#[inline(always)]
fn probe_frags(ctx: XdpContext) -> u32 {
    send_probe(&ctx, Frame::with_fragments(ctx.ctx))
}

#[inline(always)]
fn send_probe(ctx: &XdpContext, mut frame: Frame) -> u32 {
    let result = probe::probe(&mut frame);
    finish(ctx, &frame, &result)
}

#[inline(always)]
#[cfg_attr(
    not(feature = "log"),
    expect(unused_variables, reason = "only log lines want the context")
)]
fn finish(ctx: &XdpContext, frame: &Frame, result: &Result<Sent, Outcome>) -> u32 {
    let (outcome, action) = match *result {
        Ok(ref sent) => (sent.outcome, sent.action),
        Err(outcome) => match outcome.kind() {
            Kind::Pass => (outcome, XDP_PASS),
            Kind::Drop | Kind::Forward => (outcome, XDP_DROP),
        },
    };
    #[cfg(feature = "log")]
    aya_log_ebpf::debug!(ctx, "outcome {} action {}", outcome as u32, action);
    maps::count(frame.ingress(), outcome as u32);
    action
}

/// Takes tunnels off that balancers have put on, and passes everything else.
#[xdp]
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that `#[xdp]` wants"
)]
#[inline(always)]
fn decap(ctx: XdpContext) -> u32 {
    strip(Frame::new(ctx.ctx))
}

/// [`decap`] for jumbo frames.
#[xdp(frags)]
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that `#[xdp]` wants"
)]
#[inline(always)]
fn decap_frags(ctx: XdpContext) -> u32 {
    strip(Frame::with_fragments(ctx.ctx))
}

#[inline(always)]
fn strip(mut frame: Frame) -> u32 {
    let outcome = decap::decap(&mut frame);
    maps::count(frame.ingress(), outcome as u32);
    match outcome.kind() {
        Kind::Pass => XDP_PASS,
        Kind::Drop | Kind::Forward => XDP_DROP,
    }
}

/// Passes every packet. For veth peers of an interface that transmits by XDP: without a program of
/// its own, a veth does not take such frames.
#[xdp]
fn pass(_: XdpContext) -> u32 {
    XDP_PASS
}

/// [`pass`] for jumbo frames.
#[xdp(frags)]
fn pass_frags(_: XdpContext) -> u32 {
    XDP_PASS
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel lets only GPL-compatible programs call some helpers; the source is MIT or Apache-2.0.
#[expect(
    unsafe_code,
    reason = "an attribute: the section that loaders read the licence from"
)]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Elsewhere this file is only checked: programs run in the kernel.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
