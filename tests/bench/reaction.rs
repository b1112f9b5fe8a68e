//! How long it takes from the third failed probe to the new lookup table in the kernel: the real daemon with many
//! backends in a namespace of its own, of which one after the other stops to listen.
//!
//! The time is the daemon's own, which it tells with each publication: from the end of the probe to the end of the last
//! step. What a client would measure between the arrival of two events is another thing on a busy machine: it may be
//! woken for both at once.
#![expect(
    clippy::indexing_slicing,
    reason = "indexing JSON gives null for what is not there"
)]

mod fleet;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::Parser;
use fleet::backend;
use lb_tests::control::Control;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, task::AbortHandle};

/// Measures what a failure takes.
#[derive(Parser)]
struct Options {
    /// How many backends
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    backends: u32,
    /// Slots of the lookup table
    #[arg(long, default_value_t = 65_537)]
    slots: u32,
    /// How many of the backends fail, one after the other
    #[arg(long, default_value_t = 100)]
    failures: u32,
    /// Write the result to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Serialize)]
struct Measured {
    backends: u32,
    slots: u32,
    failures: usize,
    /// From the end of the third failed probe to the end of the last step in the kernel.
    reaction_p50_ms: f64,
    reaction_p99_ms: f64,
    reaction_max_ms: f64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let namespace = fleet::namespace("reaction");
    let (close, closing) = mpsc::unbounded_channel();
    let addresses: Vec<SocketAddr> = (0..options.backends).map(backend).collect();
    let servers = namespace.spawn(move || serve(&addresses, closing));
    let settings = format!(
        "table_slots = {}\nprobe = {{ type = \"tcp\", interval = \"1s\", fall = 3 }}",
        options.slots
    );
    let instance = fleet::instance(&namespace, options.backends, &settings)?;
    let daemon = instance.start();
    let mut control = daemon.control();
    fleet::await_healthy(&mut control, options.backends);
    let mut events = daemon.control();
    events.must(
        "events.subscribe",
        &json!({"kinds": ["health", "publication"]}),
    );
    let mut reactions: Vec<Duration> = (0..options.failures.min(options.backends - 1))
        .map(|number| {
            let failing = backend(number);
            close.send(failing).context("the servers have ended")?;
            Ok(reaction(&mut events, failing))
        })
        .collect::<Result<_>>()?;
    drop(close);
    servers.join().expect("the servers end");
    report(&options, &mut reactions)
}

/// Listens at all addresses, and takes whoever comes, until nobody closes any more.
fn serve(addresses: &[SocketAddr], mut closing: mpsc::UnboundedReceiver<SocketAddr>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let mut servers: BTreeMap<SocketAddr, AbortHandle> = BTreeMap::new();
        for address in addresses {
            let listener = TcpListener::bind(address).await.expect("a listener");
            let server = tokio::spawn(async move {
                // A connection is closed as soon as it is there: the probe has what it wants.
                while let Ok(connection) = listener.accept().await {
                    drop(connection);
                }
            });
            servers.insert(*address, server.abort_handle());
        }
        while let Some(address) = closing.recv().await {
            if let Some(server) = servers.remove(&address) {
                server.abort();
            }
        }
    });
}

/// Waits until `failing` is found down, and then until that is published: how long that was after the probe.
fn reaction(events: &mut Control, failing: SocketAddr) -> Duration {
    let is_down = |event: &Value| {
        event["kind"] == json!("health")
            && event["backend"] == json!(failing.to_string())
            && event["to"] == json!("down")
    };
    while !is_down(&events.event()) {}
    loop {
        if let Some(reaction) = events.event()["reaction_us"].as_u64() {
            return Duration::from_micros(reaction);
        }
    }
}

fn report(options: &Options, reactions: &mut [Duration]) -> Result<()> {
    reactions.sort_unstable();
    let at = |per_cent: usize| {
        let index = (reactions.len() * per_cent).div_ceil(100).max(1) - 1;
        let reaction = reactions.get(index).copied().unwrap_or_default();
        reaction.as_secs_f64() * 1_000.0
    };
    let measured = Measured {
        backends: options.backends,
        slots: options.slots,
        failures: reactions.len(),
        reaction_p50_ms: at(50),
        reaction_p99_ms: at(99),
        reaction_max_ms: at(100),
    };
    println!(
        "{} backends, {} slots, {} failures: from the last failed probe to the table in the kernel p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        measured.backends,
        measured.slots,
        measured.failures,
        measured.reaction_p50_ms,
        measured.reaction_p99_ms,
        measured.reaction_max_ms
    );
    fleet::write(&measured, options.json.as_deref())
}
