//! `lbctl service`: what clients address.

use clap::{ArgGroup, Args, Subcommand};

use super::argument;
use crate::{
    config::spec::{ProbeSpec, QuicConfigSpec, ServiceSpec, TableSlotsSpec},
    control::protocol::{Call, NoParams, ServiceRef, ServiceRemove, ServiceUpdate},
};

#[derive(Debug, Subcommand)]
pub(super) enum ServiceCommand {
    /// Add a service
    Add(Add),
    /// Change the parts that are given
    Update(Update),
    /// Remove a service and its backends
    Remove {
        /// Its name
        #[arg(value_parser = argument::service_name)]
        name: String,
        /// Also while it has backends that are up
        #[arg(long)]
        force: bool,
    },
    /// One service as configured, as it stands in a file
    Get {
        /// Its name
        #[arg(value_parser = argument::service_name)]
        name: String,
    },
    /// All services
    List,
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// A new name
    #[arg(value_parser = argument::service_name)]
    name: String,
    #[arg(
        help = "What clients address, like 192.0.2.10:443/tcp or [2001:db8::10]:53/udp; \
        may be given several times"
    )]
    #[arg(long = "vip", required = true, value_name = "VIP", value_delimiter = ',', value_parser = argument::vip)]
    vips: Vec<String>,
    /// How packets reach backends that do not name their own mode [default: l2]
    #[arg(long, value_parser = argument::MODES)]
    mode: Option<String>,
    /// Size of the lookup table: auto, or a number of slots [default: auto]
    #[arg(long, value_name = "SLOTS", value_parser = argument::table_slots)]
    table_slots: Option<TableSlotsSpec>,
    #[arg(
        help = "QUIC-LB: connection ids name the backend; the config id and the length of its server ids, like 0:2, \
        with :length behind it if connection ids tell their length; may be given several times"
    )]
    #[arg(long, value_name = "CONFIG:BYTES", value_delimiter = ',', value_parser = argument::quic_config)]
    quic_lb: Vec<QuicConfigSpec>,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    probe: Probe,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("changes").required(true).multiple(true)
    .args(["vips", "mode", "table_slots", "source_rate", "source_burst", "no_source_rate", "kind", "no_probe", "quic_lb", "no_quic_lb"]))]
pub(super) struct Update {
    /// Its name
    #[arg(value_parser = argument::service_name)]
    name: String,
    /// Replaces all VIPs; may be given several times
    #[arg(long = "vip", value_name = "VIP", value_delimiter = ',', value_parser = argument::vip)]
    vips: Option<Vec<String>>,
    /// Replaces the mode of backends added from now on
    #[arg(long, value_parser = argument::MODES)]
    mode: Option<String>,
    /// Replaces the size of the lookup table
    #[arg(long, value_name = "SLOTS", value_parser = argument::table_slots)]
    table_slots: Option<TableSlotsSpec>,
    #[command(flatten)]
    limit: Limit,
    /// Take the limit of each source away
    #[arg(long, conflicts_with = "source_rate")]
    no_source_rate: bool,
    /// Replaces the QUIC-LB configurations; may be given several times
    #[arg(long, value_name = "CONFIG:BYTES", value_delimiter = ',', value_parser = argument::quic_config)]
    quic_lb: Option<Vec<QuicConfigSpec>>,
    /// Take the QUIC-LB configurations away: connection ids are not read
    #[arg(long, conflicts_with = "quic_lb")]
    no_quic_lb: bool,
    #[command(flatten)]
    probe: Probe,
    /// Take the probe away: backends are taken to be up
    #[arg(long, conflicts_with = "kind")]
    no_probe: bool,
}

/// How much each source may send.
#[derive(Debug, Args)]
struct Limit {
    /// Packets in a second that one source (an IPv4 address, an IPv6 /64) may send
    #[arg(long, value_name = "PACKETS")]
    source_rate: Option<u32>,
    /// Packets that one source may send at once, after a pause [default: as many as in a second]
    #[arg(long, requires = "source_rate", value_name = "PACKETS")]
    source_burst: Option<u32>,
}

/// How backends are probed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Probe")]
struct Probe {
    /// Probe the backends by a TCP handshake or an HTTP request
    #[arg(long = "probe", value_parser = ["tcp", "http"])]
    kind: Option<String>,
    /// Probe the backend's own address, or the VIP on it, as clients' packets go [default: direct]
    #[arg(long = "probe-via", requires = "kind", value_parser = ["direct", "vip"])]
    via: Option<String>,
    /// The port to try, if not the backend's own
    #[arg(long = "probe-port", requires = "kind", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// For http: what to ask for [default: /]
    #[arg(long = "probe-path", requires = "kind", value_name = "PATH")]
    path: Option<String>,
    /// For http: the Host header [default: the backend's address]
    #[arg(long = "probe-host", requires = "kind", value_name = "HOST")]
    host: Option<String>,
    /// For http: the status codes that are good, like 200 or 200-399 [default: 200-299]
    #[arg(long = "probe-status", requires = "kind", value_name = "RANGE")]
    status: Option<String>,
    /// From one probe to the next [default: 2s]
    #[arg(long = "probe-interval", requires = "kind", value_name = "TIME", value_parser = argument::duration)]
    interval: Option<String>,
    /// How long a probe may take [default: 1s]
    #[arg(long = "probe-timeout", requires = "kind", value_name = "TIME", value_parser = argument::duration)]
    timeout: Option<String>,
    /// Successes in a row that make a backend healthy [default: 2]
    #[arg(long, requires = "kind", value_name = "COUNT")]
    rise: Option<u32>,
    /// Failures in a row that make it unhealthy [default: 3]
    #[arg(long, requires = "kind", value_name = "COUNT")]
    fall: Option<u32>,
    /// How much an interval may be shortened at random [default: 10]
    #[arg(long = "probe-jitter", requires = "kind", value_name = "PERCENT")]
    jitter: Option<u32>,
}

impl ServiceCommand {
    pub(super) fn call(self) -> Call {
        match self {
            Self::Add(add) => Call::ServiceAdd(ServiceSpec {
                name: add.name,
                vips: add.vips,
                mode: add.mode,
                table_slots: add.table_slots,
                source_rate: add.limit.source_rate,
                source_burst: add.limit.source_burst,
                probe: add.probe.spec(),
                quic_lb: add.quic_lb,
                backends: Vec::new(),
            }),
            Self::Update(update) => Call::ServiceUpdate(ServiceUpdate {
                name: update.name,
                vips: update.vips,
                mode: update.mode,
                table_slots: update.table_slots,
                probe: update.probe.spec(),
                no_probe: update.no_probe,
                quic_lb: update.quic_lb.or_else(|| update.no_quic_lb.then(Vec::new)),
                source_rate: update.limit.source_rate,
                source_burst: update.limit.source_burst,
                no_source_rate: update.no_source_rate,
            }),
            Self::Remove { name, force } => Call::ServiceRemove(ServiceRemove { name, force }),
            Self::Get { name } => Call::ServiceGet(ServiceRef { name }),
            Self::List => Call::ServiceList(NoParams {}),
        }
    }
}

impl Probe {
    fn spec(self) -> Option<ProbeSpec> {
        Some(ProbeSpec {
            kind: self.kind?,
            via: self.via,
            port: self.port,
            path: self.path,
            host: self.host,
            status: self.status,
            interval: self.interval,
            timeout: self.timeout,
            rise: self.rise,
            fall: self.fall,
            jitter_percent: self.jitter,
        })
    }
}
