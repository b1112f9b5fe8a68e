//! `explain` and `flows.count`: what would become of a packet, and how many flows each backend has.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::Protocol;

/// Which packet is asked about: one made from its 5-tuple (`source` and `destination` at least), or `packet` as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Explain {
    /// `ADDRESS:PORT` that it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// `ADDRESS:PORT` that it is for, of the same IP version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// `tcp` (default), `udp` or `sctp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Of TCP: whether it is the first of a connection (default) or a later one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<TcpFlags>,
    /// TTL or hop limit; 64 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop_limit: Option<u8>,
    /// Bytes of the whole frame; as few as its headers take if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u16>,
    /// A whole Ethernet frame in hexadecimal digits, in place of all of the above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet: Option<String>,
    /// The interface that it comes in by, of those that lbd is attached to; the first one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

/// Where in a TCP connection a packet stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TcpFlags {
    /// Its first packet: SYN.
    #[default]
    Syn,
    /// A later one: ACK.
    Ack,
}

/// Answer of `explain`: what the running program does with the packet. Nothing that is live has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// What the kernel is told to do with it.
    pub verdict: Verdict,
    /// The cell of the ledger, like `forward.forwarded`.
    pub outcome: String,
    /// Stage by stage, in their order; the last one decided.
    pub stages: Vec<Stage>,
    /// The service that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// `ADDRESS:PORT` of the backend that it goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// The frame that was tried, in hexadecimal digits.
    pub input: String,
    /// The frame that leaves, or that the host's stack gets if it was changed for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
}

/// What the program answers to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Handed to the host's own stack.
    Pass,
    /// Dropped.
    Drop,
    /// Sent out of the interface that it came in by.
    Tx,
    /// Sent out of another one.
    Redirect,
    /// The program gave no answer that the kernel knows.
    Aborted,
}

/// What one stage found and did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// `parse`, `classify`, `guard`, `select`, `translate`, `rewrite`, `emit` or `reply`.
    pub stage: String,
    /// In words.
    pub what: String,
    /// The same for machines, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Value>,
}

/// A frame, and what stands in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The frame in hexadecimal digits.
    pub frame: String,
    /// Source MAC address.
    pub source_mac: String,
    /// Destination MAC address.
    pub destination_mac: String,
    /// Ids of its VLAN tags, the outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vlans: Vec<u16>,
    /// Its IP header, the outer one of a tunnel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outer: Option<Ends>,
    /// The header inside a tunnel, or that of the packet that an ICMP error is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner: Option<Ends>,
    /// The interface that it leaves by, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

/// Who sends an IP packet, and to whom: `ADDRESS`, or `ADDRESS:PORT` where there are ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ends {
    /// Who sends it.
    pub source: String,
    /// Who it is for.
    pub destination: String,
    /// IANA's number of the protocol in it.
    pub protocol: u8,
}
