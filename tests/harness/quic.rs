//! QUIC as a balancer sees it: connection ids as servers make them for QUIC-LB (draft-ietf-quic-load-balancers,
//! plaintext), and the beginning of packets that bear them (RFC 8999).
//!
//! Written from the two documents, without a look at the program.

/// What the five low bits of a connection id's first octet are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Low {
    /// They tell how many bytes follow (QUIC-LB section 3.3).
    Length,
    /// They are chosen at random: these.
    Random(u8),
}

/// A connection id of the configuration `rotation`, 0 to 7, that names `server_id`.
///
/// # Panics
/// If the configuration or the id is not possible.
#[must_use]
pub fn connection_id(rotation: u8, low: Low, server_id: &[u8], nonce: &[u8]) -> Vec<u8> {
    assert!(rotation < 8, "three bits of rotation");
    let follow = server_id.len() + nonce.len();
    let low = match low {
        Low::Length => u8::try_from(follow).expect("few bytes"),
        Low::Random(bits) => bits,
    };
    assert!(low < 32, "five low bits");
    [&[rotation << 5 | low], server_id, nonce].concat()
}

/// A packet with a long header, of version 1 and type Initial, to `destination` (RFC 9000 section 17.2.2).
///
/// # Panics
/// If the connection id has more than 255 bytes.
#[must_use]
pub fn long_header(destination: &[u8]) -> Vec<u8> {
    let length = u8::try_from(destination.len()).expect("at most 255 bytes");
    let mut packet = vec![0xc3, 0, 0, 0, 1, length];
    packet.extend(destination);
    // A source connection id, no token, and what only the ends understand.
    packet.extend([4, 0xaa, 0xbb, 0xcc, 0xdd, 0]);
    packet.extend([0x5a; 40]);
    packet
}

/// A packet with a short header to `destination` (RFC 9000 section 17.3.1).
#[must_use]
pub fn short_header(destination: &[u8]) -> Vec<u8> {
    [&[0x41], destination, &[0x5a; 24]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits");
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    /// QUIC-LB appendix B.1. The second vector is printed there with a digit too many in its first octet and one too
    /// few in its nonce (`20a350d28b4203487d970b`); its length and its fields leave only this reading.
    #[test]
    fn connection_ids_are_those_of_the_drafts_test_vectors() {
        for (rotation, server_id, nonce, whole) in [
            (0, "c4605e", "4504cc4f", "07c4605e4504cc4f"),
            (1, "350d28b420", "03487d970b", "2a350d28b42003487d970b"),
        ] {
            let id = connection_id(rotation, Low::Length, &bytes(server_id), &bytes(nonce));
            assert_eq!(id, bytes(whole));
        }
    }
}
