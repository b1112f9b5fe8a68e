//! From what was typed to values that are valid, or to every fault with its place.
//!
//! Texts are parsed here; what must hold between values is asked of
//! [`desired::rules`](crate::desired::rules), where the same rules hold for changes made one by one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use humantime_serde::re::humantime;

use super::{
    DaemonSettings, Faults, Host, daemon,
    fault::{Found, part},
    snat,
    spec::{
        BackendSpec, ConfigSpec, DynamicWeightsSpec, MovesSpec, ProbeSpec, QuicConfigSpec,
        ServiceSpec, TableSlotsSpec,
    },
};
use crate::{
    desired::{
        Desired,
        rules::{
            Breach, Part, layout_breaches, mode_breach, overlaps, quic_breaches, repeated,
            untimed_breach, via_breaches,
        },
    },
    model::{
        Algorithm, Backend, DynamicWeights, Mode, MovesUpdate, ParseError, Prefix, Probe,
        ProbeKind, QuicLb, Role, ServerId, Service, SourceLimit, TableSlots, Vip, Weight,
    },
};

mod backends;
mod moves;
mod probe;
mod quic;
mod sources;
mod thresholds;
mod totals;
mod ways;
mod weights;

use ways::Places;

pub use super::write::{config_spec_of, spec_of};

/// A whole configuration, valid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `[daemon]`.
    pub daemon: DaemonSettings,
    /// The services.
    pub desired: Desired,
}

/// Why a command is not run.
pub const EXEC_NOT_ALLOWED: &str = "probes of type exec run commands on this host, which only the configuration file can allow: write allow_exec_probes = true in its [daemon], and restart lbd";

/// The longest duration that is taken: a year.
const MAX_DURATION: Duration = Duration::from_hours(365 * 24);

/// Validates a whole configuration for `host`.
///
/// # Errors
/// Every fault.
pub fn config(spec: &ConfigSpec, host: &Host) -> Result<Config, Faults> {
    check(spec, host, Found::default())
}

/// Validates one service; `place` is where it stands, empty if it stands alone.
///
/// # Errors
/// Every fault of it.
pub fn service(spec: &ServiceSpec, place: &str) -> Result<Service, Faults> {
    whole(|found| {
        let draft = draft(spec, place, found);
        clashing_vips(draft.claims, found);
        draft.service
    })
}

/// Validates one backend; `default_mode` is its service's.
///
/// # Errors
/// Every fault of it.
pub fn backend(spec: &BackendSpec, default_mode: Mode, place: &str) -> Result<Backend, Faults> {
    whole(|found| {
        let address = backends::address(spec, place, found);
        backends::read(spec, address, default_mode, place, found)
    })
}

/// Validates one probe.
///
/// # Errors
/// Every fault of it.
pub fn probe(spec: &ProbeSpec, place: &str) -> Result<Probe, Faults> {
    whole(|found| probe::read(spec, place, found))
}

/// Validates the VIPs of one service.
///
/// # Errors
/// Every fault of them.
pub fn vips(texts: &[String], place: &str) -> Result<BTreeSet<Vip>, Faults> {
    whole(|found| {
        let claims = claims(texts, place, found);
        let vips: BTreeSet<Vip> = claims.iter().map(|&(vip, _)| vip).collect();
        for (_, breach) in layout_breaches(&vips, &BTreeMap::new(), TableSlots::Auto, None) {
            found.add(place, breach.to_string());
        }
        clashing_vips(claims, found);
        Some(vips)
    })
}

/// Validates a mode: one of [`Mode::ALL`].
///
/// # Errors
/// It is none.
pub fn mode(text: &str, place: &str) -> Result<Mode, Faults> {
    whole(|found| read_mode(found, place, Some(text), Mode::default()))
}

/// Validates an algorithm: one of [`Algorithm::ALL`].
///
/// # Errors
/// It is none.
pub fn algorithm(text: &str, place: &str) -> Result<Algorithm, Faults> {
    whole(|found| moves::algorithm(Some(text), place, found))
}

/// Validates a role.
///
/// # Errors
/// It is none.
pub fn role(text: &str, place: &str) -> Result<Role, Faults> {
    whole(|found| thresholds::role(Some(text), place, found))
}

/// Validates how slots move.
///
/// # Errors
/// Every fault of it.
pub(crate) fn moves(spec: &MovesSpec<'_>, place: &str) -> Result<MovesUpdate, Faults> {
    whole(|found| Some(moves::read(spec, place, found)))
}

/// Validates what weights follow.
///
/// # Errors
/// Every fault of it.
pub fn dynamic_weights(spec: &DynamicWeightsSpec, place: &str) -> Result<DynamicWeights, Faults> {
    whole(|found| Some(weights::read(spec, place, found)))
}

/// Validates a weight: 1 to 1,000.
///
/// # Errors
/// It is out of range.
pub fn weight(weight: u32, place: &str) -> Result<Weight, Faults> {
    whole(|found| found.keep(place, Weight::try_from(weight)))
}

/// Validates the limit of each source.
///
/// # Errors
/// Rate or burst is out of range, or there is a burst alone.
pub fn source_limit(
    rate: Option<u32>,
    burst: Option<u32>,
    place: &str,
) -> Result<Option<SourceLimit>, Faults> {
    let mut found = Found::default();
    let limit = sources::limit(rate, burst, place, &mut found);
    found.faults().map(|()| limit)
}

/// Validates prefixes of sources; none may contain another.
///
/// # Errors
/// Every fault of them.
pub fn prefixes(texts: &[String], place: &str) -> Result<BTreeSet<Prefix>, Faults> {
    whole(|found| Some(sources::blocklist(texts, place, found)))
}

/// Validates a table's size.
///
/// # Errors
/// There is no such size.
pub fn table_slots(spec: &TableSlotsSpec, place: &str) -> Result<TableSlots, Faults> {
    whole(|found| found.keep(place, read_table_slots(spec)))
}

/// Validates QUIC-LB configurations; none take them away.
///
/// # Errors
/// Every fault of them.
pub fn quic_lb(specs: &[QuicConfigSpec], place: &str) -> Result<QuicLb, Faults> {
    whole(|found| Some(quic::read(specs, place, found)))
}

/// Validates the QUIC server ids of one backend.
///
/// # Errors
/// Every fault of them.
pub fn server_ids(texts: &[String], place: &str) -> Result<BTreeSet<ServerId>, Faults> {
    whole(|found| quic::read_server_ids(texts, place, found))
}

/// Validates a duration like `2s`, `500ms` or `1m 30s`; at most a year.
///
/// # Errors
/// It is none, or too long.
pub fn duration(text: &str, place: &str) -> Result<Duration, Faults> {
    whole(|found| found.keep(place, read_duration(text)))
}

/// Validates `spec` for `host`; `found` are the faults known of its text.
pub(super) fn check(spec: &ConfigSpec, host: &Host, mut found: Found) -> Result<Config, Faults> {
    let daemon_spec = spec.daemon.clone().unwrap_or_default();
    let daemon = daemon::settings(&daemon_spec, &mut found);
    let drafts: Vec<Draft> = spec
        .services
        .iter()
        .enumerate()
        .map(|(index, spec)| draft(spec, &format!("service[{index}]"), &mut found))
        .collect();

    let named = drafts.iter().enumerate().filter_map(|(index, draft)| {
        let service = draft.service.as_ref()?;
        Some((service.name.clone(), format!("service[{index}].name")))
    });
    for (name, first, again) in repeated(named) {
        let message = format!("service `{name}` stands already at {first}: names are unique");
        found.add(again, message);
    }
    let claims = drafts.iter().flat_map(|draft| draft.claims.clone());
    clashing_vips(claims.collect(), &mut found);

    let placed = drafts
        .iter()
        .filter_map(|draft| Some((draft.service.as_ref()?, &draft.places)));
    for (service, places) in placed.clone() {
        ways::check(service, places, &host.ways, &mut found);
    }
    // A configuration without `[daemon]` does not say: then who applies it knows.
    if spec.daemon.is_some() && daemon.exec_user.is_none() {
        for (index, draft) in drafts.iter().enumerate() {
            let probe = draft
                .service
                .as_ref()
                .and_then(|service| service.probe.as_ref());
            if probe.is_some_and(|probe| matches!(probe.kind, ProbeKind::Exec(_))) {
                found.add(format!("service[{index}].probe.type"), EXEC_NOT_ALLOWED);
            }
        }
    }
    ways::collisions(placed, daemon.gue_port, &mut found);

    let services = drafts.into_iter().filter_map(|draft| draft.service);
    let services: BTreeMap<_, _> = services.map(|s| (s.name.clone(), Arc::new(s))).collect();
    let desired = Desired {
        services,
        blocklist: sources::blocklist(&spec.blocklist, "blocklist", &mut found),
    };
    totals::check(&daemon_spec, &desired, &mut found);
    // The default is nobody's fault as long as nobody needs it.
    if daemon_spec.snat.is_some() || snat::is_used(&desired) {
        snat::check(&daemon.snat, &desired, host, &mut found);
    }
    found.faults().map(|()| Config { daemon, desired })
}

/// The value that `read` reads, if it finds no fault.
fn whole<T>(read: impl FnOnce(&mut Found) -> Option<T>) -> Result<T, Faults> {
    let mut found = Found::default();
    let value = read(&mut found);
    found.faults()?;
    Ok(value.unwrap_or_else(|| unreachable!("a reader that yields nothing has found a fault")))
}

/// What could be read of a service.
struct Draft {
    /// Its VIPs, each with its place.
    claims: Vec<(Vip, String)>,
    /// The service without its faulty parts, if at least its name is valid.
    service: Option<Service>,
    /// Where its backends stand.
    places: Places,
}

fn draft(spec: &ServiceSpec, place: &str, found: &mut Found) -> Draft {
    let name = found.keep(part(place, "name"), spec.name.parse());
    let claims = claims(&spec.vips, &part(place, "vips"), found);
    let vips: BTreeSet<Vip> = claims.iter().map(|&(vip, _)| vip).collect();
    // Mode l2 stands in for a faulty one: nothing else depends on it.
    let mode = read_mode(found, &part(place, "mode"), spec.mode.as_deref(), Mode::L2);
    let mode = mode.unwrap_or_default();
    let table_slots = spec.table_slots.as_ref().and_then(|table_slots| {
        found.keep(part(place, "table_slots"), read_table_slots(table_slots))
    });
    let table_slots = table_slots.unwrap_or_default();
    let probe = spec
        .probe
        .as_ref()
        .and_then(|probe| probe::read(probe, &part(place, "probe"), found));
    let thresholds = thresholds::read(spec, place, found);
    let (algorithm, moves) = moves::of_service(spec, place, found);
    let quic_lb = quic::read(&spec.quic_lb, &part(place, "quic_lb"), found);
    let source_limit = sources::limit_of(spec, place, found);
    let weights_place = part(place, "dynamic_weights");
    let dynamic_weights = spec.dynamic_weights.as_ref();
    let dynamic_weights = dynamic_weights.map(|it| weights::read(it, &weights_place, found));
    if spec.probe.is_none()
        && let Some(breach) = untimed_breach(dynamic_weights.as_ref(), None)
    {
        found.add(part(&weights_place, "response_time"), breach.to_string());
    }
    let (backends, places) = backends::read_all(&spec.backends, mode, place, found);
    let broken = layout_breaches(&vips, &backends, table_slots, probe.as_ref()).into_iter();
    let breach = mode_breach(&vips, mode, &backends).map(|breach| (Part::Mode, breach.into()));
    let broken = broken.chain(breach);
    let broken = broken.chain(quic_breaches(&vips, &backends, &quic_lb));
    for (broken, breach) in broken.chain(via_breaches(&vips, mode, &backends, probe.as_ref())) {
        // VIPs were typed, but none could be read: that has been said.
        if breach == Breach::NoVips && !spec.vips.is_empty() {
            continue;
        }
        let place_of = |address| places.get(&address).cloned().unwrap_or_default();
        let place = match broken {
            Part::Vips => part(place, "vips"),
            Part::Mode => part(place, "mode"),
            Part::TableSlots => part(place, "table_slots"),
            Part::Backends => part(place, "backend"),
            Part::Backend(address) => part(&place_of(address), "address"),
            Part::ServerIds(address) => part(&place_of(address), "server_ids"),
            Part::QuicLb => part(place, "quic_lb"),
            Part::Probe(field) => part(&part(place, "probe"), field),
            Part::SourceRate
            | Part::SourceBurst
            | Part::Thresholds(_)
            | Part::DynamicWeights(_)
            | Part::Moves(_) => place.to_owned(),
        };
        found.add(place, breach.to_string());
    }
    let service = name.map(|name| Service {
        name,
        vips,
        mode,
        table_slots,
        algorithm,
        probe,
        thresholds,
        moves,
        source_limit,
        dynamic_weights,
        quic_lb,
        backends,
    });
    Draft {
        claims,
        service,
        places,
    }
}

/// The VIPs that could be read, each with its place.
fn claims(texts: &[String], place: &str, found: &mut Found) -> Vec<(Vip, String)> {
    let mut claims = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let place = format!("{place}[{index}]");
        if let Some(vip) = found.keep(place.as_str(), text.parse()) {
            claims.push((vip, place));
        }
    }
    claims
}

/// VIPs that stand twice, and prefixes that overlap.
fn clashing_vips(claims: Vec<(Vip, String)>, found: &mut Found) {
    for (vip, first, again) in repeated(claims.iter().cloned()) {
        let message =
            format!("VIP {vip} stands already at {first}: a VIP belongs to one service, once");
        found.add(again, message);
    }
    for overlap in overlaps(claims) {
        let message = format!(
            "VIP {} lies within {} at {}: of overlapping prefixes the longest would take all, so split the wider one, or name single addresses",
            overlap.inner, overlap.outer, overlap.outer_owner
        );
        found.add(overlap.inner_owner, message);
    }
}

pub(super) fn read_duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= MAX_DURATION => Ok(duration),
        Ok(_) => Err(format!("`{text}` is too long: write at most 365days")),
        Err(_) => Err(format!(
            "`{text}` is not a duration: write a number and a unit, like \"2s\", \"500ms\" or \"1m 30s\""
        )),
    }
}

fn read_mode(found: &mut Found, place: &str, text: Option<&str>, default: Mode) -> Option<Mode> {
    let modes = Mode::ALL.map(|mode| (mode.to_string(), mode));
    text.map_or(Some(default), |text| word(found, place, Some(text), &modes))
}

fn read_table_slots(spec: &TableSlotsSpec) -> Result<TableSlots, ParseError> {
    match spec {
        TableSlotsSpec::Number(slots) => TableSlots::try_from(*slots),
        TableSlotsSpec::Word(word) if word == "auto" => Ok(TableSlots::Auto),
        TableSlotsSpec::Word(word) => Err(ParseError::new(format!(
            "`{word}` is not a table size: write \"auto\" or one of {:?}",
            TableSlots::SIZES
        ))),
    }
}

/// The meaning of `text` among `words`; the type's default if there is no text; a fault if it is none.
pub(super) fn word<T: Copy + Default>(
    found: &mut Found,
    place: &str,
    text: Option<&str>,
    words: &[(impl AsRef<str> + fmt::Debug, T)],
) -> Option<T> {
    let Some(text) = text else {
        return Some(T::default());
    };
    let meaning = words.iter().find(|(word, _)| word.as_ref() == text);
    if let Some(&(_, meaning)) = meaning {
        return Some(meaning);
    }
    let words: Vec<&str> = words.iter().map(|(word, _)| word.as_ref()).collect();
    found.add(
        place,
        format!("`{text}` is not one of: {}", words.join(", ")),
    );
    None
}
