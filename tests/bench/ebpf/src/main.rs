//! Entry points: each program for frames in one buffer, and again for jumbo frames, as the product has them.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

use aya_ebpf::{macros::xdp, programs::XdpContext};
use lb_bench_ebpf::{floor, frame::Frame, wrapper::wrap};

/// Declares both forms of each program.
macro_rules! programs {
    ($($(#[$about:meta])+ $plain:ident, $jumbo:ident = $program:path;)+) => {$(
        $(#[$about])+
        #[xdp]
        fn $plain(ctx: XdpContext) -> u32 {
            $program(Frame::new(ctx.ctx))
        }

        $(#[$about])+
        #[xdp(frags)]
        fn $jumbo(ctx: XdpContext) -> u32 {
            $program(Frame::new(ctx.ctx))
        }
    )+};
}

programs! {
    /// Makes each packet the first, and calls the program under test.
    wrapper, wrapper_frags = wrap;
    /// Sends the frame back.
    tx, tx_frags = floor::tx;
    /// Leaves the frame to the stack.
    pass, pass_frags = floor::pass;
    /// Takes the frame off the interface.
    discard, discard_frags = floor::discard;
    /// Sends the frame out of another interface.
    redirect, redirect_frags = floor::redirect;
    /// Sends the frame back with its MAC addresses swapped, if it holds IP.
    swap, swap_frags = floor::swap;
    /// Puts an IPv4 header's room before the packet.
    grow_20, grow_20_frags = floor::grow::<20>;
    /// The room of UDP in IPv4.
    grow_28, grow_28_frags = floor::grow::<28>;
    /// The room of an IPv6 header.
    grow_40, grow_40_frags = floor::grow::<40>;
    /// The room of UDP in IPv6.
    grow_48, grow_48_frags = floor::grow::<48>;
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
