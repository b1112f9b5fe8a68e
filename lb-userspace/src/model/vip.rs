//! The address, port and protocol that clients use.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::ParseError;

/// The transport protocols that are balanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP (RFC 9293), protocol number 6.
    Tcp,
    /// UDP (RFC 768), protocol number 17.
    Udp,
}

impl Protocol {
    /// The number in the IP header.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// The protocol with this number, if it is one that is balanced.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Self::Tcp),
            17 => Some(Self::Udp),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// Address, port and protocol that clients use, written `192.0.2.10:443/tcp` or `[2001:db8::10]:53/udp`; with
/// `*` in the port's place, every port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Vip {
    /// A unicast address.
    pub address: IpAddr,
    /// The port, 1 to 65,535; [`Vip::ANY_PORT`]: every port that no other VIP of the address and protocol names.
    pub port: u16,
    /// The transport protocol.
    pub protocol: Protocol,
}

impl Vip {
    /// The port that stands for all ports, written `*`.
    pub const ANY_PORT: u16 = 0;
}

impl fmt::Display for Vip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.port == Self::ANY_PORT {
            return match self.address {
                IpAddr::V4(address) => write!(f, "{address}:*/{}", self.protocol),
                IpAddr::V6(address) => write!(f, "[{address}]:*/{}", self.protocol),
            };
        }
        write!(
            f,
            "{}/{}",
            SocketAddr::new(self.address, self.port),
            self.protocol
        )
    }
}

impl FromStr for Vip {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let malformed = || {
            ParseError::new(format!(
                "`{text}` is not a VIP: write ADDRESS:PORT/PROTOCOL, for example 192.0.2.10:443/tcp or [2001:db8::10]:53/udp"
            ))
        };
        let (endpoint, protocol) = text.rsplit_once('/').ok_or_else(malformed)?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            other => {
                return Err(ParseError::new(format!(
                    "`{other}` in `{text}` is not a protocol: write tcp or udp"
                )));
            }
        };
        // Any port is validated with a port that could be one.
        let (endpoint, any) = match endpoint.strip_suffix(":*") {
            Some(address) => (format!("{address}:1").parse(), true),
            None => (endpoint.parse(), false),
        };
        let endpoint = unicast_endpoint(endpoint.map_err(|_| malformed())?, text)?;
        Ok(Self {
            address: endpoint.ip(),
            port: if any { Self::ANY_PORT } else { endpoint.port() },
            protocol,
        })
    }
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

/// `endpoint`, if its address is one that a host can have and its port is not 0. IPv4-mapped IPv6 addresses
/// are refused: they never stand on the wire.
pub(super) fn unicast_endpoint(endpoint: SocketAddr, text: &str) -> Result<SocketAddr, ParseError> {
    let address = endpoint.ip();
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
    if endpoint.port() == 0 {
        return Err(ParseError::new(format!(
            "port 0 in `{text}`: write a port from 1 to 65535"
        )));
    }
    Ok(endpoint)
}
