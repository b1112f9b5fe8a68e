//! What a probe tries: the kinds of probe, each with what it asks for and what it expects.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{ParseError, Protocol};

/// What is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ProbeKind {
    /// A TCP handshake.
    Tcp,
    /// A request by HTTP/1.1, in the clear or by TLS.
    Http(HttpCheck),
    /// A datagram.
    Udp(UdpCheck),
    /// A DNS query by UDP.
    Dns(DnsCheck),
    /// An ICMP echo request.
    Icmp,
    /// The health service of gRPC, `grpc.health.v1`.
    Grpc(GrpcCheck),
    /// A command on this host.
    Exec(ExecCheck),
}

impl ProbeKind {
    /// What an operator writes as its `type`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http(HttpCheck { tls: None, .. }) => "http",
            Self::Http(HttpCheck { tls: Some(_), .. }) => "https",
            Self::Udp(_) => "udp",
            Self::Dns(_) => "dns",
            Self::Icmp => "icmp",
            Self::Grpc(_) => "grpc",
            Self::Exec(_) => "exec",
        }
    }

    /// What it speaks to a port of the backend; nothing of the kind if it sends ICMP, or runs a command.
    #[must_use]
    pub const fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Tcp | Self::Http(_) | Self::Grpc(_) => Some(Protocol::Tcp),
            Self::Udp(_) | Self::Dns(_) => Some(Protocol::Udp),
            Self::Icmp | Self::Exec(_) => None,
        }
    }

    /// Whether it speaks to a port of the backend. A command is told the port, and does what it likes.
    #[must_use]
    pub const fn has_port(&self) -> bool {
        self.protocol().is_some()
    }
}

/// A request by HTTP/1.1 (RFC 9110); redirects are not followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCheck {
    /// What is done.
    #[serde(default)]
    pub method: Method,
    /// The request target; begins with `/`.
    pub path: String,
    /// The `Host` header; the backend's address if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The status codes that count as success.
    pub status: StatusRange,
    /// A text that the first 64 KiB of the answer's body must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// By TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

impl HttpCheck {
    /// `GET path` in the clear, which succeeds with any status of the 200s.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::Get,
            path: path.into(),
            host: None,
            status: StatusRange { from: 200, to: 299 },
            body: None,
            tls: None,
        }
    }
}

/// The methods that change nothing on a server (RFC 9110 section 9.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// The resource.
    #[default]
    Get,
    /// Its head alone.
    Head,
    /// What may be done with it.
    Options,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 3] = [Self::Get, Self::Head, Self::Options];
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
        })
    }
}

/// A range of HTTP status codes, both ends included; within 100 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRange {
    /// The lowest.
    pub from: u16,
    /// The highest.
    pub to: u16,
}

impl StatusRange {
    /// Whether `status` is in the range.
    #[must_use]
    pub const fn contains(self, status: u16) -> bool {
        self.from <= status && status <= self.to
    }
}

/// TLS 1.2 or 1.3 to a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Whom the certificate must be for, and who is asked for (SNI, RFC 6066 section 3); without, the name in the
    /// `Host` header, else the backend's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// Who must have signed the certificate.
    #[serde(default)]
    pub trust: Trust,
}

/// Who must have signed a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Anybody whom this host trusts.
    #[default]
    System,
    /// One of those in a file of PEM certificates.
    File(PathBuf),
    /// Whoever: the certificate is not looked at.
    Anybody,
}

/// A datagram, and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UdpCheck {
    /// What is sent.
    pub send: Payload,
    /// How the answer must begin. Without, none is needed: it is enough that nobody says, by ICMP, that the port or
    /// the host cannot be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Payload>,
}

/// Bytes as people write them: visible ASCII and spaces stand for themselves, `\xNN` for any byte, `\\` for a
/// backslash. 1 to [`Payload::MAX_BYTES`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Payload(Vec<u8>);

impl Payload {
    /// The most bytes: what IPv6 carries in one piece everywhere (RFC 8200 section 5), without headers.
    pub const MAX_BYTES: usize = 1_232;

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// `bytes`, if there are 1 to [`Payload::MAX_BYTES`].
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (1..=Self::MAX_BYTES)
            .contains(&bytes.len())
            .then_some(Self(bytes))
    }
}

impl FromStr for Payload {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let wrong = || {
            ParseError::new(format!(
                "{text:?} are not bytes to send: write 1 to {} of visible ASCII, `\\xNN` for any other byte and `\\\\` for a backslash; in TOML in single quotes, like 'ping\\x00'",
                Self::MAX_BYTES
            ))
        };
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match (byte, byte == b'\\') {
                (_, true) => match rest.next() {
                    Some(b'\\') => b'\\',
                    Some(b'x') => {
                        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                        let pair = (digit(rest.next()), digit(rest.next()));
                        let (Some(high), Some(low)) = pair else {
                            return Err(wrong());
                        };
                        u8::try_from(high * 16 + low).map_err(|_| wrong())?
                    }
                    Some(_) | None => return Err(wrong()),
                },
                (b' '..=b'~', false) => byte,
                (_, false) => return Err(wrong()),
            });
        }
        Self::new(bytes).ok_or_else(wrong)
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0 {
            match byte {
                b'\\' => f.write_str("\\\\")?,
                b' '..=b'~' => write!(f, "{}", char::from(*byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Payload {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Payload> for String {
    fn from(payload: Payload) -> Self {
        payload.to_string()
    }
}

/// A DNS query by UDP (RFC 1035), whose answer must be without error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsCheck {
    /// The name that is asked for.
    pub query: super::DnsName,
    /// What of it.
    pub record: super::RecordType,
    /// So many records must be in the answer at least; 0 to 100.
    pub min_answers: u16,
}

/// A call of `grpc.health.v1.Health/Check` by HTTP/2, whose answer must be `SERVING`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrpcCheck {
    /// The service that is asked about; without, the server as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The authority; the backend's address if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// By TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// A command on this host, which must end with exit code 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecCheck {
    /// The program, by its whole path, and its arguments. No shell reads them.
    pub command: Vec<String>,
}
