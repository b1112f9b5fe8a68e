//! The names by which both sides find maps, programs and globals: the only place where they are written
//! as strings. In the program, each is the name of the static or function itself; a test compares.

/// Version of everything in this crate that both sides must agree on. Raised with every change of a
/// layout or a meaning; of maps pinned by an older version, [`heritage`](crate::heritage) says what is taken over. The
/// feature `next-abi` raises it once more, for tests of the change from one version to the next.
pub const ABI_VERSION: u32 = if cfg!(feature = "next-abi") { 7 } else { 6 };

/// The program that balances, for frames in one buffer.
pub const BALANCER: &str = "balancer";
/// The same for jumbo frames: kernels from 5.18 on load it.
pub const BALANCER_FRAGS: &str = "balancer_frags";

/// The program on the interface of probes, for frames in one buffer.
pub const PROBE: &str = "probe";
/// The same for jumbo frames: kernels from 5.18 on load it, as they do the other.
pub const PROBE_FRAGS: &str = "probe_frags";

/// [`Settings`](crate::settings::Settings), a global in `.rodata`.
pub const SETTINGS: &str = "SETTINGS";

/// [`Bucket`](crate::placement::Bucket), IPv4: an mmapable array.
pub const VIP_BUCKETS_V4: &str = "VIP_BUCKETS_V4";
/// [`Bucket`](crate::placement::Bucket), IPv6: an mmapable array.
pub const VIP_BUCKETS_V6: &str = "VIP_BUCKETS_V6";
/// [`Place`](crate::placement::Place), IPv4: an mmapable array.
pub const VIPS_V4: &str = "VIPS_V4";
/// [`Place`](crate::placement::Place), IPv6: an mmapable array.
pub const VIPS_V6: &str = "VIPS_V6";
/// [`Prefix`](crate::prefix::Prefix) of a VIP -> the same, IPv4.
pub const VIP_PREFIXES_V4: &str = "VIP_PREFIXES_V4";
/// [`Prefix`](crate::prefix::Prefix) of a VIP -> the same, IPv6.
pub const VIP_PREFIXES_V6: &str = "VIP_PREFIXES_V6";
/// The arena of lookup tables: an mmapable array of [`Element`](crate::table::Element).
pub const TABLES: &str = "TABLES";
/// `u32`, the next [`turn`](crate::table::turn) of a service, per CPU, by the service's number modulo
/// [`TURNS`](crate::table::TURNS).
pub const TURNS: &str = "TURNS";
/// [`Backend`](crate::backend::Backend) by [`BackendId`](crate::backend::BackendId).
pub const BACKENDS: &str = "BACKENDS";
/// [`ServerIdKey`](crate::quic::ServerIdKey) -> [`Server`](crate::quic::Server).
pub const SERVER_IDS: &str = "SERVER_IDS";
/// [`FlowKey`](crate::flow::FlowKey) -> [`Flow`](crate::flow::Flow), of one packet so far, IPv4.
pub const FRESH_V4: &str = "FRESH_V4";
/// [`FlowKey`](crate::flow::FlowKey) -> [`Flow`](crate::flow::Flow), of one packet so far, IPv6.
pub const FRESH_V6: &str = "FRESH_V6";
/// [`FlowKey`](crate::flow::FlowKey) -> [`Flow`](crate::flow::Flow), IPv4.
pub const FLOWS_V4: &str = "FLOWS_V4";
/// [`FlowKey`](crate::flow::FlowKey) -> [`Flow`](crate::flow::Flow), IPv6.
pub const FLOWS_V6: &str = "FLOWS_V6";
/// [`FlowKey`](crate::flow::FlowKey) -> [`Reply`](crate::flow::Reply), IPv4.
pub const REPLIES_V4: &str = "REPLIES_V4";
/// [`FlowKey`](crate::flow::FlowKey) -> [`Reply`](crate::flow::Reply), IPv6.
pub const REPLIES_V6: &str = "REPLIES_V6";
/// [`FragmentKey`](crate::fragment::FragmentKey) -> [`FragmentPorts`](crate::fragment::FragmentPorts), IPv4.
pub const FRAGMENTS_V4: &str = "FRAGMENTS_V4";
/// [`FragmentKey`](crate::fragment::FragmentKey) -> [`FragmentPorts`](crate::fragment::FragmentPorts), IPv6.
pub const FRAGMENTS_V6: &str = "FRAGMENTS_V6";
/// [`Traffic`](crate::traffic::Traffic) by [`BackendId`](crate::backend::BackendId), per CPU.
pub const TRAFFIC: &str = "TRAFFIC";
/// [`Load`](crate::load::Load) by [`BackendId`](crate::backend::BackendId).
pub const LOADS: &str = "LOADS";
/// `u64` packets, per CPU, by ledger and outcome: [`LEDGER_CELLS`](crate::outcome::LEDGER_CELLS) for each of
/// [`Interface::LEDGERS`](crate::interface::Interface::LEDGERS).
pub const LEDGER: &str = "LEDGER";
/// [`Interface`](crate::interface::Interface) by [`element`](crate::interface::Interface::element).
pub const INTERFACES: &str = "INTERFACES";
/// Interfaces that packets may be redirected to, by interface index.
pub const DEVICES: &str = "DEVICES";
/// [`VlanDevice`](crate::vlan::VlanDevice) by interface index.
pub const VLANS: &str = "VLANS";
/// [`Budget`](crate::budget::Budget) for ICMP errors, one element per CPU.
pub const ERROR_BUDGET: &str = "ERROR_BUDGET";
/// Sources whose packets to VIPs are dropped, by longest [`Prefix`](crate::prefix::Prefix), IPv4.
pub const BLOCKLIST_V4: &str = "BLOCKLIST_V4";
/// Sources whose packets to VIPs are dropped, by longest [`Prefix`](crate::prefix::Prefix), IPv6.
pub const BLOCKLIST_V6: &str = "BLOCKLIST_V6";
/// [`SourceKey`](crate::source::SourceKey) -> [`Budget`](crate::budget::Budget) of packets, IPv4.
pub const SOURCES_V4: &str = "SOURCES_V4";
/// [`SourceKey`](crate::source::SourceKey) -> [`Budget`](crate::budget::Budget) of packets, IPv6.
pub const SOURCES_V6: &str = "SOURCES_V6";

/// [`Translation`](crate::translation::Translation), IPv4, one element per CPU.
pub const TRANSLATIONS_V4: &str = "TRANSLATIONS_V4";
/// [`Translation`](crate::translation::Translation), IPv6, one element per CPU.
pub const TRANSLATIONS_V6: &str = "TRANSLATIONS_V6";

/// Alias -> [`Path`](crate::path::Path), IPv4.
pub const PATHS_V4: &str = "PATHS_V4";
/// Alias -> [`Path`](crate::path::Path), IPv6.
pub const PATHS_V6: &str = "PATHS_V6";

/// Every map, in the order in which they are pinned.
pub const MAPS: [&str; 33] = [
    VIP_BUCKETS_V4,
    VIP_BUCKETS_V6,
    VIPS_V4,
    VIPS_V6,
    VIP_PREFIXES_V4,
    VIP_PREFIXES_V6,
    TABLES,
    TURNS,
    BACKENDS,
    SERVER_IDS,
    FRESH_V4,
    FRESH_V6,
    FLOWS_V4,
    FLOWS_V6,
    REPLIES_V4,
    REPLIES_V6,
    FRAGMENTS_V4,
    FRAGMENTS_V6,
    TRAFFIC,
    LOADS,
    LEDGER,
    INTERFACES,
    DEVICES,
    VLANS,
    ERROR_BUDGET,
    TRANSLATIONS_V4,
    TRANSLATIONS_V6,
    BLOCKLIST_V4,
    BLOCKLIST_V6,
    SOURCES_V4,
    SOURCES_V6,
    PATHS_V4,
    PATHS_V6,
];

/// The program that strips tunnels off, for backends.
pub const DECAP: &str = "decap";
/// The same for jumbo frames: kernels from 5.18 on load it.
pub const DECAP_FRAGS: &str = "decap_frags";

/// [`DecapSettings`](crate::decap::DecapSettings), a global in `.rodata`.
pub const DECAP_SETTINGS: &str = "DECAP_SETTINGS";

/// Who may tunnel, by longest [`Prefix`](crate::prefix::Prefix), IPv4.
pub const DECAP_SOURCES_V4: &str = "DECAP_SOURCES_V4";
/// Who may tunnel, by longest [`Prefix`](crate::prefix::Prefix), IPv6.
pub const DECAP_SOURCES_V6: &str = "DECAP_SOURCES_V6";
/// Addresses at which tunnels end, IPv4.
pub const DECAP_DESTINATIONS_V4: &str = "DECAP_DESTINATIONS_V4";
/// Addresses at which tunnels end, IPv6.
pub const DECAP_DESTINATIONS_V6: &str = "DECAP_DESTINATIONS_V6";
/// What packets inside tunnels may be for, by longest [`Prefix`](crate::prefix::Prefix), IPv4.
pub const DECAP_VIPS_V4: &str = "DECAP_VIPS_V4";
/// What packets inside tunnels may be for, by longest [`Prefix`](crate::prefix::Prefix), IPv6.
pub const DECAP_VIPS_V6: &str = "DECAP_VIPS_V6";

/// Every map that only [`DECAP`] uses; the object holds them beside [`MAPS`], of which it uses [`SHARED_MAPS`].
pub const DECAP_MAPS: [&str; 6] = [
    DECAP_SOURCES_V4,
    DECAP_SOURCES_V6,
    DECAP_DESTINATIONS_V4,
    DECAP_DESTINATIONS_V6,
    DECAP_VIPS_V4,
    DECAP_VIPS_V6,
];

/// The maps that both programs count in. Loaded on its own, each has its own.
pub const SHARED_MAPS: [&str; 2] = [LEDGER, INTERFACES];
