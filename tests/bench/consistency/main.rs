//! Which connections a fleet of balancers breaks under churn, and how many it must remember for it: `tracking` always, off
//! and on demand, side by side.
//!
//! A simulation without root or kernel. What decides is the product's: its planner, its lookup tables, its rules for
//! changes. A data plane of values stands in for the maps, clients for traffic, and a few lines each for the program's
//! choice and for the daemon's clock.
#![expect(
    clippy::indexing_slicing,
    reason = "places are below the lengths they were made for"
)]

mod balancer;
mod churn;
mod memory;
mod simulation;
mod time;
mod traffic;
mod wanted;

use std::{fs, path::PathBuf, thread};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::Parser;
use lb_userspace::model::Tracking;
use serde::Serialize;

use self::{
    churn::{BALANCERS, Cause, Event, churn},
    simulation::{Setting, ratio, simulate},
    time::{Tick, seconds},
    wanted::table_slots,
};

/// Simulates a fleet.
#[derive(Parser)]
struct Options {
    /// Backends of the service
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(2..=4_000))]
    backends: u32,
    /// Flows at a time
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    flows: u32,
    /// Simulated time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    hours: u32,
    /// What chance is made from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the rows to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// What one kind of event has broken under one kind of tracking; what there is besides is of the whole run.
#[derive(Serialize)]
struct Row {
    tracking: Tracking,
    event: &'static str,
    events: usize,
    broken: u64,
    broken_per_million: f64,
    entries_per_live_flow: f64,
    open_entries_per_live_flow: f64,
    peak_entries_per_live_flow: f64,
    tracked_slots_percent: f64,
    looked_up_packets_percent: f64,
    begun: u64,
    dead: u64,
    backends: u32,
    slots: u32,
    flows: u32,
    hours: u32,
    seed: u64,
}

/// Entries that a balancer's flow table has room for, for each flow that it has on average.
const ROOM: usize = 4;

/// What they are called, in the order of [`Cause`].
const CAUSES: [(Cause, &str); 4] = [
    (Cause::Planned, "planned change"),
    (Cause::Resize, "resize"),
    (Cause::Failure, "failure and recovery"),
    (Cause::Ecmp, "ecmp change"),
];

fn rows(options: &Options, churn: &[(Tick, Event)], tracking: Tracking) -> Result<Vec<Row>> {
    let flows = options.flows as usize;
    let outcome = simulate(&Setting {
        backends: options.backends,
        flows,
        end: seconds(options.hours * 3_600),
        seed: options.seed,
        capacity: (flows * ROOM).div_ceil(BALANCERS),
        tracking,
        churn,
    })?;
    ensure!(outcome.begun > 0, "no flow began");
    let row = |event, events, broken| Row {
        tracking,
        event,
        events,
        broken,
        broken_per_million: ratio(broken, outcome.begun) * 1e6,
        entries_per_live_flow: outcome.entries(),
        open_entries_per_live_flow: outcome.open(),
        peak_entries_per_live_flow: outcome.peak,
        tracked_slots_percent: outcome.tracked() * 100.0,
        looked_up_packets_percent: ratio(outcome.looked_up, outcome.packets) * 100.0,
        begun: outcome.begun,
        dead: outcome.dead,
        backends: options.backends,
        slots: table_slots(options.backends),
        flows: options.flows,
        hours: options.hours,
        seed: options.seed,
    };
    let by_cause = CAUSES.into_iter().zip(outcome.broken);
    let mut rows: Vec<Row> = by_cause
        .map(|((cause, name), broken)| {
            let theirs = churn.iter().filter(|(_, event)| event.cause() == cause);
            row(name, theirs.count(), broken)
        })
        .collect();
    rows.push(row("all", churn.len(), outcome.broken.iter().sum()));
    Ok(rows)
}

const COLUMNS: &str = "\
tracking     planned   resize  failure     ecmp      all   entries     open     peak   tracked %  looked up %";

fn print(rows: &[Row]) {
    let Some((all, causes)) = rows.split_last() else {
        return;
    };
    print!("{:<11}", all.tracking.to_string());
    for row in causes.iter().chain([all]) {
        print!("{:>9.1}", row.broken_per_million);
    }
    println!(
        " {:>9.4}{:>9.4}{:>9.4} {:>11.3} {:>12.3}",
        all.entries_per_live_flow,
        all.open_entries_per_live_flow,
        all.peak_entries_per_live_flow,
        all.tracked_slots_percent,
        all.looked_up_packets_percent,
    );
}

fn main() -> Result<()> {
    let options = Options::parse();
    let end = seconds(options.hours * 3_600);
    let churn = churn(options.backends, end, options.seed);
    let count = |cause| churn.iter().filter(|(_, it)| it.cause() == cause).count();
    println!(
        "{} backends, {} slots, {} flows at a time for {} h, {BALANCERS} balancers\n\
         {} planned changes, {} resizes, {} failures and recoveries, {} balancers that go or come back\n\
         connections broken per million begun, by cause, those of dead backends not counted; entries for a live flow: all, \
         those of flows not known to have ended, the most\n{COLUMNS}",
        options.backends,
        table_slots(options.backends),
        options.flows,
        options.hours,
        count(Cause::Planned),
        count(Cause::Resize),
        count(Cause::Failure),
        count(Cause::Ecmp),
    );
    let mut all = Vec::new();
    thread::scope(|scope| {
        let run = |tracking| {
            let (options, churn) = (&options, &churn);
            scope.spawn(move || rows(options, churn, tracking))
        };
        for run in [Tracking::Always, Tracking::Off, Tracking::OnDemand].map(run) {
            let rows = run.join().map_err(|_| anyhow!("a simulation panicked"))??;
            print(&rows);
            all.extend(rows);
        }
        anyhow::Ok(())
    })?;
    println!(
        "not modelled: packets that are lost or overtake each other, balancers that see a failure at different moments, \
         clients that try again, the kernel's approximate LRU, floods, drains with a deadline"
    );
    if let Some(file) = options.json {
        let text = serde_json::to_string_pretty(&all)? + "\n";
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}
