//! IPv4 and IPv6 as one trait, so that no stage is written twice.

use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::be::Be32;

/// An address as `WORDS` 32-bit words in network byte order: 1 for IPv4, 4 for IPv6.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
#[expect(
    clippy::derived_hash_with_manual_eq,
    reason = "equal words are hashed equally"
)]
pub struct Address<const WORDS: usize>(pub [Be32; WORDS]);

/// One branch, not one for each word: the verifier follows every way through them.
impl<const WORDS: usize> PartialEq for Address<WORDS> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        let words = self.0.iter().zip(&other.0);
        words.fold(0, |difference, (a, b)| difference | (a.raw() ^ b.raw())) == 0
    }
}

/// An IPv4 address: 4 bytes.
pub type Address4 = Address<1>;
/// An IPv6 address: 16 bytes.
pub type Address6 = Address<4>;

/// An IP version with all that differs between the two in keys and values.
pub trait Family: Copy + 'static {
    /// The address: [`Address4`] or [`Address6`].
    type Address: Copy + fmt::Debug + Ord + AsRef<[Be32]> + Into<IpAddr> + 'static;

    /// What tells one client from another: [`Address4`], or the first half of an [`Address6`].
    type Client: Copy + 'static;

    /// What fills a [`Place`](crate::placement::Place) up to a cache line: words.
    type Reserved: Copy + fmt::Debug + Default + 'static;

    /// The version number in the header's first nibble: 4 or 6.
    const VERSION: u8;
    /// Bits of an address.
    const BITS: u32;

    /// The part of `address` that one client is known by: all of an IPv4 address; of an IPv6 address the /64, which
    /// is one link and whose other half hosts change as they like (RFC 4291 section 2.5.1, RFC 8981).
    fn client(address: Self::Address) -> Self::Client;
}

/// IPv4 (RFC 791).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V4;

/// IPv6 (RFC 8200).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct V6;

impl Family for V4 {
    type Address = Address4;
    type Client = Address4;
    type Reserved = [u32; 4];
    const VERSION: u8 = 4;
    const BITS: u32 = 32;

    #[inline]
    fn client(address: Address4) -> Address4 {
        address
    }
}

impl Family for V6 {
    type Address = Address6;
    type Client = Address<2>;
    type Reserved = [u32; 1];
    const VERSION: u8 = 6;
    const BITS: u32 = 128;

    #[inline]
    fn client(Address([first, second, ..]): Address6) -> Address<2> {
        Address([first, second])
    }
}

impl<const WORDS: usize> AsRef<[Be32]> for Address<WORDS> {
    #[inline]
    fn as_ref(&self) -> &[Be32] {
        &self.0
    }
}

impl From<Ipv4Addr> for Address4 {
    fn from(address: Ipv4Addr) -> Self {
        Self([Be32::from_bytes(address.octets())])
    }
}

impl From<Address4> for Ipv4Addr {
    fn from(Address([word]): Address4) -> Self {
        Self::from_bits(word.get())
    }
}

impl From<Address4> for IpAddr {
    fn from(address: Address4) -> Self {
        Self::V4(address.into())
    }
}

impl From<Ipv6Addr> for Address6 {
    fn from(address: Ipv6Addr) -> Self {
        Self::from(address.octets())
    }
}

impl From<[u8; 16]> for Address6 {
    #[inline]
    #[expect(
        clippy::many_single_char_names,
        reason = "sixteen bytes in their order"
    )]
    fn from(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        Self([
            Be32::from_bytes([a, b, c, d]),
            Be32::from_bytes([e, f, g, h]),
            Be32::from_bytes([i, j, k, l]),
            Be32::from_bytes([m, n, o, p]),
        ])
    }
}

impl From<Address6> for [u8; 16] {
    #[inline]
    #[expect(
        clippy::many_single_char_names,
        reason = "sixteen bytes in their order"
    )]
    fn from(Address(words): Address6) -> Self {
        let [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]] = words.map(Be32::to_bytes);
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }
}

impl From<Address6> for Ipv6Addr {
    fn from(address: Address6) -> Self {
        Self::from(<[u8; 16]>::from(address))
    }
}

impl From<Address6> for IpAddr {
    fn from(address: Address6) -> Self {
        Self::V6(address.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way_into_words_and_back() {
        let v4 = Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(Ipv4Addr::from(Address4::from(v4)), v4);
        let v6: Ipv6Addr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        assert_eq!(Ipv6Addr::from(Address6::from(v6)), v6);
        assert_eq!(Address6::from(v6).0[0].to_bytes(), [0x20, 0x01, 0x0d, 0xb8]);
    }

    #[test]
    fn hosts_of_one_64_are_one_client() {
        let client = |text: &str| V6::client(text.parse::<Ipv6Addr>().unwrap().into());
        assert_eq!(
            client("2001:db8:0:1::1"),
            client("2001:db8:0:1:ffff:ffff:ffff:ffff")
        );
        assert_ne!(client("2001:db8:0:1::1"), client("2001:db8:0:2::1"));
    }
}
