//! What the control plane takes: tables by backends and slots, requests on the socket, and what a configuration of a
//! hundred thousand backends costs to start, to apply, to change and to restart.
//!
//! The real daemon in a namespace of its own, with native XDP on one veth. Nothing is probed and all backends are the
//! host itself, so that what is measured is the daemon and not its neighbours.

mod fleet;
mod size;
mod socket;
mod table;

use std::{fs, io::Write as _, path::PathBuf, time::Instant};

use anyhow::{Context as _, Result};
use clap::Parser;
use serde::Serialize;

/// Measures the control plane.
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
    /// Fewer repetitions, and fleets of at most 1,000 backends.
    Quick,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Lookup tables.
    Tables,
    /// The socket.
    Socket,
    /// Fleets of growing size.
    Sizes,
}

/// All figures.
#[derive(Default, Serialize)]
struct Measured {
    /// What the disk takes to keep a page, the median: a part of every change.
    fsync_p50_ms: f64,
    tables: Vec<table::Row>,
    socket: Vec<socket::Row>,
    sizes: Vec<size::Row>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let quick = options.effort == Effort::Quick;
    let is_wanted = |part| options.part.is_none_or(|only| only == part);
    let mut measured = Measured {
        fsync_p50_ms: fsync_ms()?,
        ..Measured::default()
    };
    println!("a page to disk: {:.2} ms", measured.fsync_p50_ms);
    if is_wanted(Part::Tables) {
        measured.tables = table::measure(quick)?;
    }
    if is_wanted(Part::Socket) {
        measured.socket = socket::measure(quick)?;
    }
    if is_wanted(Part::Sizes) {
        measured.sizes = size::measure(quick)?;
    }
    let Some(file) = options.json else {
        return Ok(());
    };
    let text = serde_json::to_string_pretty(&measured)? + "\n";
    fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
}

/// What it takes to write a page to where daemons keep their state here, and to have it on the disk.
fn fsync_ms() -> Result<f64> {
    let directory = tempfile::TempDir::with_prefix("lbt-").context("making a directory")?;
    let file = directory.path().join("page");
    let mut taken = Vec::new();
    for _ in 0..50 {
        let begin = Instant::now();
        let mut page = fs::File::create(&file).context("creating a file")?;
        page.write_all(&[0x5a; 4_096]).context("writing a page")?;
        page.sync_all().context("having a page on the disk")?;
        taken.push(fleet::milliseconds(begin));
    }
    Ok(fleet::percentile(&mut taken, 50))
}
