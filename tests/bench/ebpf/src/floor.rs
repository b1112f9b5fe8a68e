//! What any program must do that forwards: measured in the place of the program under test.

use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX};

use crate::{frame::Frame, state};

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;
/// Bytes to the end of the ports behind the shortest IP header.
const SHORTEST: usize = ETHERNET + 20 + 4;
/// What announces IPv4 (RFC 894) and IPv6 (RFC 2464).
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];

/// Sends the frame back.
#[inline(always)]
#[must_use]
pub const fn tx(_: Frame) -> u32 {
    XDP_TX
}

/// Leaves the frame to the stack.
#[inline(always)]
#[must_use]
pub const fn pass(_: Frame) -> u32 {
    XDP_PASS
}

/// Takes the frame off the interface, and that is all.
#[inline(always)]
#[must_use]
pub const fn discard(_: Frame) -> u32 {
    XDP_DROP
}

/// Sends the frame out of the interface that the driver names.
#[inline(always)]
#[must_use]
pub fn redirect(_: Frame) -> u32 {
    state::redirect()
}

/// Sees that the frame holds IP, swaps its MAC addresses, sends it back.
#[inline(always)]
#[must_use]
#[expect(clippy::many_single_char_names, reason = "twelve bytes in their order")]
pub fn swap(mut frame: Frame) -> u32 {
    let Some(head) = frame.head::<SHORTEST>() else {
        return XDP_ABORTED;
    };
    let [a, b, c, d, e, f, g, h, i, j, k, l, high, low, ..] = head;
    if [*high, *low] != IPV4 && [*high, *low] != IPV6 {
        return XDP_ABORTED;
    }
    for (one, other) in [(a, g), (b, h), (c, i), (d, j), (e, k), (f, l)] {
        core::mem::swap(one, other);
    }
    XDP_TX
}

/// Puts `ROOM` bytes before the frame, and an Ethernet header before them: the encapsulation without a look-up.
#[inline(always)]
#[must_use]
pub fn grow<const ROOM: i32>(mut frame: Frame) -> u32 {
    /// To 02:00:00:00:01:01 from 02:00:00:00:00:1b, IPv4.
    const HEADER: [u8; ETHERNET] = [2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 0x1b, IPV4[0], IPV4[1]];
    if !frame.move_start(-ROOM) {
        return XDP_ABORTED;
    }
    let Some(head) = frame.head::<ETHERNET>() else {
        return XDP_ABORTED;
    };
    *head = HEADER;
    XDP_TX
}
