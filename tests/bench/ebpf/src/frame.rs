//! The frame's bytes and its size. The only module that touches packet pointers.
#![expect(
    unsafe_code,
    reason = "packet bytes are reached by pointers that the verifier checks"
)]

use aya_ebpf::{bindings::xdp_md, helpers::bpf_xdp_adjust_head};

/// One frame.
pub struct Frame(*mut xdp_md);

impl Frame {
    /// The frame that the kernel called the program for.
    #[inline(always)]
    #[must_use]
    pub const fn new(context: *mut xdp_md) -> Self {
        Self(context)
    }

    /// The context, for a tail call.
    #[inline(always)]
    #[must_use]
    pub const fn context(&self) -> *mut xdp_md {
        self.0
    }

    #[inline(always)]
    fn bounds(&self) -> (usize, usize) {
        // SAFETY: the kernel hands a valid context to the program; `Frame` is made from nothing else.
        unsafe { ((*self.0).data as usize, (*self.0).data_end as usize) }
    }

    /// Bytes in the first buffer, which has all of a frame that is measured.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a frame is never empty")]
    pub fn len(&self) -> usize {
        let (start, end) = self.bounds();
        end - start
    }

    /// The first `LENGTH` bytes.
    #[inline(always)]
    #[must_use]
    pub fn head<const LENGTH: usize>(&mut self) -> Option<&mut [u8; LENGTH]> {
        let (start, end) = self.bounds();
        if start + LENGTH > end {
            return None;
        }
        // SAFETY: all of the array lies within the frame, has alignment 1 and takes any bytes; the borrow of `self` ends
        // before a resize.
        Some(unsafe { &mut *(start as *mut [u8; LENGTH]) })
    }

    /// Takes `by` bytes away at the front, or puts as many before it if negative; whether the kernel did.
    #[inline(always)]
    #[must_use]
    pub fn move_start(&mut self, by: i32) -> bool {
        // SAFETY: the context is valid (see `bounds`); no view lives on, for `self` is borrowed mutably.
        unsafe { bpf_xdp_adjust_head(self.0, by) == 0 }
    }
}
