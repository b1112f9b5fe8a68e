//! `bench`: the benchmarks of the product, built in release mode where that matters and run one by one.

use std::path::{self, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;

mod report;
pub(crate) mod vm;

use crate::{ebpf, setup, shell, verify, workspace};

/// A benchmark, and what it is to be told.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Benchmark {
    /// What the verifier and the JIT of this kernel make of each program, with few and with all features, as root; fails
    /// if one is over its budget in xtask/budgets.toml
    Verify(verify::Bench),
    /// Instructions by packet and path, counted in an emulated guest; fails if one of ours is 3 % over its
    /// budget in xtask/instructions.toml
    Vm(vm::Options),
    /// Runs the benchmarks of docs/benchmarks.md and writes it, with its plots
    Report(report::Options),
    #[command(flatten)]
    Built(Built),
}

/// A benchmark of the package `lb-tests`.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Built {
    /// Nanoseconds that one packet costs the loaded program, beside what any program must do, as root
    Packet {
        /// Measure only rows whose name contains FILTER
        #[arg(long, value_name = "FILTER")]
        rows: Option<String>,
        /// Fewer runs: figures for a first look
        #[arg(long)]
        quick: bool,
        /// The CPU to run on; the last one if it is not said
        #[arg(long, value_name = "N")]
        cpu: Option<usize>,
        /// Write the rows to FILE
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Which connections a fleet of balancers breaks under churn, and how many it remembers for it, by `tracking`: a
    /// simulation
    Consistency {
        /// Backends of the service
        #[arg(long, value_name = "N", default_value_t = 500)]
        backends: u32,
        /// Flows at a time
        #[arg(long, value_name = "N", default_value_t = 20_000)]
        flows: u32,
        /// Simulated time
        #[arg(long, value_name = "N", default_value_t = 2)]
        hours: u32,
        /// What chance is made from
        #[arg(long, value_name = "SEED", default_value_t = 1)]
        seed: u64,
        /// Write the rows to FILE
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// What the control plane takes: tables, the socket, fleets of up to 100,000 backends; as root; needs what
    /// `cargo xtask build` leaves
    Control {
        /// Fewer repetitions, and fleets of at most 1,000 backends
        #[arg(long)]
        quick: bool,
        /// Only this part: tables, socket or sizes
        #[arg(long, value_name = "PART")]
        part: Option<String>,
        /// Write the figures to FILE
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Packets per second through real devices, beside the least of programs and the kernel; and TCP through the
    /// balancer, beside the kernel's NAT and a proxy; as root; needs what `cargo xtask build` leaves
    Path {
        /// Fewer rounds: figures for a first look
        #[arg(long)]
        quick: bool,
        /// Only this part: packets or tcp
        #[arg(long, value_name = "PART")]
        part: Option<String>,
        /// Write the figures to FILE
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// What probing costs the daemon, and how late probes begin, as root; needs what `cargo xtask build` leaves
    Probes {
        /// How many backends
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        backends: u32,
        /// How often each is probed
        #[arg(long, value_name = "TIME", default_value = "1s")]
        interval: String,
        /// How: tcp or http
        #[arg(long, value_name = "TYPE", default_value = "tcp")]
        probe: String,
        /// How long it is measured
        #[arg(long, value_name = "N", default_value_t = 20)]
        seconds: u64,
        /// Write the result to FILE
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// How long it takes from the third failed probe of a backend to the new table in the kernel, as root; needs what
    /// `cargo xtask build` leaves
    Reaction {
        /// How many backends
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        backends: u32,
        /// Slots of the lookup table
        #[arg(long, value_name = "N", default_value_t = 65_537)]
        slots: u32,
        /// How many of the backends fail, one after the other
        #[arg(long, value_name = "N", default_value_t = 100)]
        failures: u32,
        /// Write the result to FILE
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// What a change moves in a lookup table, how even the table stays, and how long it takes to build
    Tables {
        /// Fleets to take the mean of
        #[arg(long, value_name = "N", default_value_t = 200)]
        trials: usize,
        /// Sizes of the table
        #[arg(long, value_name = "N,N", default_value = "65537,655373")]
        slots: String,
        /// Write the rows to FILE
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
}

/// Runs it.
///
/// # Errors
/// It could not be built, or ended with an error.
pub(crate) fn run(benchmark: Benchmark) -> Result<()> {
    match benchmark {
        Benchmark::Verify(bench) => verify::bench(&bench),
        Benchmark::Report(options) => report::run(&options),
        Benchmark::Vm(options) => match vm::run(&options)? {
            Some(why) => bail!("nothing was held against budgets: {why}"),
            None => Ok(()),
        },
        Benchmark::Built(built) => run_built(built),
    }
}

fn run_built(benchmark: Built) -> Result<()> {
    // What is measured there has a profile of its own; the driver need not be built anew.
    let is_in_kernel = matches!(benchmark, Built::Packet { .. });
    let (name, arguments, json) = match benchmark {
        Built::Packet {
            rows,
            quick,
            cpu,
            json,
        } => {
            setup::run()?;
            ebpf::build_object(ebpf::Options::default())?;
            ebpf::build_bench_object()?;
            let cpu = cpu.map(|cpu| ("--cpu", cpu.to_string()));
            let rows = rows.map(|rows| ("--rows", rows));
            let arguments = [effort(quick)].into_iter().chain(cpu).chain(rows);
            ("packet", arguments.collect(), json)
        }
        Built::Consistency {
            backends,
            flows,
            hours,
            seed,
            json,
        } => {
            let arguments = [
                ("--backends", backends.to_string()),
                ("--flows", flows.to_string()),
                ("--hours", hours.to_string()),
                ("--seed", seed.to_string()),
            ];
            ("consistency", arguments.to_vec(), json)
        }
        Built::Control { quick, part, json } => {
            let part = part.map(|part| ("--part", part));
            let arguments = [effort(quick)].into_iter().chain(part);
            ("control", arguments.collect(), json)
        }
        Built::Path { quick, part, json } => {
            setup::run()?;
            ebpf::build_bench_object()?;
            let part = part.map(|part| ("--part", part));
            let arguments = [effort(quick)].into_iter().chain(part);
            ("path", arguments.collect(), json)
        }
        Built::Probes {
            backends,
            interval,
            probe,
            seconds,
            json,
        } => {
            let (backends, seconds) = (backends.to_string(), seconds.to_string());
            let arguments = [
                ("--backends", backends),
                ("--interval", interval),
                ("--probe", probe),
                ("--seconds", seconds),
            ];
            ("probes", arguments.to_vec(), json)
        }
        Built::Reaction {
            backends,
            slots,
            failures,
            json,
        } => {
            let arguments = [
                ("--backends", backends.to_string()),
                ("--slots", slots.to_string()),
                ("--failures", failures.to_string()),
            ];
            ("reaction", arguments.to_vec(), json)
        }
        Built::Tables {
            trials,
            slots,
            json,
        } => {
            let arguments = [("--trials", trials.to_string()), ("--slots", slots)];
            ("tables", arguments.to_vec(), json)
        }
    };
    let mut command = workspace::cargo("bench");
    command
        .args(["--quiet", "--package", "lb-tests", "--bench", name])
        // Daemons with many thousands of backends may take minutes for an answer, which is then a figure.
        .env("LB_TEST_PATIENCE", "15");
    if is_in_kernel {
        command.args(["--profile", "dev"]);
    }
    command.arg("--");
    for (flag, value) in arguments {
        command.args([flag, &value]);
    }
    if let Some(file) = json {
        // cargo runs benchmarks in the folder of their package.
        let file = path::absolute(&file).with_context(|| format!("finding {}", file.display()))?;
        command.arg("--json").arg(file);
    }
    shell::run("running the benchmark", &mut command)
}

/// How much a benchmark is to measure.
fn effort(quick: bool) -> (&'static str, String) {
    ("--effort", if quick { "quick" } else { "full" }.to_owned())
}
