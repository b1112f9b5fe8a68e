//! What an operator types: the same shape in the TOML file and on the control socket.
//!
//! Every leaf is a plain string or number, so that [`validate`](super::validate) can report every fault
//! of a text at once. Unknown fields are refused by name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod probe;

pub use probe::ProbeSpec;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigSpec {
    /// Sources whose packets to VIP addresses are dropped, as prefixes or addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blocklist: Vec<String>,
    /// What is fixed when the daemon starts; changes take effect with its next start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daemon: Option<DaemonSpec>,
    /// The services, each as `[[service]]`.
    #[serde(rename = "service", skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceSpec>,
}

/// What is fixed when the daemon starts: `[daemon]`. Every field has a default; command-line flags win.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DaemonSpec {
    /// Interfaces to attach to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
    /// `auto` (default: native, or generic with a warning), `native` or `generic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xdp_mode: Option<String>,
    /// Seed of the flow hash, equal on all balancers of a fleet; default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_seed: Option<u64>,
    /// `pass` (default) or `drop`: packets to a VIP address on which no service listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmatched: Option<String>,
    /// Where outer headers of tunnels come from: a prefix, or an address, per IP version; default the address
    /// that the kernel would send from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tunnel_sources: Vec<String>,
    /// Where aliases for probes `via = "vip"` are taken from: a prefix per IP version that nobody else uses; default
    /// `198.19.0.0/16` and `fdb3:5e0c:97d2:1::/64`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probe_aliases: Vec<String>,
    /// UDP port that `gue` backends listen on; default 6080.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gue_port: Option<u32>,
    /// The source ports of mode `snat`, as `[daemon.snat]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snat: Option<SnatSpec>,
    /// Flows remembered per IP version; default 262,144. At most 2^24.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_flows: Option<u32>,
    /// Slots of all lookup tables together, old and new during a change; default 2^21. At most 2^28.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_slots: Option<u32>,
    /// Backends of all services together; default 4,096. At most 2^20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_backends: Option<u32>,
    /// VIPs per IP version, one more for each address; default 4,096. At most 2^20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_vips: Option<u32>,
    /// Sources per IP version whose packets are counted against a limit; default 65,536. At most 2^24.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_sources: Option<u32>,
    /// Group whose members may change things; default `lb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Group whose members may only read; default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_group: Option<String>,
    /// Whether probes of type `exec` may run commands on this host; default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_exec_probes: bool,
    /// Who runs them; default `nobody`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_user: Option<String>,
}

/// Source ports and addresses of mode `snat`, and how long a flow keeps its own: `[daemon.snat]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnatSpec {
    /// `FIRST-LAST`; default `10000-32767`. Each backend has all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<String>,
    /// Where packets come from: a prefix, or an address, per IP version; default the address that the kernel would
    /// send from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// How long an established TCP connection may be idle and keep its port; default `124m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub established: Option<String>,
    /// The same for one that is partially open or closing; default `4m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transitory: Option<String>,
    /// The same for UDP; default `2m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<String>,
}

/// One service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// The name, unique.
    pub name: String,
    /// `ADDRESS:PORT/PROTOCOL`, at least one.
    pub vips: Vec<String>,
    /// `l2` (default), `nat`, `snat`, `ipip`, `gue` or `local`: the mode of backends that do not name their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// `"auto"` (default) or a table size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_slots: Option<TableSlotsSpec>,
    /// How a new flow gets its slot: `maglev` (default) by the hash of its 5-tuple, `source-hash` by that of its source
    /// address, `random`, `round-robin`: on each CPU one slot after the other, or `least-connections`: of two by its hash the
    /// one whose backend has fewer flows for its weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// Packets in a second that one source (IPv4 address or IPv6 /64) may send; absent: as many as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_rate: Option<u32>,
    /// Packets that one source may send at once; as many as `source_rate` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_burst: Option<u32>,
    /// How backends are probed; absent: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeSpec>,
    /// So many ordinary backends must be able to serve, or fallback backends serve too; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_healthy: Option<u32>,
    /// So many per cent of the ordinary backends must not be down, or health is ignored; default 0: it never is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panic_threshold: Option<u32>,
    /// Which flows are remembered, so that they stay when their slot moves: `on-demand` (default), `always`, `off`; with
    /// algorithms `random`, `round-robin` and `least-connections` `always` alone, their default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
    /// How long flows of a slot are remembered before it moves; default `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learn_for: Option<String>,
    /// At most so many per cent of the slots move at once between backends that go on serving; default 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_step: Option<u32>,
    /// How long the share of a backend that begins to serve grows; default `0s`: it has all of it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<String>,
    /// What the weights of the backends follow, as `[service.dynamic_weights]`; absent: they are as configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic_weights: Option<DynamicWeightsSpec>,
    /// What QUIC connection ids that name a backend look like, each configuration as `[[service.quic_lb]]`; without
    /// any, connection ids are not read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quic_lb: Vec<QuicConfigSpec>,
    /// The backends, each as `[[service.backend]]`.
    #[serde(default, rename = "backend", skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<BackendSpec>,
}

/// How slots move, wherever it was typed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MovesSpec<'a> {
    pub(crate) tracking: Option<&'a str>,
    pub(crate) learn_for: Option<&'a str>,
    pub(crate) max_step: Option<u32>,
    pub(crate) slow_start: Option<&'a str>,
}

impl ServiceSpec {
    pub(crate) fn moves(&self) -> MovesSpec<'_> {
        MovesSpec {
            tracking: self.tracking.as_deref(),
            learn_for: self.learn_for.as_deref(),
            max_step: self.max_step,
            slow_start: self.slow_start.as_deref(),
        }
    }
}

/// `"auto"` or a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected \"auto\" or a number of slots")]
pub enum TableSlotsSpec {
    /// A word: only `auto` means something.
    Word(String),
    /// A number of slots.
    Number(u32),
}

/// One backend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackendSpec {
    /// `ADDRESS:PORT`, unique in its service.
    pub address: String,
    /// 1 (default) to 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// As the service's, which it is if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// `up` (default), `drain` or `down`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// `ordinary` (default), or `fallback`: takes new flows only while too few ordinary ones can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What QUIC connection ids call it, in hexadecimal digits; unique in its service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_ids: Vec<String>,
}

/// Weights that follow how backends do, around those that are configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DynamicWeightsSpec {
    /// Whether they follow how long probes take, beside the median of the service's backends; default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub response_time: bool,
    /// The port of each backend at which an agent says how much it can take, as agents of `HAProxy` do; absent: nobody is
    /// asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_port: Option<u16>,
    /// From one step to the next, and how often agents are asked; default `2s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// A step is at most so many per cent of the weight that is configured; default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
    /// At most so many per cent of it; default 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<u32>,
    /// What changes by no more than so many per cent of it moves nothing; default 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_band: Option<u32>,
}

/// A QUIC-LB configuration (draft-ietf-quic-load-balancers); names as in its YANG model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuicConfigSpec {
    /// 0 to 6: the first three bits of its connection ids.
    pub config_id: u32,
    /// 1 to 15 bytes.
    pub server_id_length: u32,
    /// Whether the first octet of a connection id tells how many follow; default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first_octet_encodes_cid_length: bool,
}
