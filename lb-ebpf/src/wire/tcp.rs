//! The fixed TCP header (RFC 9293 section 3.1).

/// The header, without options.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Tcp {
    /// The sender's port.
    pub source: [u8; 2],
    /// The receiver's port.
    pub destination: [u8; 2],
    sequence: [u8; 4],
    acknowledgment: [u8; 4],
    /// In the high half, 32-bit words of the header.
    offset: u8,
    /// Control bits, as [`Signal::of_tcp`](lb_common::progress::Signal::of_tcp) has them.
    pub control: u8,
    window: [u8; 2],
    /// Over all, with the pseudo-header.
    pub check: [u8; 2],
    urgent: [u8; 2],
}

impl Tcp {
    /// Bytes of the header with its options, as it says: 0 to 60.
    #[inline(always)]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        const WORDS: u8 = 0xf0;
        // So many words of four bytes, which stand four bits to the left.
        (self.offset & WORDS) as usize >> 2
    }
}
