//! Integers in network byte order: what stands in packets and, for addresses and ports, in map keys.

/// A 16-bit integer held in network byte order (a port, an ethertype).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Be16(u16);

impl Be16 {
    /// From a value in host order.
    #[must_use]
    #[inline]
    pub const fn new(host: u16) -> Self {
        Self(host.to_be())
    }

    /// From the two bytes as they stand in a packet.
    #[must_use]
    #[inline]
    #[expect(
        clippy::host_endian_bytes,
        reason = "the bytes are kept in the order they came in"
    )]
    pub const fn from_bytes(bytes: [u8; 2]) -> Self {
        Self(u16::from_ne_bytes(bytes))
    }

    /// The value in host order.
    #[must_use]
    #[inline]
    pub const fn get(self) -> u16 {
        u16::from_be(self.0)
    }

    /// From the raw integer, as [`raw`](Self::raw) gives it.
    #[must_use]
    #[inline]
    pub const fn from_raw(raw: u16) -> Self {
        Self(raw)
    }

    /// The two bytes as they stand in a packet.
    #[must_use]
    #[inline]
    #[expect(
        clippy::host_endian_bytes,
        reason = "the bytes are kept in the order they came in"
    )]
    pub const fn to_bytes(self) -> [u8; 2] {
        self.0.to_ne_bytes()
    }

    /// The raw integer: network order, as loaded from memory. For hashing and checksums, where
    /// the order does not matter as long as it is always the same (RFC 1071 section 2 (B)).
    #[must_use]
    #[inline]
    pub const fn raw(self) -> u16 {
        self.0
    }
}

/// A 32-bit integer held in network byte order (an IPv4 address, a quarter of an IPv6 one).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Be32(u32);

impl Be32 {
    /// From a value in host order.
    #[must_use]
    #[inline]
    pub const fn new(host: u32) -> Self {
        Self(host.to_be())
    }

    /// From the four bytes as they stand in a packet.
    #[must_use]
    #[inline]
    #[expect(
        clippy::host_endian_bytes,
        reason = "the bytes are kept in the order they came in"
    )]
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_ne_bytes(bytes))
    }

    /// The four bytes as they stand in a packet.
    #[must_use]
    #[inline]
    #[expect(
        clippy::host_endian_bytes,
        reason = "the bytes are kept in the order they came in"
    )]
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0.to_ne_bytes()
    }

    /// The value in host order.
    #[must_use]
    #[inline]
    pub const fn get(self) -> u32 {
        u32::from_be(self.0)
    }

    /// From the raw integer, as [`raw`](Self::raw) gives it.
    #[must_use]
    #[inline]
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// The raw integer: network order, as loaded from memory. For hashing and checksums.
    #[must_use]
    #[inline]
    pub const fn raw(self) -> u32 {
        self.0
    }
}
