//! Services and their backends: lists of them, and how they are.

use std::{
    fmt::Display,
    time::{Duration, UNIX_EPOCH},
};

use super::{View, age, line, table::Columns};
use crate::{
    config::spec::{QuicConfigSpec, TableSlotsSpec},
    control::protocol::{
        BackendRows, BackendStatus, ServiceRows, ServiceStatus, SlotMoves, Status,
    },
    model::Algorithm,
};

pub(super) fn list(rows: &ServiceRows) -> String {
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

/// The columns of a backend, after its service's name.
const BACKEND_COLUMNS: [&str; 8] = [
    "ADDRESS", "WEIGHT", "MODE", "STATE", "HEALTH", "SINCE", "SLOTS", "REASON",
];

pub(super) fn backends(rows: &BackendRows, view: View) -> String {
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
    let weight = match &backend.current_weight {
        Some(now) if now.percent != 100 => format!("{} * {} %", backend.weight, now.percent),
        _ => backend.weight.to_string(),
    };
    let scaled = backend.current_weight.as_ref();
    let scaled = scaled.filter(|now| now.percent != 100 || now.drains);
    let why = scaled.map(|now| format!("; {}", now.reason));
    let left = backend
        .flows_left
        .map(|flows| format!(", {flows} flows left"));
    [
        backend.address.clone(),
        weight,
        backend.mode.to_string(),
        state,
        backend.health.to_string(),
        since.unwrap_or_else(|| "-".to_owned()),
        backend.slots.to_string(),
        format!(
            "{reason}{}{}",
            why.unwrap_or_default(),
            left.unwrap_or_default()
        ),
    ]
}

pub(super) fn status(status: &Status, view: View) -> String {
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
    let algorithm = match service.algorithm {
        Algorithm::Maglev => String::new(),
        other @ (Algorithm::SourceHash
        | Algorithm::Random
        | Algorithm::RoundRobin
        | Algorithm::LeastConnections) => {
            format!("; {other}")
        }
    };
    let quic = match service.quic_lb.as_slice() {
        [] => String::new(),
        configs => format!("; QUIC-LB {}", quic_configs(configs)),
    };
    line(
        &mut text,
        format_args!(
            "service {name}: {vips}; {table_slots} slots of generation {generation}{algorithm}{quic}"
        ),
    );
    if let Some(moves) = service.moves {
        let SlotMoves {
            tracked,
            learning,
            lingering,
            waiting,
        } = moves;
        let states = [
            (tracked, "are tracked"),
            (learning, "learn"),
            (lingering, "have flows elsewhere"),
            (waiting, "wait to move"),
        ];
        let states = states.into_iter().filter(|(slots, _)| *slots > 0);
        let states: Vec<String> = states
            .map(|(slots, what)| format!("{slots} {what}"))
            .collect();
        line(&mut text, format_args!("slots: {}", states.join(", ")));
    }
    if let Some(emergency) = &service.emergency {
        line(&mut text, format_args!("{emergency}"));
    }
    if service.backends.is_empty() {
        line(&mut text, format_args!("no backends"));
        return text;
    }
    text + &backend_table(&[], &service.backends, |_| Vec::new(), view)
}
