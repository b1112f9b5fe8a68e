//! The control socket: how many requests a second, and how long one takes, by clients at once and by what they ask.

use std::{thread, time::Instant};

use anyhow::Result;
use lb_tests::daemon::Daemon;
use serde::Serialize;
use serde_json::{Value, json};

use crate::fleet::{self, Fleet, milliseconds, percentile};

/// What the daemon has to tell of.
const FLEET: Fleet = Fleet {
    services: 10,
    backends: 10,
};

/// One kind of request, from so many clients at once.
#[derive(Serialize)]
pub(crate) struct Row {
    method: &'static str,
    clients: u32,
    requests_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Measures the socket of a daemon that has ten services with ten backends each.
pub(crate) fn measure(quick: bool) -> Result<Vec<Row>> {
    let (_namespace, instance) = fleet::place()?;
    fleet::write(&instance, &FLEET.configuration())?;
    let daemon = instance.start();
    let requests = if quick { 500 } else { 5_000 };
    println!(
        "{:<16} {:>7} {:>10} {:>8} {:>8}",
        "method", "clients", "requests/s", "p50 ms", "p99 ms"
    );
    let backend = fleet::backend_address(0);
    let kinds = [
        ("version", json!({}), requests),
        ("status", json!({}), requests / 5),
        // What is wanted already: checked, saved, planned, and nothing to do in the kernel.
        (
            "backend.enable",
            json!({"service": fleet::name(0), "address": backend}),
            requests / 5,
        ),
    ];
    let mut rows = Vec::new();
    for (method, params, requests) in kinds {
        for clients in [1, 8] {
            rows.push(row(&daemon, method, &params, clients, requests));
        }
    }
    Ok(rows)
}

fn row(
    daemon: &Daemon<'_>,
    method: &'static str,
    params: &Value,
    clients: u32,
    requests: u32,
) -> Row {
    let begin = Instant::now();
    let mut taken: Vec<f64> = thread::scope(|scope| {
        let clients: Vec<_> = (0..clients)
            .map(|_| scope.spawn(|| ask(daemon, method, params, requests / clients)))
            .collect();
        let taken = clients.into_iter().map(|it| it.join().expect("a client"));
        taken.flatten().collect()
    });
    let seconds = begin.elapsed().as_secs_f64();
    let count = u32::try_from(taken.len()).map_or(f64::NAN, f64::from);
    let row = Row {
        method,
        clients,
        requests_per_second: count / seconds,
        p50_ms: percentile(&mut taken, 50),
        p99_ms: percentile(&mut taken, 99),
    };
    println!(
        "{:<16} {:>7} {:>10.0} {:>8.3} {:>8.3}",
        method, clients, row.requests_per_second, row.p50_ms, row.p99_ms
    );
    row
}

/// One client's requests, one after the other: what each took.
fn ask(daemon: &Daemon<'_>, method: &str, params: &Value, requests: u32) -> Vec<f64> {
    let mut control = daemon.control();
    let asked = (0..requests).map(|_| {
        let begin = Instant::now();
        control.must(method, params);
        milliseconds(begin)
    });
    asked.collect()
}
