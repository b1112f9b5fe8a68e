//! ICMP errors, by etherparse: a header, its checksum, and the packet that is quoted.

use std::net::IpAddr;

use etherparse::{Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type};

use super::Packet;

/// What kind of ICMP message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Type; its numbers differ by IP version.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// The second half of the header: an MTU, a pointer, or nothing.
    pub rest: [u8; 4],
}

impl Message {
    /// Of this type, with nothing else said.
    #[must_use]
    pub const fn new(kind: u8) -> Self {
        Self {
            kind,
            code: 0,
            rest: [0; 4],
        }
    }
}

impl Packet {
    /// An ICMP message from `source` to `destination` that quotes `quote`.
    ///
    /// # Panics
    /// If the addresses are of two IP versions.
    #[must_use]
    pub fn icmp(source: IpAddr, destination: IpAddr, message: Message, quote: &[u8]) -> Self {
        let Message { kind, code, rest } = message;
        let (protocol, mut bytes) = match (source, destination) {
            (IpAddr::V4(_), IpAddr::V4(_)) => {
                let header = Icmpv4Type::Unknown {
                    type_u8: kind,
                    code_u8: code,
                    bytes5to8: rest,
                };
                let header = Icmpv4Header::with_checksum(header, quote);
                (1, header.to_bytes().to_vec())
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let header = Icmpv6Type::Unknown {
                    type_u8: kind,
                    code_u8: code,
                    bytes5to8: rest,
                };
                let header = Icmpv6Header::with_checksum(header, from.octets(), to.octets(), quote)
                    .expect("a quote that fits");
                (58, header.to_bytes().to_vec())
            }
            _ => panic!("a packet between two IP versions"),
        };
        bytes.extend(quote);
        Self::raw(source, destination, protocol, bytes)
    }

    /// The packet from its IP header on: at most `bytes` bytes after the IP headers.
    #[must_use]
    pub fn quote(&self, bytes: usize) -> Vec<u8> {
        let layers = self.layers();
        let end = layers.end.min(layers.transport.saturating_add(bytes));
        self.frame()
            .get(layers.ip..end)
            .expect("the packet is in its frame")
            .to_vec()
    }
}
