//! The received frame: bounds-checked typed views of its bytes, and its size.
//!
//! The only module that touches packet pointers. A view borrows the frame, so none outlives a resize:
//! [`Frame::shrink`], [`Frame::grow`] and [`Frame::trim`] take the frame mutably.
//!
//! A jumbo frame may stand in several buffers. Its headers are in the first, all that views reach; what lies in the
//! others is only counted, and only when the first has not got all of a packet.
#![expect(
    unsafe_code,
    reason = "packet bytes are reached by pointers that the verifier checks"
)]

use aya_ebpf::{
    bindings::xdp_md,
    helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len},
};
use lb_common::outcome::Outcome;

use crate::wire::ethernet::{Ethernet, Tag};

/// Types that may be laid over packet bytes.
///
/// # Safety
/// Alignment 1, no padding, every bit pattern valid. The alignment is asserted where a view is made.
pub unsafe trait View {}

// SAFETY: `repr(C)` structs of byte arrays and integers of one byte; alignment is asserted in `checked`.
unsafe impl View for network_types::ip::Ipv4Hdr {}
// SAFETY: as above.
unsafe impl View for network_types::ip::Ipv6Hdr {}
// SAFETY: as above.
unsafe impl View for crate::wire::tcp::Tcp {}
// SAFETY: as above.
unsafe impl View for network_types::udp::UdpHdr {}
// SAFETY: bytes.
unsafe impl View for [u8; 16] {}
// SAFETY: as above.
unsafe impl View for [u8; 4] {}
// SAFETY: as above.
unsafe impl View for [u8; 2] {}
// SAFETY: as above; the types are ours.
unsafe impl View for Ethernet {}
// SAFETY: as above.
unsafe impl View for crate::wire::ethernet::EtherTypeField {}
// SAFETY: as above.
unsafe impl View for Tag {}
// SAFETY: as above.
unsafe impl View for crate::wire::extension::Extension {}
// SAFETY: as above.
unsafe impl View for crate::wire::gue::Gue {}
// SAFETY: as above.
unsafe impl View for crate::wire::icmp::Icmp {}
// SAFETY: as above.
unsafe impl View for crate::wire::quic::LongHeader {}
// SAFETY: as above.
unsafe impl View for crate::wire::sctp::Sctp {}
// SAFETY: as above; one view after another, both of alignment 1.
unsafe impl<Header: View> View for crate::wire::icmp::Error<Header> {}
// SAFETY: as above.
unsafe impl<Header: View> View for crate::wire::ethernet::Announced<Header> {}

/// Headers begin within so many bytes: two tags, an IPv6 header and eight of the longest extension headers.
/// A bound that the verifier can see; frames that go beyond it are treated as truncated.
const MAX_OFFSET: usize = 0x3fff;

/// `offset`, which is at most [`MAX_OFFSET`], as a value of which every verifier knows that.
///
/// A compiler that runs out of registers checks one copy of an offset and adds another, which it reads back from the
/// stack. Newer kernels know the two to be equal; 5.10 does not, and takes the sum for one that may leave any frame
/// (its `find_good_pkt_pointers` grants no range beyond 2^16). The compiler cannot part this from the addition.
#[cfg(target_arch = "bpf")]
#[inline(always)]
fn bounded(mut offset: usize) -> usize {
    // SAFETY: one instruction on one register; it changes nothing, for `MAX_OFFSET` is all ones.
    unsafe {
        core::arch::asm!(
            "{offset} &= {MAX_OFFSET}",
            offset = inout(reg) offset,
            MAX_OFFSET = const MAX_OFFSET,
            options(nomem, nostack)
        );
    }
    offset
}

/// Where no verifier looks.
#[cfg(not(target_arch = "bpf"))]
#[inline(always)]
const fn bounded(offset: usize) -> usize {
    offset
}

/// `number`, at most `MASK`, which is all ones, as a value of which the verifier knows no more than that: mixed with
/// `unknown`, of which it knows nothing, and parted from it again. The compiler must not see that nothing is changed.
///
/// The verifier follows every way to a number with a value or range of its own, and what comes after is verified once for
/// each. A number without a history lets all ways go on as one.
#[cfg(target_arch = "bpf")]
#[inline(always)]
#[must_use]
pub fn without_history<const MASK: u32>(mut number: u64, unknown: u64) -> u64 {
    // SAFETY: three instructions on one register. Twice the same exclusive or changes nothing, nor does the mask. What
    // the compiler is told afterwards is what the mask does.
    unsafe {
        core::arch::asm!(
            "{number} ^= {unknown}",
            "{number} ^= {unknown}",
            "{number} &= {MASK}",
            number = inout(reg) number,
            unknown = in(reg) unknown,
            MASK = const MASK,
            options(pure, nomem, nostack)
        );
        core::hint::assert_unchecked(number <= MASK as u64);
    }
    number
}

/// Where no verifier looks.
#[cfg(not(target_arch = "bpf"))]
#[inline(always)]
#[must_use]
pub const fn without_history<const MASK: u32>(number: u64, _unknown: u64) -> u64 {
    number
}

/// One received frame.
pub struct Frame {
    context: *mut xdp_md,
    /// A constant in each program, so that one that has single buffers does not even hold the call that kernels
    /// before 5.18 lack.
    has_fragments: bool,
}

impl Frame {
    /// The frame that the kernel called the program for: all of it in one buffer.
    #[inline(always)]
    #[must_use]
    pub const fn new(context: *mut xdp_md) -> Self {
        Self {
            context,
            has_fragments: false,
        }
    }

    /// The frame that the kernel called a program for that takes frames of several buffers.
    #[inline(always)]
    #[must_use]
    pub const fn with_fragments(context: *mut xdp_md) -> Self {
        Self {
            context,
            has_fragments: true,
        }
    }

    #[inline(always)]
    fn start(&self) -> usize {
        // SAFETY: the kernel hands a valid context to the program; `Frame` is made from nothing else.
        unsafe { (*self.context).data as usize }
    }

    #[inline(always)]
    fn end(&self) -> usize {
        // SAFETY: as in `start`.
        unsafe { (*self.context).data_end as usize }
    }

    /// Index of the interface that the frame came in by.
    #[inline(always)]
    #[must_use]
    pub fn ingress(&self) -> u32 {
        // SAFETY: as in `start`.
        unsafe { (*self.context).ingress_ifindex }
    }

    /// The context, for helpers that want it.
    #[inline(always)]
    #[must_use]
    pub const fn context(&self) -> *mut xdp_md {
        self.context
    }

    /// Bytes in the first buffer, the Ethernet header included.
    #[inline(always)]
    #[must_use]
    pub fn first_buffer(&self) -> usize {
        self.end() - self.start()
    }

    /// Bytes in all buffers.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "64 bits wide, as the target's words are"
    )]
    fn all_buffers(&self) -> usize {
        if self.has_fragments {
            // SAFETY: the context is valid (see `start`); the helper only reads it.
            unsafe { bpf_xdp_get_buff_len(self.context) as usize }
        } else {
            self.first_buffer()
        }
    }

    /// Whether the frame goes on for `end` bytes from its start.
    #[inline(always)]
    #[must_use]
    pub fn reaches(&self, end: usize) -> bool {
        end <= self.first_buffer() || self.has_fragments && end <= self.all_buffers()
    }

    /// Bytes of the frame, which holds a packet that ends at `end`. Padding in further buffers, where none is, does not
    /// count.
    #[inline(always)]
    #[must_use]
    pub fn len(&self, end: usize) -> usize {
        if end <= self.first_buffer() {
            self.first_buffer()
        } else {
            self.all_buffers()
        }
    }

    /// `offset`, at most `MASK`, as a number [without a history](without_history): where a chain of headers ends, all
    /// ways through it go on as one.
    #[inline(always)]
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "64 bits wide, as the target's words are"
    )]
    pub fn forget_range<const MASK: u32>(&self, offset: usize) -> usize {
        without_history::<MASK>(offset as u64, self.first_buffer() as u64) as usize
    }

    #[inline(always)]
    fn pointer<T: View>(&self, offset: usize) -> Option<*mut T> {
        if offset > MAX_OFFSET {
            return None;
        }
        self.checked(self.start() + bounded(offset))
    }

    /// A pointer to `start`, if the frame does not end before all of `T`.
    #[inline(always)]
    fn checked<T: View>(&self, start: usize) -> Option<*mut T> {
        const { assert!(align_of::<T>() == 1) };
        if start + size_of::<T>() > self.end() {
            return None;
        }
        Some(start as *mut T)
    }

    /// The Ethernet header; `None` if the frame ends before it does.
    #[inline(always)]
    #[must_use]
    pub fn ethernet(&self) -> Option<&Ethernet> {
        // SAFETY: as in `view`.
        self.checked(self.start())
            .map(|pointer| unsafe { &*pointer })
    }

    /// The Ethernet header, for writing.
    #[inline(always)]
    #[must_use]
    pub fn ethernet_mut(&mut self) -> Option<&mut Ethernet> {
        // SAFETY: as in `view_mut`.
        self.checked(self.start())
            .map(|pointer| unsafe { &mut *pointer })
    }

    /// The header at `offset` bytes from the start; `None` if the frame ends before it does.
    #[inline(always)]
    #[must_use]
    pub fn view<T: View>(&self, offset: usize) -> Option<&T> {
        // SAFETY: `checked` has checked that all of `T` lies within the frame; `T: View` is valid at any
        // address and for any bytes; the lifetime is that of the borrow, which ends before a resize.
        self.pointer(offset).map(|pointer| unsafe { &*pointer })
    }

    /// The header at `offset` bytes from the start, for writing.
    #[inline(always)]
    #[must_use]
    pub fn view_mut<T: View>(&mut self, offset: usize) -> Option<&mut T> {
        // SAFETY: as in `view`; `&mut self` makes this the only view.
        self.pointer(offset).map(|pointer| unsafe { &mut *pointer })
    }

    /// Takes `bytes`, fewer than 2^31, away at the front.
    ///
    /// # Errors
    /// [`Outcome::NoRoom`] if the kernel refuses; the frame is then as before.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "at most a few headers"
    )]
    pub fn shrink(&mut self, bytes: usize) -> Result<(), Outcome> {
        self.move_start(bytes as i32)
    }

    /// Puts `bytes`, fewer than 2^31, of room before the front; what stands there is not defined.
    ///
    /// # Errors
    /// [`Outcome::NoRoom`] if the driver left none; the frame is then as before.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "at most a few headers"
    )]
    pub fn grow(&mut self, bytes: usize) -> Result<(), Outcome> {
        self.move_start(-(bytes as i32))
    }

    /// Moves the front so that the network header, which begins at `from`, begins at `to`; what stands before it
    /// is not defined.
    ///
    /// # Errors
    /// [`Outcome::NoRoom`] if the driver left none; the frame is then as before.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "a link header"
    )]
    pub fn move_network(&mut self, from: usize, to: usize) -> Result<(), Outcome> {
        self.move_start(from as i32 - to as i32)
    }

    #[inline(always)]
    fn move_start(&mut self, by: i32) -> Result<(), Outcome> {
        // SAFETY: the context is valid (see `start`); views into the frame have ended, for `self` is
        // borrowed mutably.
        match unsafe { bpf_xdp_adjust_head(self.context, by) } {
            0 => Ok(()),
            _ => Err(Outcome::NoRoom),
        }
    }

    /// Moves the VLAN tags, which begin `room` bytes behind the place of the first, to that place; the network header
    /// will begin at `network`.
    ///
    /// # Errors
    /// [`Outcome::Truncated`], never in a frame that had them and has [grown](Self::grow) by `room`.
    #[inline(always)]
    pub fn move_tags(&mut self, network: usize, room: usize) -> Result<(), Outcome> {
        const SECOND: usize = Ethernet::LEN + Tag::LEN;
        for place in [Ethernet::LEN, SECOND] {
            if place < network {
                let tag = *self.view::<Tag>(room + place).ok_or(Outcome::Truncated)?;
                *self.view_mut::<Tag>(place).ok_or(Outcome::Truncated)? = tag;
            }
        }
        Ok(())
    }

    /// Cuts the frame off after `len` bytes, which it has, if it does not end there.
    ///
    /// # Errors
    /// [`Outcome::NoRoom`] if the kernel refuses; the frame is then as before.
    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "a frame is shorter than 2^31 bytes"
    )]
    pub fn trim(&mut self, len: usize) -> Result<(), Outcome> {
        if len == self.first_buffer() {
            return Ok(());
        }
        let by = len as i32 - self.all_buffers() as i32;
        if by == 0 {
            return Ok(());
        }
        // SAFETY: as in `move_start`.
        match unsafe { bpf_xdp_adjust_tail(self.context, by) } {
            0 => Ok(()),
            _ => Err(Outcome::NoRoom),
        }
    }
}
