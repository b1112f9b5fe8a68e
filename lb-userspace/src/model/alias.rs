//! Aliases: the addresses that probes connect to whose packets go the way of clients' packets, one for each backend.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use super::{ParseError, Prefix};

/// The addresses that aliases are taken from, of one IP version. They are seen by this host alone, on the interface of
/// probes, and the first one is that interface's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AliasPrefix(Prefix);

impl AliasPrefix {
    /// An interface's own address, two aliases, and the ends of the range.
    const MIN_FREE_BITS: u8 = 3;

    /// The whole range.
    #[must_use]
    pub const fn prefix(self) -> Prefix {
        self.0
    }

    /// The address of the interface of probes, where probes come from.
    #[must_use]
    pub fn own(self) -> IpAddr {
        self.nth(1)
    }

    /// The alias of the backend with this number, from 1; `None` if there are not so many. The last address of an IPv4
    /// range is a broadcast address (RFC 919), and no alias.
    #[must_use]
    pub fn of(self, number: u32) -> Option<IpAddr> {
        let offset = 1 + u128::from(number);
        let last = (1_u128 << self.0.free_bits().min(64)) - 1;
        (number > 0 && offset < last).then(|| self.nth(offset))
    }

    /// The address so many after the first, within the range.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an IPv4 range has fewer addresses"
    )]
    fn nth(self, offset: u128) -> IpAddr {
        match self.0.address() {
            IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits() | offset as u32).into(),
            IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits() | offset).into(),
        }
    }
}

impl TryFrom<Prefix> for AliasPrefix {
    type Error = ParseError;

    fn try_from(prefix: Prefix) -> Result<Self, ParseError> {
        let first = prefix.address();
        if prefix.free_bits() < Self::MIN_FREE_BITS {
            return Err(ParseError::new(format!(
                "`{prefix}` is too narrow: each backend needs an address, so write a length of at most {}, or less for many backends",
                prefix.bits() + prefix.free_bits() - Self::MIN_FREE_BITS
            )));
        }
        let is_usable = !(first.is_unspecified() || first.is_loopback() || first.is_multicast())
            && prefix.bits() >= 8;
        if !is_usable {
            return Err(ParseError::new(format!(
                "`{prefix}` is not a prefix of unicast addresses that nobody else has: write one of 8 bits or more, for example {} or {}",
                Aliases::DEFAULT_V4,
                Aliases::DEFAULT_V6
            )));
        }
        Ok(Self(prefix))
    }
}

impl FromStr for AliasPrefix {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.parse::<Prefix>()?.try_into()
    }
}

impl fmt::Display for AliasPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where aliases are taken from, by IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aliases {
    /// IPv4.
    pub v4: AliasPrefix,
    /// IPv6.
    pub v6: AliasPrefix,
}

impl Aliases {
    /// Half of what is set aside for benchmarks of networks (RFC 2544 appendix C.2.2): no network's own, and not the half
    /// that other software likes.
    const DEFAULT_V4: &str = "198.19.0.0/16";
    /// A unique local prefix, whose global id was drawn by lot (RFC 4193 section 3.2).
    const DEFAULT_V6: &str = "fdb3:5e0c:97d2:1::/64";

    /// The range of one IP version.
    #[must_use]
    pub const fn like(self, is_ipv4: bool) -> AliasPrefix {
        if is_ipv4 { self.v4 } else { self.v6 }
    }

    /// Whether an address lies where aliases are taken from.
    #[must_use]
    pub fn have(self, address: IpAddr) -> bool {
        let range = self.like(address.is_ipv4()).prefix();
        range.contains(address.into())
    }
}

impl Default for Aliases {
    fn default() -> Self {
        let read = |text: &str| text.parse().expect("a constant");
        Self {
            v4: read(Self::DEFAULT_V4),
            v6: read(Self::DEFAULT_V6),
        }
    }
}

/// How probes go the way of clients' packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeWay {
    /// Where aliases are taken from.
    pub aliases: Aliases,
    /// Index of the interface of probes; `None`: there is none.
    pub interface: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> AliasPrefix {
        text.parse().unwrap()
    }

    #[test]
    fn every_backend_has_an_alias_of_its_own_within_the_range() {
        for (text, own, first, last) in [
            ("198.19.0.0/16", "198.19.0.1", "198.19.0.2", Some(65_533)),
            ("10.0.0.8/29", "10.0.0.9", "10.0.0.10", Some(5)),
            ("fd00::/125", "fd00::1", "fd00::2", Some(5)),
            ("fd00::/64", "fd00::1", "fd00::2", None),
        ] {
            let aliases = prefix(text);
            assert_eq!(aliases.own().to_string(), own);
            assert_eq!(aliases.of(0), None, "{text}");
            assert_eq!(aliases.of(1).unwrap().to_string(), first);
            let Some(last) = last else {
                assert!(aliases.of(u32::MAX).is_some());
                continue;
            };
            let alias = aliases.of(last).unwrap();
            assert!(aliases.prefix().contains(alias.into()), "{alias}");
            assert_ne!(alias, aliases.prefix().last());
            assert_eq!(aliases.of(last + 1), None, "{text}");
        }
        assert_eq!(
            prefix("198.19.0.0/16").of(300).unwrap().to_string(),
            "198.19.1.45"
        );
    }

    #[test]
    fn ranges_that_cannot_serve_are_refused_with_what_to_write() {
        for (text, advice) in [
            ("10.0.0.0/30", "at most 29"),
            ("10.0.0.1", "at most 29"),
            ("fd00::/126", "at most 125"),
            ("127.0.0.0/8", "unicast"),
            ("224.0.0.0/8", "unicast"),
            ("0.0.0.0/0", "unicast"),
            ("lbp0", "write ADDRESS/LENGTH"),
        ] {
            let error = text.parse::<AliasPrefix>().unwrap_err().to_string();
            assert!(error.contains(advice), "{text}: {error}");
        }
    }

    #[test]
    fn addresses_in_the_ranges_are_known() {
        let aliases = Aliases::default();
        for (address, is_one) in [
            ("198.19.0.5", true),
            ("198.18.0.5", false),
            ("fdb3:5e0c:97d2:1::5", true),
            ("fdb3:5e0c:97d2:2::5", false),
        ] {
            assert_eq!(aliases.have(address.parse().unwrap()), is_one, "{address}");
        }
    }

    #[test]
    fn the_defaults_are_ranges_of_both_versions() {
        let Aliases { v4, v6 } = Aliases::default();
        assert!(v4.prefix().is_ipv4() && !v6.prefix().is_ipv4());
    }
}
