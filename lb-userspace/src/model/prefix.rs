//! A range of addresses: an address and how many of its bits count.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ParseError;

/// A prefix without bits beyond its length: `10.0.0.0/24`, `2001:db8::/32`.
///
/// In order, a prefix stands before those that it contains, and all of these before any other.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(into = "String", try_from = "String")]
pub struct Prefix(IpNet);

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

impl TryFrom<String> for Prefix {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl Prefix {
    /// The prefix of `address` that is `bits` bits long, if an address has so many; all bits beyond are 0.
    #[must_use]
    pub fn of(address: IpAddr, bits: u8) -> Option<Self> {
        let prefix = IpNet::new(address, bits).ok()?;
        Some(Self(prefix.trunc()))
    }

    /// The prefix of `bits` bits that begins with `address`; `None` if there is none.
    #[must_use]
    pub fn new(address: IpAddr, bits: u8) -> Option<Self> {
        Self::of(address, bits).filter(|prefix| prefix.address() == address)
    }

    /// Whether all its addresses are IPv4 addresses in an IPv6 coat (RFC 4291 section 2.5.5.2), which never stand on
    /// the wire (RFC 4038 section 4.2).
    #[must_use]
    pub fn is_ipv4_mapped(self) -> bool {
        let mapped = |address| matches!(address, IpAddr::V6(it) if it.to_ipv4_mapped().is_some());
        self.bits() >= 96 && mapped(self.address())
    }

    /// The first address of the range.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.0.addr()
    }

    /// The last address of the range.
    #[must_use]
    pub fn last(self) -> IpAddr {
        self.0.broadcast()
    }

    /// Whether it is a range of IPv4 addresses.
    #[must_use]
    pub const fn is_ipv4(self) -> bool {
        matches!(self.0, IpNet::V4(_))
    }

    /// Whether it is one address.
    #[must_use]
    pub fn is_single(self) -> bool {
        self.free_bits() == 0
    }

    /// Whether all addresses of `other` are in it.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether any address is in both.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// How many bits count: at most 32, or 128.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0.prefix_len()
    }

    /// How many bits do not count.
    #[must_use]
    pub fn free_bits(self) -> u8 {
        self.0.max_prefix_len() - self.0.prefix_len()
    }
}

impl From<IpAddr> for Prefix {
    /// The prefix of that address only.
    fn from(address: IpAddr) -> Self {
        Self(address.into())
    }
}

impl fmt::Display for Prefix {
    /// One address without its length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() {
            self.address().fmt(f)
        } else {
            self.0.fmt(f)
        }
    }
}

impl FromStr for Prefix {
    type Err = ParseError;

    /// An address alone is the prefix of that address only.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(address.into());
        }
        let prefix: IpNet = text.parse().map_err(|_| {
            ParseError::new(format!(
                "`{text}` is not a prefix: write ADDRESS/LENGTH, for example 10.0.0.0/24 or 2001:db8::/32"
            ))
        })?;
        let first = prefix.trunc();
        if first != prefix {
            return Err(ParseError::new(format!(
                "`{text}` has bits beyond its length: write {first}, or {}",
                IpNet::from(prefix.addr())
            )));
        }
        Ok(Self(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_written_as_they_are_read() {
        for text in [
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.0.0.128/25",
            "10.0.0.1",
            "::/0",
            "2001:db8::/32",
            "2001:db8::1",
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_address_alone_is_itself() {
        for (text, whole) in [("10.0.0.1", "10.0.0.1/32"), ("fd00::1", "fd00::1/128")] {
            assert_eq!(text.parse::<Prefix>(), whole.parse());
            assert_eq!(whole.parse::<Prefix>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn prefixes_contain_longer_ones_and_stand_before_them() {
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        for (outer, inner) in [
            ("0.0.0.0/0", "255.255.255.255/32"),
            ("10.0.0.0/8", "10.0.0.0/24"),
            ("10.0.0.0/8", "10.255.0.0/16"),
            ("2001:db8::/32", "2001:db8:ffff::1/128"),
        ] {
            let (outer, inner) = (prefix(outer), prefix(inner));
            assert!(outer.contains(inner) && outer < inner, "{outer}, {inner}");
            assert!(!inner.contains(outer), "{outer}, {inner}");
        }
        assert!(!prefix("0.0.0.0/0").contains(prefix("::/0")));
        assert!(!prefix("10.0.0.0/24").contains(prefix("10.0.1.0/24")));
    }

    #[test]
    fn prefixes_of_mapped_addresses_are_told() {
        for (text, is_mapped) in [
            ("::ffff:10.0.0.1", true),
            ("::ffff:0:0/96", true),
            ("::/0", false),
            ("::ffff:0:0/95", false),
            ("2001:db8::/96", false),
            ("10.0.0.0/8", false),
        ] {
            // What has bits beyond its length is no prefix.
            if let Ok(prefix) = text.parse::<Prefix>() {
                assert_eq!(prefix.is_ipv4_mapped(), is_mapped, "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_prefix_is_refused_with_what_was_expected() {
        for (text, words) in [
            ("", "is not a prefix"),
            ("lb.example/24", "is not a prefix"),
            ("10.0.0/24", "is not a prefix"),
            ("10.0.0.0/33", "is not a prefix"),
            ("10.0.0.0/", "is not a prefix"),
            ("10.0.0.0/-1", "is not a prefix"),
            ("10.0.0.0/8/8", "is not a prefix"),
            ("fd00::/129", "is not a prefix"),
            ("10.0.0.5/24", "10.0.0.0/24, or 10.0.0.5/32"),
            ("fd00::1/64", "fd00::/64, or fd00::1/128"),
            ("10.0.0.1/0", "0.0.0.0/0"),
        ] {
            let message = text.parse::<Prefix>().unwrap_err().to_string();
            assert!(message.contains(words), "{text}: {message}");
        }
    }
}
