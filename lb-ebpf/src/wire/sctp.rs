//! The beginning of an SCTP packet (RFC 9260 section 3): the common header and the header of the first chunk.

use lb_common::be::Be16;
use network_types::sctp::SctpHdr;

/// Common header (RFC 9260 section 3.1) and first chunk's header (section 3.2): no packet has less.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Sctp {
    /// Ports, verification tag, checksum.
    pub common: SctpHdr,
    kind: u8,
    flags: u8,
    length: [u8; 2],
}

impl Sctp {
    /// Bytes of a chunk's header, which its length counts.
    const CHUNK_HEADER: usize = 4;

    /// Where the first chunk ends, in bytes from the packet's first; `None` if its length cannot be.
    #[inline(always)]
    #[must_use]
    pub const fn first_chunk_end(&self) -> Option<usize> {
        let length = Be16::from_bytes(self.length).get() as usize;
        if length < Self::CHUNK_HEADER {
            return None;
        }
        Some(SctpHdr::LEN + length)
    }

    /// Whether the association ends with this packet: the first chunk is ABORT or SHUTDOWN COMPLETE (RFC 9260 sections
    /// 3.3.7 and 3.3.13). An ABORT behind other chunks is not looked for.
    #[inline(always)]
    #[must_use]
    pub const fn is_last(&self) -> bool {
        const ABORT: u8 = 6;
        const SHUTDOWN_COMPLETE: u8 = 14;
        matches!(self.kind, ABORT | SHUTDOWN_COMPLETE)
    }
}
