//! `bench`: the benchmarks of the product, built in release mode and run one by one.

use std::path::{self, PathBuf};

use anyhow::{Context as _, Result};
use clap::Subcommand;

use crate::{shell, workspace};

/// A benchmark, and what it is to be told.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Benchmark {
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
    let Benchmark::Tables {
        trials,
        slots,
        json,
    } = benchmark;
    let mut command = workspace::cargo("bench");
    command
        .args(["--quiet", "--package", "lb-tests", "--bench", "tables"])
        .args(["--", "--trials", &trials.to_string(), "--slots", &slots]);
    if let Some(file) = json {
        // cargo runs benchmarks in the folder of their package.
        let file = path::absolute(&file).with_context(|| format!("finding {}", file.display()))?;
        command.arg("--json").arg(file);
    }
    shell::run("running the benchmark", &mut command)
}
