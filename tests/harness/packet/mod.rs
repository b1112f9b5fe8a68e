//! One frame, described: what stands in its headers, and the bytes that etherparse makes of it.
//!
//! A test describes the packet it sends and the packet it expects; both are built from nothing, checksums
//! included, and compared byte by byte.

mod build;
mod icmp;
mod read;
mod sctp;

pub use build::icmp_checksum;
pub use icmp::Message;
pub use read::{Seen, checksum_faults, hex_dump};
pub use sctp::Chunk;

use std::net::{IpAddr, SocketAddr};

/// A MAC address.
pub type Mac = [u8; 6];

/// 802.1Q, the customer's tag.
pub const CUSTOMER_TAG: u16 = 0x8100;
/// 802.1ad, the provider's tag.
pub const PROVIDER_TAG: u16 = 0x88a8;
/// IPv4 router alert (RFC 2113), as IGMP and RSVP carry it.
pub const ROUTER_ALERT: [u8; 4] = [0x94, 4, 0, 0];
/// Four no-operation options (RFC 791 section 3.1).
pub const NO_OPERATIONS: [u8; 4] = [1; 4];

/// TCP flags: a set, joined with `|`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// Last segment of the sender.
    pub const FIN: Self = Self(1);
    /// First segment.
    pub const SYN: Self = Self(2);
    /// Reset.
    pub const RST: Self = Self(4);
    /// Acknowledgement.
    pub const ACK: Self = Self(16);

    /// Whether all of `flags` are set.
    #[must_use]
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }
}

impl std::ops::BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// [`CUSTOMER_TAG`] or [`PROVIDER_TAG`].
    pub ether_type: u16,
    /// 0 to 4,095.
    pub id: u16,
    /// 0 to 7 (IEEE 802.1Q clause 6.9.3).
    pub priority: u8,
}

/// An IPv6 extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Hop-by-hop options (RFC 8200 section 4.3), padding only.
    HopByHop {
        /// In 8-byte units beyond the first.
        length: u8,
    },
    /// Routing header with no segments left (RFC 8200 section 4.4).
    Routing,
    /// Destination options (RFC 8200 section 4.6), padding only.
    DestinationOptions {
        /// In 8-byte units beyond the first.
        length: u8,
    },
    /// Fragment header (RFC 8200 section 4.5).
    Fragment {
        /// In 8-byte units.
        offset: u16,
        /// Whether more fragments follow.
        more: bool,
    },
}

impl Extension {
    /// A fragment header on a datagram that is whole (RFC 6946).
    pub const ATOMIC: Self = Self::Fragment {
        offset: 0,
        more: false,
    };
}

/// What follows the IP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A TCP header without options.
    Tcp(Flags),
    /// A UDP header.
    Udp {
        /// Whether the checksum is computed; 0 stands in its place if not.
        checksum: bool,
    },
    /// An SCTP common header and the header of the one chunk, which holds the payload.
    Sctp(Chunk),
    /// Bytes as they are, of the protocol with this number; the ports mean nothing.
    Raw(u8),
}

/// One frame, described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source MAC address.
    pub source_mac: Mac,
    /// Destination MAC address.
    pub destination_mac: Mac,
    /// VLAN tags, the outermost first.
    pub tags: Vec<Tag>,
    /// Source address and port.
    pub source: SocketAddr,
    /// Destination address and port; of the source's IP version.
    pub destination: SocketAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// IPv4 options; a multiple of 4 bytes, at most 40.
    pub options: Vec<u8>,
    /// IPv4: identification.
    pub identification: u16,
    /// IPv4: fragment offset in 8-byte units, and whether more fragments follow.
    pub fragment: (u16, bool),
    /// IPv6 extension headers, in order.
    pub extensions: Vec<Extension>,
    /// What follows the IP header; absent in IPv4 fragments but the first.
    pub transport: Transport,
    /// What follows the transport header.
    pub payload: Vec<u8>,
    /// Bytes after the end of the IP packet.
    pub padding: usize,
}

/// Where the headers of a frame begin, in bytes from the frame's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layers {
    /// The IP header.
    pub ip: usize,
    /// The transport header.
    pub transport: usize,
    /// The transport's payload.
    pub payload: usize,
    /// The end of the IP packet.
    pub end: usize,
}

impl Packet {
    /// A TCP SYN.
    #[must_use]
    pub fn tcp(source: SocketAddr, destination: SocketAddr) -> Self {
        Self::new(source, destination, Transport::Tcp(Flags::SYN))
    }

    /// A UDP datagram with a checksum.
    #[must_use]
    pub fn udp(source: SocketAddr, destination: SocketAddr) -> Self {
        Self::new(source, destination, Transport::Udp { checksum: true })
    }

    /// An SCTP packet that begins an association.
    #[must_use]
    pub fn sctp(source: SocketAddr, destination: SocketAddr) -> Self {
        Self::new(source, destination, Transport::Sctp(Chunk::INIT))
    }

    /// `bytes` of the protocol with this number.
    #[must_use]
    pub fn raw(source: IpAddr, destination: IpAddr, protocol: u8, bytes: Vec<u8>) -> Self {
        let transport = Transport::Raw(protocol);
        let mut packet = Self::new((source, 0).into(), (destination, 0).into(), transport);
        packet.payload = bytes;
        packet
    }

    fn new(source: SocketAddr, destination: SocketAddr, transport: Transport) -> Self {
        assert_eq!(
            source.is_ipv4(),
            destination.is_ipv4(),
            "one IP version in a packet"
        );
        Self {
            source_mac: [2, 0, 0, 0, 0, 0xcc],
            destination_mac: [2, 0, 0, 0, 0, 0x1b],
            tags: Vec::new(),
            source,
            destination,
            ttl: 64,
            options: Vec::new(),
            identification: 0x4711,
            fragment: (0, false),
            extensions: Vec::new(),
            transport,
            payload: b"thirteen byte".to_vec(),
            padding: 0,
        }
    }

    /// With these TCP flags.
    #[must_use]
    pub fn flags(mut self, flags: Flags) -> Self {
        self.transport = Transport::Tcp(flags);
        self
    }

    /// With an SCTP chunk of this type.
    #[must_use]
    pub fn chunk(mut self, chunk: Chunk) -> Self {
        self.transport = Transport::Sctp(chunk);
        self
    }

    /// With 0 for the UDP checksum.
    #[must_use]
    pub fn without_checksum(mut self) -> Self {
        self.transport = Transport::Udp { checksum: false };
        self
    }

    /// With these MAC addresses.
    #[must_use]
    pub const fn macs(mut self, source: Mac, destination: Mac) -> Self {
        self.source_mac = source;
        self.destination_mac = destination;
        self
    }

    /// With one more VLAN tag, inside of those that are there.
    #[must_use]
    pub fn tag(mut self, ether_type: u16, id: u16) -> Self {
        self.tags.push(Tag {
            ether_type,
            id,
            priority: 0,
        });
        self
    }

    /// With this priority in every VLAN tag.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        for tag in &mut self.tags {
            tag.priority = priority;
        }
        self
    }

    /// From this address and port.
    #[must_use]
    pub const fn from(mut self, source: SocketAddr) -> Self {
        self.source = source;
        self
    }

    /// To this address and port.
    #[must_use]
    pub const fn to(mut self, destination: SocketAddr) -> Self {
        self.destination = destination;
        self
    }

    /// With this TTL or hop limit.
    #[must_use]
    pub const fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// With these IPv4 options.
    #[must_use]
    pub fn options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self
    }

    /// With this IPv4 identification.
    #[must_use]
    pub const fn identification(mut self, identification: u16) -> Self {
        self.identification = identification;
        self
    }

    /// As an IPv4 fragment; `offset` in 8-byte units.
    #[must_use]
    pub const fn fragment(mut self, offset: u16, more: bool) -> Self {
        self.fragment = (offset, more);
        self
    }

    /// With one more IPv6 extension header, after those that are there.
    #[must_use]
    pub fn extension(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// With this payload.
    #[must_use]
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }

    /// With so many bytes after the end of the IP packet.
    #[must_use]
    pub const fn padding(mut self, padding: usize) -> Self {
        self.padding = padding;
        self
    }
}
