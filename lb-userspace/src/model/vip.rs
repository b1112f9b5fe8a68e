//! The address, port and protocol that clients use.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ParseError, Prefix};

/// The transport protocols that are balanced.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP (RFC 9293), protocol number 6.
    Tcp,
    /// UDP (RFC 768), protocol number 17.
    Udp,
    /// SCTP (RFC 9260), protocol number 132.
    Sctp,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The number in the IP header.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// The protocol with this number, if it is one that is balanced.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            132 => Some(Self::Sctp),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// Address, port and protocol that clients use, written `192.0.2.10:443/tcp` or `[2001:db8::10]:53/udp`; with
/// `*` in the port's place, every port; with a prefix in the address's place, `203.0.113.0/28:443/tcp` or
/// `[2001:db8:1::/64]:443/tcp`, every address of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Vip {
    /// One address, or a prefix of at least [`Vip::MIN_BITS_V4`] or [`Vip::MIN_BITS_V6`] bits; unicast.
    pub addresses: Prefix,
    /// The port, 1 to 65,535; [`Vip::ANY_PORT`]: every port that no other VIP of the addresses and protocol names.
    pub port: u16,
    /// The transport protocol.
    pub protocol: Protocol,
}

impl Vip {
    /// The port that stands for all ports, written `*`.
    pub const ANY_PORT: u16 = 0;
    /// The fewest bits of an IPv4 prefix.
    pub const MIN_BITS_V4: u8 = 8;
    /// The fewest bits of an IPv6 prefix.
    pub const MIN_BITS_V6: u8 = 16;

    /// Whether it is a range of addresses.
    #[must_use]
    pub fn is_prefix(self) -> bool {
        !self.addresses.is_single()
    }
}

impl fmt::Display for Vip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.addresses.is_ipv4() {
            write!(f, "{}:", self.addresses)?;
        } else {
            write!(f, "[{}]:", self.addresses)?;
        }
        if self.port == Self::ANY_PORT {
            f.write_str("*")?;
        } else {
            self.port.fmt(f)?;
        }
        write!(f, "/{}", self.protocol)
    }
}

impl FromStr for Vip {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let malformed = || {
            let (form, examples) = if text.matches('/').count() > 1 {
                (
                    "PREFIX",
                    "203.0.113.0/28:443/tcp or [2001:db8:1::/64]:443/tcp",
                )
            } else {
                ("ADDRESS", "192.0.2.10:443/tcp or [2001:db8::10]:53/udp")
            };
            ParseError::new(format!(
                "`{text}` is not a VIP: write {form}:PORT/PROTOCOL, for example {examples}"
            ))
        };
        let (endpoint, protocol) = text.rsplit_once('/').ok_or_else(malformed)?;
        let (addresses, port) = endpoint.rsplit_once(':').ok_or_else(malformed)?;
        let named = |known: &Protocol| known.to_string() == protocol;
        let Some(protocol) = Protocol::ALL.into_iter().find(named) else {
            return Err(ParseError::new(format!(
                "`{protocol}` in `{text}` is not a protocol: write tcp, udp or sctp"
            )));
        };
        let port = match port {
            "*" => Self::ANY_PORT,
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                let port = digits.parse().map_err(|_| malformed())?;
                if port == 0 {
                    return Err(port_0(text));
                }
                port
            }
            _ => return Err(malformed()),
        };
        let bracketed = addresses
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let addresses = read_addresses(bracketed.unwrap_or(addresses), text, malformed)?;
        if addresses.is_ipv4() == bracketed.is_some() {
            return Err(malformed());
        }
        Ok(Self {
            addresses,
            port,
            protocol,
        })
    }
}

/// One address, or a prefix all of whose addresses hosts can have. `whole` is what it stands in.
fn read_addresses(
    text: &str,
    whole: &str,
    malformed: impl Fn() -> ParseError,
) -> Result<Prefix, ParseError> {
    if let Ok(address) = text.parse() {
        return unicast(address, whole).map(Prefix::from);
    }
    if !text.contains('/') {
        return Err(malformed());
    }
    let prefix: Prefix = text.parse()?;
    let fewest = if prefix.is_ipv4() {
        Vip::MIN_BITS_V4
    } else {
        Vip::MIN_BITS_V6
    };
    if prefix.bits() < fewest {
        return Err(ParseError::new(format!(
            "`{prefix}` in `{whole}` is too wide: write a length of at least {fewest}"
        )));
    }
    unicast(prefix.address(), whole)?;
    unicast(prefix.last(), whole)?;
    Ok(prefix)
}

impl TryFrom<String> for Vip {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Vip> for String {
    fn from(vip: Vip) -> Self {
        vip.to_string()
    }
}

/// `endpoint`, if its address is one that a host can have and its port is not 0.
pub(super) fn unicast_endpoint(endpoint: SocketAddr, text: &str) -> Result<SocketAddr, ParseError> {
    unicast(endpoint.ip(), text)?;
    if endpoint.port() == 0 {
        return Err(port_0(text));
    }
    Ok(endpoint)
}

fn port_0(text: &str) -> ParseError {
    ParseError::new(format!("port 0 in `{text}`: write a port from 1 to 65535"))
}

/// `address`, if it is one that a host can have, whatever the interface. IPv4-mapped IPv6 addresses are refused: they
/// never stand on the wire.
fn unicast(address: IpAddr, text: &str) -> Result<IpAddr, ParseError> {
    let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_unspecified()
        || address.is_multicast()
        || address.is_loopback()
        || mapped
        || broadcast
    {
        return Err(ParseError::new(format!(
            "`{address}` in `{text}` is not a unicast address of a host on the network"
        )));
    }
    // RFC 4007 section 6: without a zone it may be another host on each interface.
    if matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        return Err(ParseError::new(format!(
            "`{address}` in `{text}` is a link-local address, which names a host on one interface only: write a global or a unique local address (fd00::/8)"
        )));
    }
    Ok(address)
}
