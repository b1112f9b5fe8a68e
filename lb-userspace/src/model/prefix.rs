//! A range of addresses: an address and how many of its bits count.

use std::{fmt, net::IpAddr, str::FromStr};

use super::ParseError;

/// A prefix without bits beyond its length: `10.0.0.0/24`, `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    bits: u8,
}

impl Prefix {
    /// The first address of the range.
    #[must_use]
    pub const fn address(self) -> IpAddr {
        self.address
    }

    /// How many bits count: at most 32, or 128.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.bits
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl FromStr for Prefix {
    type Err = ParseError;

    /// An address alone is the prefix of that address only.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (address, length) = text
            .split_once('/')
            .map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| {
            ParseError::new(format!(
                "`{address}` is not an IP address; expected a prefix like 10.0.0.0/24 or 2001:db8::/32"
            ))
        })?;
        let all: u8 = if address.is_ipv4() { 32 } else { 128 };
        let bits = length.map_or(Some(all), |length| {
            let digits = length.bytes().all(|byte| byte.is_ascii_digit());
            length.parse().ok().filter(|bits| digits && *bits <= all)
        });
        let bits = bits.ok_or_else(|| {
            ParseError::new(format!(
                "`{}` is not a prefix length; expected 0 to {all}",
                length.unwrap_or_default()
            ))
        })?;
        let first = first(address, bits);
        if first != address {
            return Err(ParseError::new(format!(
                "{address} has bits beyond its first {bits}; did you mean {first}/{bits}, or {address}/{all}?"
            )));
        }
        Ok(Self { address, bits })
    }
}

/// `address` with nothing but its first `bits` bits.
fn first(address: IpAddr, bits: u8) -> IpAddr {
    let beyond = u32::from(bits);
    match address {
        IpAddr::V4(v4) => {
            let rest = u32::MAX.checked_shr(beyond).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & !rest).into())
        }
        IpAddr::V6(v6) => {
            let rest = u128::MAX.checked_shr(beyond).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & !rest).into())
        }
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
            "10.0.0.1/32",
            "::/0",
            "2001:db8::/32",
            "2001:db8::1/128",
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_address_alone_is_itself() {
        for (text, whole) in [("10.0.0.1", "10.0.0.1/32"), ("fd00::1", "fd00::1/128")] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), whole);
        }
    }

    #[test]
    fn what_is_no_prefix_is_refused_with_what_was_expected() {
        for (text, words) in [
            ("", "not an IP address"),
            ("lb.example/24", "not an IP address"),
            ("10.0.0/24", "not an IP address"),
            ("10.0.0.0/33", "0 to 32"),
            ("10.0.0.0/", "0 to 32"),
            ("10.0.0.0/+8", "0 to 32"),
            ("10.0.0.0/-1", "0 to 32"),
            ("10.0.0.0/8/8", "0 to 32"),
            ("fd00::/129", "0 to 128"),
            ("10.0.0.5/24", "10.0.0.0/24, or 10.0.0.5/32"),
            ("fd00::1/64", "fd00::/64, or fd00::1/128"),
            ("10.0.0.1/0", "0.0.0.0/0"),
        ] {
            let message = text.parse::<Prefix>().unwrap_err().to_string();
            assert!(message.contains(words), "{text}: {message}");
        }
    }
}
