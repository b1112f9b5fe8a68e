//! Whole paths through real devices: packets per second of the loaded program beside the least of programs and beside
//! the kernel, and TCP through a balancer beside TCP through the kernel, its NAT and a proxy.
//!
//! All of a kind stand side by side, each in namespaces of its own, and take turns: whatever else the machine does meets
//! all alike. Generator, balancer and receiver share the machine, in the first part one CPU.

mod process;
mod rate;
mod stream;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::Parser;
use lb_tests::cost::Spread;
use serde::Serialize;

/// Measures paths.
#[derive(Parser)]
struct Options {
    /// How much is measured
    #[arg(long, value_enum, default_value_t = Effort::Full)]
    effort: Effort,
    /// Only this part
    #[arg(long, value_enum)]
    part: Option<Part>,
    /// Write the figures to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Effort {
    Full,
    /// Fewer rounds.
    Quick,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Packets per second.
    Packets,
    /// TCP.
    Tcp,
    /// Instructions of a packet, where the clock counts them: in a guest of `cargo xtask bench vm`.
    Instructions,
}

/// All figures.
#[derive(Default, Serialize)]
struct All {
    packets: Vec<rate::Row>,
    tcp: Vec<stream::Row>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    instructions: Vec<rate::Count>,
    /// What could not be measured, and why.
    not_measured: Vec<String>,
}

/// Where the figures of all rounds lie; more is better.
#[derive(Clone, Copy, Serialize)]
struct Figures {
    min: f64,
    median: f64,
    max: f64,
}

impl Figures {
    fn of(values: &[f64]) -> Self {
        let spread = Spread::of(values);
        Self {
            min: spread.min,
            median: spread.median,
            max: values.iter().copied().fold(spread.min, f64::max),
        }
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    let quick = options.effort == Effort::Quick;
    let is_wanted = |part| match options.part {
        None => part != Part::Instructions,
        Some(only) => only == part,
    };
    let mut measured = All::default();
    if is_wanted(Part::Packets) {
        measured.packets = rate::measure(quick, &mut measured.not_measured)?;
    }
    if is_wanted(Part::Tcp) {
        measured.tcp = stream::measure(quick, &mut measured.not_measured)?;
    }
    if is_wanted(Part::Instructions) {
        measured.instructions = rate::count(&mut measured.not_measured)?;
    }
    for why in &measured.not_measured {
        println!("NOT MEASURED: {why}");
    }
    let Some(file) = options.json else {
        return Ok(());
    };
    let text = serde_json::to_string_pretty(&measured)? + "\n";
    fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
}

/// Whether a program can be run here.
fn has(program: &str) -> bool {
    let found = std::process::Command::new(program).arg("-v").output();
    found.is_ok_and(|output| output.status.success())
}
