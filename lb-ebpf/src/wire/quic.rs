//! What all versions of QUIC have in common (RFC 8999).

/// The beginning of a packet with a long header (RFC 8999 section 5.1); its destination connection id follows.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct LongHeader {
    first: u8,
    version: [u8; 4],
    /// Bytes of the destination connection id.
    pub destination_id_len: u8,
}

impl LongHeader {
    /// Bytes of it.
    pub const LEN: usize = size_of::<Self>();

    /// Whether the packet that begins with `first` has a long header, not a short one.
    #[inline(always)]
    #[must_use]
    pub const fn is_announced_by(first: u8) -> bool {
        first & 0x80 != 0
    }
}

/// Bytes before the destination connection id of a packet with a short header (RFC 8999 section 5.2).
pub const SHORT_HEADER_LEN: usize = 1;
