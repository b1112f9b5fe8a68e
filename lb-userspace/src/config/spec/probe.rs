//! What an operator types about a probe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeSpec {
    /// `tcp`, `http`, `https`, `udp`, `dns`, `icmp`, `grpc` or `exec`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `direct` (default): to the backend's own address; `vip`: to the VIP, on that backend, as clients' packets go. Not
    /// for `icmp` and `exec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The port to try; if absent the backend's own, or the VIP's. Not for `icmp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// For `http` and `https`: `GET` (default), `HEAD` or `OPTIONS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// For `http` and `https`: the request target, default `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// For `http` and `https` the `Host` header, for `grpc` the authority; default the backend's address, or the VIP's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// For `http` and `https`: the status codes that count as success, `"200"` or `"200-399"`; default `"200-299"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// For `http` and `https`: a text that the first 64 KiB of the answer's body must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// For `grpc`: whether by TLS; default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// For TLS: whom the certificate must be for; default the host, or the backend's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// For TLS: whether the certificate must be good; default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<bool>,
    /// For TLS: a file of PEM certificates, one of which must have signed it; default those that this host trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// For `udp`: what is sent, visible ASCII and `\xNN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<String>,
    /// For `udp`: how the answer must begin; without, it is enough that no ICMP error comes in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// For `dns`: the name that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// For `dns`: `A` (default), `AAAA`, `CNAME`, `MX`, `NS`, `PTR`, `SOA`, `SRV` or `TXT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// For `dns`: so many records must be in the answer; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_answers: Option<u16>,
    /// For `grpc`: the service that is asked about; default the server as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_service: Option<String>,
    /// For `exec`: the program, by its whole path, and its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Like `"2s"` or `"500ms"`; default 2 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// At most the interval; default 1 s, or the interval if that is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Successes in a row that make it up; default 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rise: Option<u32>,
    /// Failures in a row that make it down; default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fall: Option<u32>,
    /// 0 to 50 per cent; default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_percent: Option<u32>,
    /// How long a backend that keeps going down is held down at first, twice as long each time; default 10 s, `"0s"`:
    /// not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_down: Option<String>,
    /// The longest that it is held down, and how long it must have been up to be trusted again; default 5 min.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_down_max: Option<String>,
}
