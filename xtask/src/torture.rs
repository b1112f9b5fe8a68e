//! `torture`: the suite of the same name for as long as one likes, from a seed of one's own or a fresh one.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::Stdio,
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{ebpf, fuzz::fresh_seed, setup, shell, workspace};

/// How long, from where, and what to write.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// Run for N minutes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) minutes: u64,
    /// Begin with this seed; without it, with a fresh one, which is printed
    #[arg(long, value_name = "SEED")]
    pub(crate) seed: Option<u64>,
    /// Write what was done and what came of it to FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// What stands before the suite's report.
const REPORT: &str = "torture: ";

/// The report in a line of the suite's output.
fn report(line: &str) -> Option<Value> {
    let (_, report) = line.split_once(REPORT)?;
    serde_json::from_str(report).ok()
}

/// Runs it.
///
/// # Errors
/// Something could not be built, or something was broken.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(
        shell::is_root(),
        "the torture run makes namespaces and loads programs: run this as root"
    );
    setup::run()?;
    ebpf::build_with_next()?;
    let seed = options.seed.unwrap_or_else(fresh_seed);
    println!("seed {seed}");
    let mut command = workspace::cargo("test");
    command
        .args(["--package", "lb-tests", "--test", "torture", "--"])
        .arg("--show-output")
        .env("LB_TORTURE_SEED", seed.to_string())
        .env("LB_TORTURE_SECONDS", (options.minutes * 60).to_string())
        .env("LBD", workspace::release_binary("lbd"))
        .env("LBCTL", workspace::release_binary("lbctl"))
        .env("LBD_NEXT", workspace::next_daemon())
        .stdout(Stdio::piped());
    let mut child = command.spawn().context("starting the torture run")?;
    let mut reported = None;
    let output = child.stdout.take().into_iter();
    for line in output.flat_map(|stdout| BufReader::new(stdout).split(b'\n')) {
        let line = line.context("reading the torture run's output")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        reported = report(&line).or(reported);
    }
    let status = child.wait().context("waiting for the torture run")?;
    let Some(reported) = reported else {
        bail!("the torture run from seed {seed} told nothing ({status})");
    };
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&reported)? + "\n";
        fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    if !status.success() {
        bail!("the torture run from seed {seed} broke something ({status}): see above");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_found_wherever_it_stands_in_a_line() {
        for line in [
            "torture: {\"faults\": 3}",
            "test it ... torture: {\"faults\": 3}",
        ] {
            assert_eq!(report(line).unwrap()["faults"], 3);
        }
        for line in ["torture_seed: 3", "step 1: torture", "torture: {"] {
            assert_eq!(report(line), None, "{line}");
        }
    }
}
