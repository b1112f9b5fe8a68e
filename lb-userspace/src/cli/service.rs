//! `lbctl service`: what clients address.

use clap::{ArgGroup, Args, Subcommand};

use super::{argument, probe::Probe, weights::Weights};
use crate::{
    config::spec::{QuicConfigSpec, ServiceSpec, TableSlotsSpec},
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
    /// How a new flow gets its slot [default: maglev]
    #[arg(long, value_parser = argument::ALGORITHMS)]
    algorithm: Option<String>,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    thresholds: Thresholds,
    #[command(flatten)]
    moves: Moves,
    #[command(flatten)]
    weights: Weights,
    #[command(flatten)]
    probe: Probe,
}

#[expect(clippy::struct_excessive_bools, reason = "flags, each by itself")]
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("changes").required(true).multiple(true)
    .args(["vips", "mode", "table_slots", "algorithm", "source_rate", "source_burst", "no_source_rate", "min_healthy", "panic_threshold", "tracking", "learn_for", "max_step", "slow_start", "response_time", "agent_port", "weight_interval", "weight_step", "weight_ceiling", "weight_dead_band", "no_dynamic_weights", "kind", "no_probe", "quic_lb", "no_quic_lb"]))]
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
    /// Replaces how a new flow gets its slot
    #[arg(long, value_parser = argument::ALGORITHMS)]
    algorithm: Option<String>,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    thresholds: Thresholds,
    #[command(flatten)]
    moves: Moves,
    #[command(flatten)]
    weights: Weights,
    /// Take what weights follow away: they are as configured
    #[arg(long, conflicts_with_all = ["response_time", "agent_port"])]
    no_dynamic_weights: bool,
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

/// How few backends are too few.
#[derive(Debug, Args)]
struct Thresholds {
    /// So many ordinary backends must be able to serve, or fallback ones serve too [default: 1]
    #[arg(long, value_name = "COUNT")]
    min_healthy: Option<u32>,
    /// So many per cent of the ordinary backends must not be down, or health is ignored [default: 0]
    #[arg(long, value_name = "PERCENT")]
    panic_threshold: Option<u32>,
}

/// How slots move from one backend to another.
#[derive(Debug, Args)]
struct Moves {
    /// Which flows are remembered, so that they stay when their slot moves [default: on-demand]
    #[arg(long, value_parser = ["on-demand", "always", "off"])]
    tracking: Option<String>,
    /// How long flows of a slot are remembered before it moves [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = argument::duration)]
    learn_for: Option<String>,
    /// At most so many per cent of the slots move at once between backends that go on serving [default: 5]
    #[arg(long, value_name = "PERCENT")]
    max_step: Option<u32>,
    /// How long the share of a backend that begins to serve grows [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = argument::duration)]
    slow_start: Option<String>,
}

/// How much each source may send.
#[derive(Debug, Args)]
struct Limit {
    /// Packets in a second that one source (an IPv4 address, an IPv6 /64) may send
    #[arg(long, value_name = "PACKETS", value_parser = argument::packets)]
    source_rate: Option<u32>,
    /// Packets that one source may send at once, after a pause [default: as many as in a second]
    #[arg(long, requires = "source_rate", value_name = "PACKETS", value_parser = argument::packets)]
    source_burst: Option<u32>,
}

impl ServiceCommand {
    pub(super) fn call(self) -> Call {
        match self {
            Self::Add(add) => Call::ServiceAdd(ServiceSpec {
                name: add.name,
                vips: add.vips,
                mode: add.mode,
                table_slots: add.table_slots,
                algorithm: add.algorithm,
                source_rate: add.limit.source_rate,
                source_burst: add.limit.source_burst,
                probe: add.probe.spec(),
                min_healthy: add.thresholds.min_healthy,
                panic_threshold: add.thresholds.panic_threshold,
                tracking: add.moves.tracking,
                learn_for: add.moves.learn_for,
                max_step: add.moves.max_step,
                slow_start: add.moves.slow_start,
                dynamic_weights: add.weights.spec(),
                quic_lb: add.quic_lb,
                backends: Vec::new(),
            }),
            Self::Update(update) => Call::ServiceUpdate(ServiceUpdate {
                name: update.name,
                vips: update.vips,
                mode: update.mode,
                table_slots: update.table_slots,
                algorithm: update.algorithm,
                probe: update.probe.spec(),
                no_probe: update.no_probe,
                min_healthy: update.thresholds.min_healthy,
                panic_threshold: update.thresholds.panic_threshold,
                tracking: update.moves.tracking,
                learn_for: update.moves.learn_for,
                max_step: update.moves.max_step,
                slow_start: update.moves.slow_start,
                dynamic_weights: update.weights.spec(),
                no_dynamic_weights: update.no_dynamic_weights,
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
