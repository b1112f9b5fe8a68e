//! What probing costs, and how late probes begin: the real daemon with many backends in a namespace of its own.
//!
//! All backends are addresses of one prefix that the namespace takes for its own; one server, in this process, answers
//! for all of them. The daemon's CPU time is what the kernel counts for its process.
#![expect(
    clippy::indexing_slicing,
    reason = "indexing JSON gives null for what is not there"
)]

mod fleet;

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use lb_tests::{control::Control, daemon::Daemon, traffic::Server};
use serde::Serialize;
use serde_json::{Value, json};

/// The unit of CPU times in `/proc` (`USER_HZ`), on all machines that we know of.
const TICKS_PER_SECOND: f64 = 100.0;

/// Measures probing.
#[derive(Parser)]
struct Options {
    /// How many backends
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    backends: u32,
    /// How often each is probed
    #[arg(long, default_value = "1s")]
    interval: String,
    /// How: tcp or http
    #[arg(long, default_value = "tcp")]
    probe: String,
    /// How long it is measured
    #[arg(long, default_value_t = 20)]
    seconds: u64,
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
    interval: String,
    probe: String,
    seconds: f64,
    probes_per_second: f64,
    /// Of one core.
    cpu_percent: f64,
    failed: u32,
    late_p50_ms: f64,
    late_p99_ms: f64,
    late_max_ms: f64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let namespace = fleet::namespace("probes");
    let _server = Server::http(&namespace, fleet::PORT, "fine");
    let Options {
        interval, probe, ..
    } = &options;
    let settings = format!("probe = {{ type = \"{probe}\", interval = \"{interval}\" }}");
    let instance = fleet::instance(&namespace, options.backends, &settings)?;
    let daemon = instance.start();
    let mut control = daemon.control();
    fleet::await_healthy(&mut control, options.backends);
    let measured = measure(&options, &daemon, &mut control)?;
    println!(
        "{} backends, {} every {}: {:.0} probes/s, {:.1} % of one core; later than due: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms; {} failed",
        measured.backends,
        measured.probe,
        measured.interval,
        measured.probes_per_second,
        measured.cpu_percent,
        measured.late_p50_ms,
        measured.late_p99_ms,
        measured.late_max_ms,
        measured.failed
    );
    fleet::write(&measured, options.json.as_deref())
}

fn measure(options: &Options, daemon: &Daemon<'_>, control: &mut Control) -> Result<Measured> {
    let mut counts = || control.must("stats", &json!({}))["probes"].clone();
    let (before, cpu_before, begin) = (counts(), cpu_seconds(daemon.pid())?, Instant::now());
    thread::sleep(Duration::from_secs(options.seconds));
    let (cpu, seconds) = (
        cpu_seconds(daemon.pid())? - cpu_before,
        begin.elapsed().as_secs_f64(),
    );
    let after = counts();
    let count = |counts: &Value, field: &str| {
        let count = counts[field].as_u64().unwrap_or_default();
        u32::try_from(count).unwrap_or(u32::MAX)
    };
    let made = count(&after, "made") - count(&before, "made");
    ensure!(made > 0, "no probe was made");
    let milliseconds = |field| f64::from(count(&after, field)) / 1_000.0;
    Ok(Measured {
        backends: options.backends,
        interval: options.interval.clone(),
        probe: options.probe.clone(),
        seconds,
        probes_per_second: f64::from(made) / seconds,
        cpu_percent: cpu / seconds * 100.0,
        failed: count(&after, "failed") - count(&before, "failed"),
        late_p50_ms: milliseconds("late_p50_us"),
        late_p99_ms: milliseconds("late_p99_us"),
        late_max_ms: milliseconds("late_max_us"),
    })
}

/// The CPU time that a process has used, in user and kernel mode (`proc_pid_stat(5)`, fields 14 and 15).
fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("reading CPU times")?;
    // The second field, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("no process state")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|field| field.parse::<f64>().ok());
    let times = (ticks(), ticks());
    let (Some(user), Some(kernel)) = times else {
        anyhow::bail!("no CPU times in {stat:?}");
    };
    Ok((user + kernel) / TICKS_PER_SECOND)
}
