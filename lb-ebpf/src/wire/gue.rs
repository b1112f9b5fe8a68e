//! Generic UDP encapsulation (draft-ietf-intarea-gue): what follows the UDP header.

/// The first 4 bytes after the UDP header: GUE's own header (variant 0, section 3), or the beginning of an IP
/// header (variant 1, section 4).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Gue {
    first: u8,
    protocol: u8,
    flags: [u8; 2],
}

impl Gue {
    /// Bytes of the header without what its length adds.
    pub const LEN: usize = size_of::<Self>();

    /// The first four bits: 4 or 6 if there is no GUE header but an IP packet.
    #[inline(always)]
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.first >> 4
    }

    /// Variant 0, data and not control, without flags: those tell of extension fields that would have to be
    /// understood.
    #[inline(always)]
    #[must_use]
    pub const fn is_plain_data(&self) -> bool {
        const VARIANT_AND_CONTROL: u8 = 0xe0;
        let [a, b] = self.flags;
        self.first & VARIANT_AND_CONTROL == 0 && a | b == 0
    }

    /// For variant 0: the protocol number of what follows.
    #[inline(always)]
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// For variant 0: bytes of the header with all that belongs to it, 4 to 128.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(&self) -> usize {
        Self::LEN + (self.first & 0x1f) as usize * 4
    }
}
