//! Our own addresses towards backends: where the outer headers of tunnels, and the packets of full NAT, come from.

use std::{fmt, net::IpAddr, str::FromStr};

use super::{Mode, ParseError, Prefix};

/// Source addresses of one IP version: a prefix whose low bits vary with the flow, so that receivers of tunnels spread
/// flows over their queues, and full NAT has all ports of each. A whole address is a prefix without such bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The first address; its varying bits are 0.
    pub address: IpAddr,
    /// How many low bits vary, 0 to 32.
    pub bits: u8,
}

impl Source {
    /// The most bits that vary.
    const MAX_BITS: u8 = 32;
    /// The most bits of an IPv4 address that vary: a prefix of 8 bits is as large as they are.
    const MAX_BITS_V4: u8 = 24;

    /// All of them.
    ///
    /// # Panics
    /// If the first address has bits that vary.
    #[must_use]
    pub fn prefix(self) -> Prefix {
        let whole = if self.address.is_ipv4() { 32 } else { 128 };
        Prefix::new(self.address, whole - self.bits).expect("its varying bits are 0")
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self { address, bits: 0 }
    }
}

impl FromStr for Source {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let prefix: Prefix = text.parse()?;
        let (address, bits) = (prefix.address(), prefix.free_bits());
        let most = if address.is_ipv4() {
            Self::MAX_BITS_V4
        } else {
            Self::MAX_BITS
        };
        if bits > most {
            return Err(ParseError::new(format!(
                "`{text}` is too wide: write a length of at least {}",
                prefix.bits() + bits - most
            )));
        }
        if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
            return Err(ParseError::new(format!(
                "`{text}` is not a prefix of unicast addresses"
            )));
        }
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = self.prefix();
        write!(f, "{}/{}", prefix.address(), prefix.bits())
    }
}

/// The sources that the operator has chosen, by IP version; a version without one takes the address that the
/// kernel would send from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// IPv4.
    pub v4: Option<Source>,
    /// IPv6.
    pub v6: Option<Source>,
}

impl Sources {
    /// The source towards `backend`, if one was chosen.
    #[must_use]
    pub const fn towards(&self, backend: IpAddr) -> Option<Source> {
        if backend.is_ipv4() { self.v4 } else { self.v6 }
    }
}

/// The same for each use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChosenSources {
    /// Of tunnels' outer headers.
    pub tunnel: Sources,
    /// Of packets to `snat` backends.
    pub snat: Sources,
}

impl ChosenSources {
    /// The source of packets to `backend` in mode `mode`, if one was chosen.
    #[must_use]
    pub const fn towards(&self, mode: Mode, backend: IpAddr) -> Option<Source> {
        if mode.is_tunnel() {
            self.tunnel.towards(backend)
        } else {
            self.snat.towards(backend)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read_whole_or_refused_with_what_to_write() {
        for (text, bits) in [
            ("10.99.0.0/16", 16),
            ("10.0.0.0/8", 24),
            ("10.0.0.1", 0),
            ("fd00:99::/96", 32),
            ("fd00:99::1/128", 0),
        ] {
            let source: Source = text.parse().unwrap();
            assert_eq!(source.bits, bits, "{text}");
            assert_eq!(source.to_string().parse(), Ok(source));
        }
        for (text, advice) in [
            ("10.99.0.1/16", "write 10.99.0.0/16"),
            ("0.0.0.0/0", "at least 8"),
            ("fd00::/64", "at least 96"),
            ("224.0.0.0/16", "unicast"),
            ("eth0", "write ADDRESS/LENGTH"),
        ] {
            let error = text.parse::<Source>().unwrap_err().to_string();
            assert!(error.contains(advice), "{text}: {error}");
        }
    }
}
