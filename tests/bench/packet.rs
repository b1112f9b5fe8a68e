//! What one packet costs the loaded program, beside what any program must do: a row for each kind of packet, mode,
//! number of flows and services.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};
use lb_tests::cost::{self, Cost, Effort, Scenario};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Measures packets.
#[derive(Parser)]
struct Options {
    /// Measure only rows whose name contains FILTER
    #[arg(long, value_name = "FILTER", default_value = "")]
    rows: String,
    /// How much is measured
    #[arg(long, value_enum, default_value_t = Much::Full)]
    effort: Much,
    /// The CPU to run on; the last one if it is not said
    #[arg(long, value_name = "N")]
    cpu: Option<usize>,
    /// Write the rows to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Much {
    Full,
    Quick,
}

impl From<Much> for Effort {
    fn from(much: Much) -> Self {
        match much {
            Much::Full => Self::FULL,
            Much::Quick => Self::QUICK,
        }
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let rows: Vec<Scenario> = Scenario::all()
        .into_iter()
        .filter(|row| row.name().contains(&options.rows))
        .collect();
    ensure!(
        !rows.is_empty(),
        "no row's name contains `{}`",
        options.rows
    );
    bind(options.cpu)?;
    let effort = options.effort.into();
    println!(
        "nanoseconds by packet, the wrapper's own among them; the floor's and the ratio are of medians\n{:<48} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6}",
        "row", "min", "p10", "median", "p90", "floor", "ratio"
    );
    let mut costs = Vec::new();
    let mut told = |cost: Cost| {
        print(&cost);
        costs.push(cost);
    };
    cost::floors(effort).into_iter().for_each(&mut told);
    for row in rows {
        told(cost::measure(row, effort));
    }
    if let Some(file) = options.json {
        let text = serde_json::to_string_pretty(&costs)? + "\n";
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(())
}

/// Keeps this thread, and those that it starts, on one CPU.
fn bind(cpu: Option<usize>) -> Result<()> {
    let allowed = sched_getaffinity(None).context("asking which CPUs there are")?;
    let last = (0..CpuSet::MAX_CPU).rfind(|cpu| allowed.is_set(*cpu));
    let cpu = cpu.or(last).context("there is no CPU to run on")?;
    ensure!(
        cpu < CpuSet::MAX_CPU,
        "there is no CPU {cpu}: the last is {last:?}"
    );
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only).with_context(|| format!("keeping to CPU {cpu}"))
}

fn print(cost: &Cost) {
    println!(
        "{:<48} {:>6.0} {:>6.0} {:>6.0} {:>6.0} {:>6.0} {:>6.2}",
        cost.name,
        cost.ns_min,
        cost.ns_p10,
        cost.ns_median,
        cost.ns_p90,
        cost.floor_ns_median,
        cost.ratio
    );
}
