//! `bench report`: runs the benchmarks, keeps their figures with the machine they are from, and writes
//! `docs/benchmarks.md` with plots out of them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

mod figures;
mod goal;
mod machine;
mod plot;
mod section;

use self::{
    figures::{All, Taken},
    machine::Machine,
    section::Document,
};
use super::{Benchmark, Built, vm};
use crate::{verify, workspace};

/// What to measure anew.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// Measure little: figures for a first look, in a quarter of an hour
    #[arg(long)]
    quick: bool,
    /// Measure only these, and keep the other figures
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    only: Vec<Part>,
    /// Measure nothing: write document and plots from the figures that are there
    #[arg(long, conflicts_with_all = ["quick", "only"])]
    render: bool,
}

/// A benchmark of the report.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Verify,
    Packet,
    Path,
    Control,
    Reaction,
    Probes,
    Vm,
}

impl Part {
    const ALL: [Self; 7] = [
        Self::Verify,
        Self::Packet,
        Self::Path,
        Self::Control,
        Self::Reaction,
        Self::Probes,
        Self::Vm,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Packet => "packet",
            Self::Path => "path",
            Self::Control => "control",
            Self::Reaction => "reaction",
            Self::Probes => "probes",
            Self::Vm => "vm",
        }
    }

    fn benchmark(self, quick: bool, file: PathBuf) -> Benchmark {
        let json = Some(file);
        match self {
            Self::Verify => Benchmark::Verify(verify::Bench::told(json)),
            Self::Packet => Benchmark::Built(Built::Packet {
                rows: None,
                quick,
                cpu: None,
                json,
            }),
            Self::Path => Benchmark::Built(Built::Path {
                quick,
                part: None,
                json,
            }),
            Self::Control => Benchmark::Built(Built::Control {
                quick,
                part: None,
                json,
            }),
            Self::Vm => Benchmark::Vm(vm::Options::told(json)),
            Self::Reaction => Benchmark::Built(Built::Reaction {
                backends: 1_000,
                slots: 65_537,
                failures: if quick { 20 } else { 100 },
                json,
            }),
            Self::Probes => Benchmark::Built(Built::Probes {
                backends: 1_000,
                interval: "1s".to_owned(),
                probe: "tcp".to_owned(),
                seconds: if quick { 5 } else { 20 },
                json,
            }),
        }
    }
}

/// Measures and writes. One that fails does not keep the others from being measured; its figures stay those of before.
///
/// # Errors
/// A benchmark failed, or a file could not be read or written.
pub(crate) fn run(options: &Options) -> Result<()> {
    let docs = workspace::root().join("docs");
    let directory = docs.join("benchmarks");
    fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    let parts = match (options.render, options.only.as_slice()) {
        (true, _) => &[],
        (false, []) => Part::ALL.as_slice(),
        (false, only) => only,
    };
    let mut failed = Vec::new();
    for part in parts {
        if let Err(error) = measure(*part, options.quick, &directory) {
            println!("{}: {error:#}", part.name());
            failed.push(part.name());
        }
    }
    write(&docs, &directory)?;
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}

/// Runs one benchmark and keeps its figures.
fn measure(part: Part, quick: bool, directory: &Path) -> Result<()> {
    println!("\n== {} ==", part.name());
    let scratch = tempfile::tempdir().context("making a directory")?;
    let file = scratch.path().join("figures.json");
    let (machine, begin) = (Machine::here(), Instant::now());
    super::run(part.benchmark(quick, file.clone()))?;
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let figures: Value = serde_json::from_str(&text).context("reading what was measured")?;
    let taken = Taken {
        machine,
        is_quick: quick,
        seconds: begin.elapsed().as_secs(),
        figures,
    };
    figures::keep(directory, part.name(), &taken)
}

/// Writes document and plots.
fn write(docs: &Path, directory: &Path) -> Result<()> {
    let file = docs.join("benchmarks.md");
    let before = if file.exists() {
        fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?
    } else {
        String::new()
    };
    let document = Document::of(&All::read(directory)?, &verify::budgets()?, &before)?;
    for (name, svg) in &document.plots {
        let file = directory.join(name).with_extension("svg");
        fs::write(&file, svg).with_context(|| format!("writing {}", file.display()))?;
    }
    fs::write(&file, &document.text).with_context(|| format!("writing {}", file.display()))?;
    println!("\n{} and {} plots", file.display(), document.plots.len());
    Ok(())
}
