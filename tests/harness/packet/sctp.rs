//! SCTP packets (RFC 9260): common header and one chunk, and the checksum over all of it.

use super::Packet;

/// Bytes of a chunk's header.
const CHUNK: usize = 4;
/// Where the checksum stands.
const CHECKSUM: std::ops::Range<usize> = 8..12;

/// Type of a chunk (RFC 9260 section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk(pub u8);

impl Chunk {
    /// Payload.
    pub const DATA: Self = Self(0);
    /// Begins an association.
    pub const INIT: Self = Self(1);
    /// Ends it at once.
    pub const ABORT: Self = Self(6);
    /// Ends it in order: the last packet.
    pub const SHUTDOWN_COMPLETE: Self = Self(14);
}

impl Packet {
    /// Both headers, of a chunk that holds the payload.
    pub(super) fn sctp_headers(&self, Chunk(kind): Chunk) -> Vec<u8> {
        let mut before = self.source.port().to_be_bytes().to_vec();
        before.extend(self.destination.port().to_be_bytes());
        before.extend([0x10, 0x20, 0x30, 0x40]);
        let length = u16::try_from(CHUNK + self.payload.len()).expect("a chunk that fits");
        let [high, low] = length.to_be_bytes();
        let chunk = [kind, 0, high, low];
        let sum = crc32c(&[&before, &[0; 4][..], &chunk, &self.payload].concat());
        [&before, &sum.to_le_bytes()[..], &chunk].concat()
    }
}

/// What is wrong with the checksum of an SCTP packet, from its common header on.
pub(super) fn fault(packet: &[u8]) -> Option<String> {
    let (before, found) = (packet.get(..CHECKSUM.start)?, packet.get(CHECKSUM)?);
    let behind = packet.get(CHECKSUM.end..)?;
    let right = crc32c(&[before, &[0; 4], behind].concat()).to_le_bytes();
    (found != right).then(|| format!("SCTP checksum is {found:02x?}, not {right:02x?}"))
}

/// `CRC32c` (RFC 9260 appendix A), bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    /// The polynomial 0x1EDC6F41 with its bits in the order in which they are sent.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let byte = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (POLYNOMIAL * (sum & 1))
        })
    };
    !bytes.iter().fold(u32::MAX, byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_rfc_3720() {
        // RFC 3720 appendix B.4: 32 bytes of zeros, of ones, and rising from 0.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
    }
}
