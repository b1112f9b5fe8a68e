//! Fleets of growing size: what the daemon takes to apply them, to start with them, to restart over what the kernel
//! holds, to add one backend more; and its memory.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use lb_tests::{
    control::{self, Control},
    daemon::{Daemon, Instance},
    site::Tmpfs,
    wait,
};
use rustix::process::Signal;
use serde::Serialize;
use serde_json::json;

use crate::fleet::{self, Fleet, backend_address, milliseconds, percentile};

/// How long anything may take, times the patience that is asked for.
const LIMIT: Duration = Duration::from_mins(1);
/// One backend more, at most so many times, and until so much time is over.
const ADDITIONS: u32 = 30;
const ADDING: Duration = Duration::from_secs(20);

/// Services and backends of each, in the order in which they are measured: each kind grows by ten.
const FLEETS: [(u32, u32); 9] = [
    (1, 10),
    (10, 10),
    (100, 10),
    (1_000, 10),
    (10_000, 10),
    (10, 100),
    (10, 1_000),
    (1, 1_000),
    (1, 10_000),
];

/// One size.
#[derive(Serialize)]
pub(crate) struct Row {
    services: u32,
    backends: u32,
    config_bytes: usize,
    /// What `config.apply` said if it was refused: then `apply_ms` is of a reload of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    apply_refused: Option<String>,
    /// From the call, or the signal, until the last service is there.
    apply_ms: f64,
    /// One more backend of the last service, from sending to the answer.
    add_p50_ms: f64,
    add_p99_ms: f64,
    /// The same where the daemon keeps its state in memory: without the disk's time.
    add_in_memory_p50_ms: f64,
    /// What `status` takes.
    status_ms: f64,
    /// From the start of a process with nothing in the kernel, until it answers.
    start_ms: f64,
    /// The same over what the process before has left in the kernel.
    restart_ms: f64,
    /// Memory of the daemon with it all.
    resident_bytes: u64,
    /// Memory of the maps, as the kernel counts it.
    maps_bytes: u64,
}

/// Measures all sizes, or those of at most a thousand backends.
pub(crate) fn measure(quick: bool) -> Result<Vec<Row>> {
    println!(
        "{:>8} {:>8} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>8} {:>8}",
        "services",
        "backends",
        "apply ms",
        "add p50",
        "add p99",
        "in memory",
        "status ms",
        "start ms",
        "restart ms",
        "file kB",
        "RSS MB",
        "maps MB"
    );
    let fleets = FLEETS.map(|(services, backends)| Fleet { services, backends });
    let wanted = |fleet: &Fleet| !quick || fleet.services * fleet.backends <= 1_000;
    fleets.into_iter().filter(wanted).map(row).collect()
}

fn row(fleet: Fleet) -> Result<Row> {
    let (_namespace, instance) = fleet::place()?;
    let text = fleet.configuration();
    let daemon = instance.start();
    let (apply_ms, apply_refused) = apply(&instance, &daemon, fleet, &text)?;
    let mut control = daemon.control();
    let mut added = additions(&mut control, fleet);
    let begin = Instant::now();
    control.must("status", &json!({}));
    let status_ms = milliseconds(begin);
    let (resident_bytes, maps_bytes) = (daemon.resident_bytes(), maps_bytes(daemon.pid())?);
    fleet::write(&instance, &text)?;
    let _ = daemon.stop();
    let (daemon, restart_ms) = started(&instance, fleet);
    let _ = daemon.stop();
    let (_namespace, instance) = fleet::place()?;
    let _state = Tmpfs::mount(instance.state_directory(), c"size=256m");
    fleet::write(&instance, &text)?;
    let (daemon, start_ms) = started(&instance, fleet);
    let mut added_in_memory = additions(&mut daemon.control(), fleet);
    drop(daemon);
    let row = Row {
        services: fleet.services,
        backends: fleet.backends,
        config_bytes: text.len(),
        apply_refused,
        apply_ms,
        add_p50_ms: percentile(&mut added, 50),
        add_p99_ms: percentile(&mut added, 99),
        add_in_memory_p50_ms: percentile(&mut added_in_memory, 50),
        status_ms,
        start_ms,
        restart_ms,
        resident_bytes,
        maps_bytes,
    };
    print(&row);
    Ok(row)
}

fn print(row: &Row) {
    println!(
        "{:>8} {:>8} {:>10.1} {:>10.2} {:>10.2} {:>10.2} {:>10.1} {:>10.1} {:>10.1} {:>10} {:>8} {:>8}",
        row.services,
        row.backends,
        row.apply_ms,
        row.add_p50_ms,
        row.add_p99_ms,
        row.add_in_memory_p50_ms,
        row.status_ms,
        row.start_ms,
        row.restart_ms,
        row.config_bytes / 1_000,
        row.resident_bytes / 1_000_000,
        row.maps_bytes / 1_000_000
    );
    if let Some(why) = &row.apply_refused {
        println!("  config.apply was refused, the file was reloaded: {why}");
    }
}

/// Applies the fleet by the socket, or, if that refuses, by a reload: the milliseconds, and why it was refused.
fn apply(
    instance: &Instance,
    daemon: &Daemon<'_>,
    fleet: Fleet,
    text: &str,
) -> Result<(f64, Option<String>)> {
    let call =
        json!({"jsonrpc": "2.0", "id": 1, "method": "config.apply", "params": {"toml": text}});
    let begin = Instant::now();
    // Who is told that a line is too long is not told which call that was.
    let answer = daemon.control().exchange(
        format!(
            "{call}
"
        )
        .as_bytes(),
    );
    let Err(refused) = control::outcome(&answer) else {
        return Ok((milliseconds(begin), None));
    };
    fleet::write(instance, text)?;
    let begin = Instant::now();
    daemon.signal(Signal::HUP);
    is_there(daemon, fleet);
    Ok((milliseconds(begin), Some(refused.message)))
}

/// Waits until the daemon has the last service. It answers nobody while it works.
fn is_there(daemon: &Daemon<'_>, fleet: Fleet) {
    let last = json!({"name": fleet::name(fleet.services - 1)});
    wait::until("the last service is there", LIMIT, || {
        daemon.control().call("service.get", &last).is_ok()
    });
}

/// What each took of so many calls that add a backend to the last service.
fn additions(control: &mut Control, fleet: Fleet) -> Vec<f64> {
    let service = fleet::name(fleet.services - 1);
    // A service takes at most 10,000: where that many are, one goes first.
    let first = fleet.services * fleet.backends;
    let is_full = fleet.backends == 10_000;
    let deadline = Instant::now() + ADDING;
    let numbers = (0..ADDITIONS).take_while(|_| Instant::now() < deadline);
    let added = numbers.map(|number| {
        if is_full {
            let old = backend_address(number);
            let call = json!({"service": service, "address": old, "force": true});
            control.must("backend.remove", &call);
        }
        let call = json!({"service": service, "address": backend_address(first + number)});
        let begin = Instant::now();
        control.must("backend.add", &call);
        milliseconds(begin)
    });
    added.collect()
}

/// A daemon with the fleet in its file, and how long it took until it answered.
fn started(instance: &Instance, fleet: Fleet) -> (Daemon<'_>, f64) {
    let begin = Instant::now();
    let daemon = instance.spawn_of(&lb_tests::daemon::binary("lbd"), &[]);
    let last = json!({"name": fleet::name(fleet.services - 1)});
    wait::until("lbd answers", LIMIT, || {
        let control = Control::connect(&instance.socket());
        control.is_ok_and(|mut control| control.call("service.get", &last).is_ok())
    });
    (daemon, milliseconds(begin))
}

/// Bytes of the maps that a process has open, as the kernel tells them in `fdinfo`.
fn maps_bytes(pid: u32) -> Result<u64> {
    let directory = format!("/proc/{pid}/fdinfo");
    let files = fs::read_dir(&directory).with_context(|| format!("reading {directory}"))?;
    let mut maps = std::collections::BTreeMap::new();
    for file in files {
        // A descriptor may be closed meanwhile.
        let text = fs::read_to_string(file?.path()).unwrap_or_default();
        let field = |name: &str| -> Option<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse().ok()
        };
        if let (Some(id), Some(bytes)) = (field("map_id:"), field("memlock:")) {
            maps.insert(id, bytes);
        }
    }
    Ok(maps.values().sum())
}
