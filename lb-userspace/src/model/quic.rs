//! Routable QUIC connection ids: what they look like, and the server ids in them (QUIC-LB,
//! draft-ietf-quic-load-balancers).

use std::{collections::BTreeMap, fmt, str::FromStr};

use lb_common::quic::{CONFIGS, MAX_SERVER_ID};
use serde::{Deserialize, Serialize};

use super::ParseError;

const LONGEST: usize = MAX_SERVER_ID as usize;

/// What connection ids call a backend: 1 to 15 bytes, written in hexadecimal digits like `0a0b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ServerId {
    length: u8,
    /// The id, then zeros.
    bytes: [u8; LONGEST],
}

impl ServerId {
    /// The first in their order.
    pub const FIRST: Self = Self {
        length: 1,
        bytes: [0; LONGEST],
    };

    /// The id that `bytes` are; `None` if they are not 1 to 15.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut padded = [0; LONGEST];
        padded.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let length = u8::try_from(bytes.len())
            .ok()
            .filter(|length| *length > 0)?;
        let bytes = padded;
        Some(Self { length, bytes })
    }

    /// Its bytes, 1 to 15.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.length))
            .unwrap_or_default()
    }

    /// How many bytes it has, 1 to 15.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a server id is never empty")]
    pub const fn len(&self) -> u8 {
        self.length
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ServerId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let byte = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).ok()?;
            let is_pair = digits.len() == 2 && digits.chars().all(|c| c.is_ascii_hexdigit());
            u8::from_str_radix(digits, 16).ok().filter(|_| is_pair)
        };
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
        bytes.and_then(|bytes| Self::new(&bytes)).ok_or_else(|| {
            ParseError::new(format!(
                "`{text}` is not a server id: write 1 to {MAX_SERVER_ID} bytes, two hexadecimal digits each, for example 0a0b"
            ))
        })
    }
}

impl TryFrom<String> for ServerId {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<ServerId> for String {
    fn from(id: ServerId) -> Self {
        id.to_string()
    }
}

/// Which configuration a connection id is of: 0 to 6, its first three bits. The seventh value is that of ids that
/// name no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u32", try_from = "u32")]
pub struct ConfigId(u8);

impl ConfigId {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0 as u32
    }
}

impl TryFrom<u32> for ConfigId {
    type Error = ParseError;

    fn try_from(id: u32) -> Result<Self, ParseError> {
        let fits = u8::try_from(id).ok().filter(|_| id < CONFIGS);
        fits.map(Self).ok_or_else(|| {
            ParseError::new(format!(
                "config id {id} is out of range: write 0 to {} (connection ids of config 7 name no server)",
                CONFIGS - 1
            ))
        })
    }
}

impl From<ConfigId> for u32 {
    fn from(id: ConfigId) -> Self {
        id.get()
    }
}

/// How many bytes of a connection id are the server id: 1 to 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u32", try_from = "u32")]
pub struct ServerIdLength(u8);

impl ServerIdLength {
    /// The number of bytes.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u32> for ServerIdLength {
    type Error = ParseError;

    fn try_from(length: u32) -> Result<Self, ParseError> {
        let fits = u8::try_from(length).ok();
        let fits = fits.filter(|_| (1..=MAX_SERVER_ID).contains(&length));
        fits.map(Self).ok_or_else(|| {
            ParseError::new(format!(
                "a server id of {length} bytes is not possible: write 1 to {MAX_SERVER_ID}"
            ))
        })
    }
}

impl From<ServerIdLength> for u32 {
    fn from(length: ServerIdLength) -> Self {
        Self::from(length.0)
    }
}

/// What the connection ids of one configuration look like. They are not encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuicConfig {
    /// Bytes of the server id, after the first octet; at least 4 of nonce follow.
    pub server_id_length: ServerIdLength,
    /// Whether the five low bits of the first octet tell how many bytes follow it.
    pub first_octet_encodes_cid_length: bool,
}

/// The configurations in use at once: more than one while servers change from one to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "ById", from = "ById")]
pub struct QuicLb([Option<QuicConfig>; CONFIGS as usize]);

type ById = BTreeMap<ConfigId, QuicConfig>;

impl QuicLb {
    /// The configurations, by number.
    pub fn configs(&self) -> impl Iterator<Item = (ConfigId, QuicConfig)> {
        let numbered = (0..).map(ConfigId).zip(self.0);
        numbered.filter_map(|(id, config)| Some((id, config?)))
    }

    /// Whether there are none: connection ids are not read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.configs().next().is_none()
    }

    /// Whether connection ids of any configuration may hold `id`.
    #[must_use]
    pub fn may_hold(&self, id: ServerId) -> bool {
        self.configs()
            .any(|(_, config)| config.server_id_length.get() == id.len())
    }
}

impl FromIterator<(ConfigId, QuicConfig)> for QuicLb {
    fn from_iter<T: IntoIterator<Item = (ConfigId, QuicConfig)>>(configs: T) -> Self {
        let mut all = Self::default();
        for (ConfigId(id), config) in configs {
            if let Some(place) = all.0.get_mut(usize::from(id)) {
                *place = Some(config);
            }
        }
        all
    }
}

impl From<ById> for QuicLb {
    fn from(configs: ById) -> Self {
        configs.into_iter().collect()
    }
}

impl From<QuicLb> for ById {
    fn from(quic_lb: QuicLb) -> Self {
        quic_lb.configs().collect()
    }
}
