//! Answers as text for people: lines and plain tables that can be piped.

mod configuration;
mod flows;

use std::{
    fmt::{Display, Write as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use comfy_table::{CellAlignment, Table, presets};
use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Error, Value};

use super::script::script;
use crate::{
    config::spec::{ConfigSpec, QuicConfigSpec, ServiceSpec, TableSlotsSpec},
    control::protocol::{
        API_VERSION, Applied, BackendRows, BackendStatus, Blocklist, Call, Checked, Detached,
        ProbeCounts, ServiceRows, ServiceStatus, Stats, Status, TrafficCounts, Version,
    },
};

/// How an answer is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// Outcomes that no packet had, too.
    pub(super) all_outcomes: bool,
    /// What ages are counted to.
    pub(super) now: SystemTime,
}

/// An answer in words.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    /// For standard output; whole lines.
    pub(super) answer: String,
    /// For standard error: what the operator should know beside.
    pub(super) remarks: Vec<String>,
}

/// `answer`, which is that of `call`, in words.
///
/// # Errors
/// The answer is not what the method answers.
pub(super) fn text(call: &Call, answer: Value, view: View) -> Result<Text, Error> {
    fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Error> {
        serde_json::from_value(answer)
    }
    Ok(match call {
        Call::ServiceAdd(_)
        | Call::ServiceUpdate(_)
        | Call::ServiceRemove(_)
        | Call::BackendAdd(_)
        | Call::BackendUpdate(_)
        | Call::BackendRemove(_)
        | Call::BackendDrain(_)
        | Call::BackendUndrain(_)
        | Call::BackendEnable(_)
        | Call::BackendDisable(_)
        | Call::BlocklistAdd(_)
        | Call::BlocklistRemove(_)
        | Call::ConfigApply(_)
        | Call::ConfigRollback(_) => applied(read(answer)?),
        Call::ConfigCheck(_) => checked(&read(answer)?),
        Call::ConfigPlan(_) => configuration::planned(&read(answer)?),
        Call::ConfigDiff(_) => configuration::diff(&read(answer)?).into(),
        Call::ConfigHistory(_) => configuration::history(&read(answer)?, view),
        Call::FlowsList(_) => flows::list(&read(answer)?),
        Call::FlowsCount(_) => flows::count(&read(answer)?).into(),
        Call::Version(_) => version(&read(answer)?).into(),
        Call::ServiceGet(_) => toml(&ConfigSpec {
            services: vec![read::<ServiceSpec>(answer)?],
            ..ConfigSpec::default()
        })?
        .into(),
        Call::ConfigGet(_) => toml(&read(answer)?)?.into(),
        Call::ServiceList(_) => services(&read(answer)?).into(),
        Call::BlocklistList(_) => blocklist(&read(answer)?).into(),
        Call::BackendList(_) => backends(&read(answer)?, view).into(),
        Call::BackendSetup(_) => script(&read(answer)?).into(),
        Call::Status(_) => status(&read(answer)?, view).into(),
        Call::Stats(_) => stats(&read(answer)?, view).into(),
        // Watched, not asked for.
        Call::EventsSubscribe(_) | Call::EventsUnsubscribe(_) => format!("{answer}\n").into(),
        Call::Detach(_) => detached(&read(answer)?).into(),
    })
}

impl From<String> for Text {
    fn from(answer: String) -> Self {
        Self {
            answer,
            remarks: Vec::new(),
        }
    }
}

/// So many warnings of one change are shown: more would drive the first ones off the screen.
const MAX_WARNINGS: usize = 20;

fn applied(applied: Applied) -> Text {
    let Applied {
        generation,
        warnings,
        ..
    } = applied;
    let more = warnings.len().saturating_sub(MAX_WARNINGS);
    let shown = warnings.into_iter().take(MAX_WARNINGS);
    let mut remarks: Vec<String> = shown.map(|it| format!("warning: {it}")).collect();
    if more > 0 {
        remarks.push(format!("and {more} more"));
    }
    Text {
        answer: format!("generation {generation}\n"),
        remarks,
    }
}

fn detached(detached: &Detached) -> String {
    let from = match detached.interfaces.as_slice() {
        [] => "no interface".to_owned(),
        names => names.join(", "),
    };
    format!("taken off {from}; lbd has ended, and its next start puts everything back\n")
}

fn checked(checked: &Checked) -> Text {
    if checked.valid {
        return Text::from("valid\n".to_owned());
    }
    Text {
        answer: String::new(),
        remarks: checked.faults.iter().map(ToString::to_string).collect(),
    }
}

fn version(version: &Version) -> String {
    format!(
        "lbctl {} (API {API_VERSION})\nlbd {} (API {}, ABI {}), kernel {}\n",
        env!("CARGO_PKG_VERSION"),
        version.daemon,
        version.api,
        version.abi,
        version.kernel
    )
}

fn toml(config: &ConfigSpec) -> Result<String, Error> {
    toml::to_string(config).map_err(Error::custom)
}

fn services(rows: &ServiceRows) -> String {
    let has_quic = rows.services.iter().any(|it| !it.quic_lb.is_empty());
    let mut columns = vec![
        "NAME",
        "VIPS",
        "MODE",
        "SLOTS",
        "SOURCE RATE",
        "PROBE",
        "BACKENDS",
    ];
    columns.extend(has_quic.then_some("QUIC-LB"));
    let mut table = Columns::new(&columns);
    for service in &rows.services {
        let slots = match &service.table_slots {
            None => "auto".to_owned(),
            Some(TableSlotsSpec::Word(word)) => word.clone(),
            Some(TableSlotsSpec::Number(slots)) => slots.to_string(),
        };
        let rate = service.source_rate;
        let rate = rate.map_or_else(|| "none".to_owned(), |rate| rate.to_string());
        let probe = service.probe.as_ref();
        let probe = probe.map_or("none", |probe| probe.kind.as_str());
        let quic = quic_configs(&service.quic_lb);
        let cells: [&dyn Display; 8] = [
            &service.name,
            &service.vips.join(","),
            &service.mode.as_deref().unwrap_or("l2"),
            &slots,
            &rate,
            &probe,
            &service.backends.len(),
            &quic,
        ];
        table.row(cells.into_iter().take(columns.len()));
    }
    table.text()
}

/// QUIC-LB configurations as they are typed: `0:2:length,1:3`.
fn quic_configs(configs: &[QuicConfigSpec]) -> String {
    let config = |config: &QuicConfigSpec| {
        let length = if config.first_octet_encodes_cid_length {
            ":length"
        } else {
            ""
        };
        format!("{}:{}{length}", config.config_id, config.server_id_length)
    };
    let configs: Vec<String> = configs.iter().map(config).collect();
    configs.join(",")
}

fn blocklist(blocklist: &Blocklist) -> String {
    let lines = blocklist
        .prefixes
        .iter()
        .map(|prefix| format!("{prefix}\n"));
    lines.collect()
}

/// The columns of a backend, after its service's name.
const BACKEND_COLUMNS: [&str; 8] = [
    "ADDRESS", "WEIGHT", "MODE", "STATE", "HEALTH", "SINCE", "SLOTS", "REASON",
];

fn backends(rows: &BackendRows, view: View) -> String {
    let name = |backend: &BackendStatus| vec![backend.service.clone()];
    backend_table(&["SERVICE"], &rows.backends, name, view)
}

/// A table of backends, which begins with `columns` and what `begin` says in them. Server ids are shown if there
/// are any.
fn backend_table(
    columns: &[&str],
    backends: &[BackendStatus],
    begin: impl Fn(&BackendStatus) -> Vec<String>,
    view: View,
) -> String {
    let mut columns = columns.to_vec();
    columns.extend(BACKEND_COLUMNS);
    let has_ids = backends
        .iter()
        .any(|backend| !backend.server_ids.is_empty());
    columns.extend(has_ids.then_some("SERVER IDS"));
    let mut table = Columns::new(&columns);
    for backend in backends {
        let mut cells = begin(backend);
        cells.extend(backend_cells(backend, view));
        cells.extend(has_ids.then(|| backend.server_ids.join(",")));
        table.row(cells.iter().map(|cell| cell as &dyn Display));
    }
    table.text()
}

fn backend_cells(backend: &BackendStatus, view: View) -> [String; 8] {
    let state = if backend.removing {
        "removing".to_owned()
    } else {
        backend.state.to_string()
    };
    let since = backend.health_since_ms.map(|since| {
        let since = UNIX_EPOCH + Duration::from_millis(since);
        age(view.now.duration_since(since).unwrap_or_default())
    });
    let reason = match &backend.not_serving_because {
        Some(reason) if !backend.serving => reason,
        _ => &backend.health_reason,
    };
    [
        backend.address.clone(),
        backend.weight.to_string(),
        backend.mode.to_string(),
        state,
        backend.health.to_string(),
        since.unwrap_or_else(|| "-".to_owned()),
        backend.slots.to_string(),
        reason.clone(),
    ]
}

fn status(status: &Status, view: View) -> String {
    let sync = if status.in_sync {
        "in sync"
    } else {
        "not in sync"
    };
    let uptime = age(Duration::from_millis(status.uptime_ms));
    let mut text = format!("generation {}, {sync}, up {uptime}\n", status.generation);
    for error in &status.errors {
        line(&mut text, format_args!("error: {error}"));
    }
    for interface in &status.interfaces {
        let (name, mode) = (&interface.name, &interface.xdp_mode);
        line(&mut text, format_args!("interface {name}: {mode}"));
    }
    for service in &status.services {
        text.push('\n');
        text.push_str(&service_status(service, view));
    }
    text
}

fn service_status(service: &ServiceStatus, view: View) -> String {
    let mut text = String::new();
    let ServiceStatus {
        name,
        table_slots,
        generation,
        ..
    } = service;
    let vips = service.vips.join(", ");
    let quic = match service.quic_lb.as_slice() {
        [] => String::new(),
        configs => format!("; QUIC-LB {}", quic_configs(configs)),
    };
    line(
        &mut text,
        format_args!(
            "service {name}: {vips}; {table_slots} slots of generation {generation}{quic}"
        ),
    );
    if let Some(emergency) = &service.emergency {
        line(&mut text, format_args!("{emergency}"));
    }
    if service.backends.is_empty() {
        line(&mut text, format_args!("no backends"));
        return text;
    }
    text + &backend_table(&[], &service.backends, |_| Vec::new(), view)
}

fn stats(stats: &Stats, view: View) -> String {
    let mut outcomes = Columns::new(&["OUTCOME", "PACKETS"]);
    for (outcome, packets) in &stats.ledger {
        if view.all_outcomes || *packets > 0 {
            outcomes.row([outcome as &dyn Display, packets]);
        }
    }
    outcomes.row([&"all" as &dyn Display, &stats.packets]);
    let mut interfaces = Columns::new(&["INTERFACE", "OUTCOME", "PACKETS"]);
    let named = stats.interfaces.iter();
    let named = named.map(|interface| (interface.name.as_str(), &interface.counted));
    let other = stats.other.iter().map(|counted| ("(other)", counted));
    for (name, counted) in named.chain(other) {
        for (outcome, packets) in &counted.ledger {
            interfaces.row([&name as &dyn Display, outcome, packets]);
        }
        interfaces.row([&name as &dyn Display, &"all", &counted.packets]);
    }
    let mut traffic = Columns::new(&["SERVICE", "BACKEND", "PACKETS", "BYTES", "FLOWS"]);
    let mut row = |service: &str, backend: &str, counts: &TrafficCounts| {
        let TrafficCounts {
            packets,
            bytes,
            flows,
        } = counts;
        traffic.row([&service as &dyn Display, &backend, packets, bytes, flows]);
    };
    for service in &stats.services {
        for backend in &service.backends {
            row(&service.name, &backend.address, &backend.counts);
        }
        row(&service.name, "all", &service.total);
    }
    let mut text = format!("generation {}\n\n{}", stats.generation, outcomes.text());
    if !stats.interfaces.is_empty() {
        text = text + "\n" + &interfaces.text();
    }
    if !stats.services.is_empty() {
        text = text + "\n" + &traffic.text();
    }
    if stats.probes != ProbeCounts::default() {
        text = text + "\n" + &probes(&stats.probes);
    }
    text
}

fn probes(counts: &ProbeCounts) -> String {
    let ProbeCounts {
        made,
        failed,
        impossible,
        ..
    } = counts;
    let milliseconds = |us: u64| format!("{}.{} ms", us / 1_000, us % 1_000 / 100);
    let (half, most) = (
        milliseconds(counts.late_p50_us),
        milliseconds(counts.late_p99_us),
    );
    let latest = milliseconds(counts.late_max_us);
    let could_not = if *impossible > 0 {
        format!(", {impossible} that this host could not make (see its log)")
    } else {
        String::new()
    };
    format!(
        "{made} probes, of which {failed} failed{could_not}; later than due: half up to {half}, 99 % up to {most}, at most {latest}\n"
    )
}

/// A table without borders: columns two spaces apart, numbers to the right.
struct Columns(Table);

impl Columns {
    /// Headers of columns that hold numbers.
    const NUMBERS: [&'static str; 8] = [
        "WEIGHT",
        "SLOTS",
        "MOVED SLOTS",
        "BACKENDS",
        "PACKETS",
        "BYTES",
        "FLOWS",
        "MOVED FLOWS",
    ];

    fn new(headers: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(headers);
        for (column, header) in table.column_iter_mut().zip(headers) {
            column.set_padding((0, 2));
            if Self::NUMBERS.contains(header) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self(table)
    }

    fn row<'a>(&mut self, cells: impl IntoIterator<Item = &'a dyn Display>) {
        self.0.add_row(cells.into_iter().map(ToString::to_string));
    }

    fn text(&self) -> String {
        self.0.trim_fmt() + "\n"
    }
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{words}");
}

/// How long ago, in the two largest units: `12s`, `3m4s`, `2h5m`, `3d4h`.
fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if days > 0 {
        format!("{days}d{}h", hours % 24)
    } else if hours > 0 {
        format!("{hours}h{}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m{}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

#[cfg(test)]
mod tests;
