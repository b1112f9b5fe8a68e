//! Routable QUIC connection ids: which server a connection id names (QUIC-LB, draft-ietf-quic-load-balancers).
//!
//! Written by the daemon, read by the program; one hash map for all services ([`names::SERVER_IDS`]). What the
//! connection ids of a service look like stands in its VIPs' entries ([`Vip::server_id_length`]).
//!
//! ```text
//! connection id:  config rotation (3 bits), length or random (5 bits) | server id (1 to 15) | nonce (4 or more)
//! ```
//!
//! [`names::SERVER_IDS`]: crate::names::SERVER_IDS
//! [`Vip::server_id_length`]: crate::vip::Vip::server_id_length

/// Configurations that can be in use at once: three bits of the connection id tell them apart, and the last of
/// their values means that the id names no server (QUIC-LB section 3.1).
pub const CONFIGS: u32 = 7;

/// The longest server id, in bytes (QUIC-LB section 5.3).
pub const MAX_SERVER_ID: u32 = 15;

/// The shortest nonce, in bytes (QUIC-LB section 5.3).
pub const MIN_NONCE: u32 = 4;

/// A server id of a service. 24 bytes; aligned to 8 so that it is hashed by words.
///
/// Configurations with server ids of one length share them (QUIC-LB section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C, align(8))]
pub struct ServerIdKey {
    /// The service's number.
    pub service: u32,
    /// Bytes of the server id, 1 to [`MAX_SERVER_ID`].
    pub length: u32,
    /// The server id as a number whose most significant byte is the first one, in host order: the high half,
    /// then the low half.
    pub id: [u64; 2],
}

impl ServerIdKey {
    /// The key of the server id that the last `length` bytes of `bytes` are, 1 to [`MAX_SERVER_ID`]; those before
    /// do not matter.
    #[must_use]
    #[inline]
    #[expect(
        clippy::many_single_char_names,
        reason = "sixteen bytes in their order"
    )]
    pub const fn ending(service: u32, length: u32, bytes: &[u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *bytes;
        let high = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let low = u64::from_be_bytes([i, j, k, l, m, n, o, p]);
        let id = if length < 8 {
            [0, low & low_bytes(length)]
        } else {
            [high & low_bytes(length - 8), low]
        };
        Self {
            service,
            length,
            id,
        }
    }
}

/// A mask of the `count` low bytes, 0 to 7.
#[inline]
const fn low_bytes(count: u32) -> u64 {
    (1 << (8 * (count & 7))) - 1
}

/// Who has a server id. 8 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Server {
    /// The backend's number; 0: nobody has it.
    pub backend: u32,
    /// The backend's generation; the entry counts only while the backend still has it.
    pub generation: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_id_is_the_end_of_the_bytes_whatever_stands_before() {
        let bytes = [
            0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd,
            0xfe, 0xff,
        ];
        for length in 1..=MAX_SERVER_ID {
            let mut alone = [0; 16];
            let begin = 16 - length as usize;
            alone[begin..].copy_from_slice(&bytes[begin..]);
            let key = ServerIdKey::ending(3, length, &bytes);
            assert_eq!(key, ServerIdKey::ending(3, length, &alone));
            let [high, low] = key.id;
            let number = u128::from(high) << 64 | u128::from(low);
            assert_eq!(number, u128::from_be_bytes(alone), "{length}");
        }
    }

    #[test]
    fn server_ids_of_different_lengths_are_different() {
        let zeros = [0; 16];
        assert_ne!(
            ServerIdKey::ending(1, 1, &zeros),
            ServerIdKey::ending(1, 2, &zeros)
        );
    }
}
