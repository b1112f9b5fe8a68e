//! `fuzz`: random frames to the program, or damaged text to the daemon's parsers, for as long as one likes, from a seed
//! of one's own or a fresh one.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;

use crate::{ebpf, setup, shell, workspace};

/// How long, from where, and what to write.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Options {
    /// What is fuzzed
    #[arg(long, value_enum, default_value_t = Target::Frames)]
    target: Target,
    /// Run for N minutes
    #[arg(long, value_name = "N", default_value_t = 1)]
    minutes: u64,
    /// Begin with this seed; without it, with a fresh one, which is printed
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Write the counts to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What gets the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Target {
    /// The loaded program, beside a model of it
    Frames,
    /// The reader of configurations
    Config,
    /// The decoder of requests
    Protocol,
    /// The reader of saved states
    State,
    /// The reader of their journals
    Journal,
}

impl Target {
    /// The test of the suite `inputs` that feeds the target; none for frames, which have a suite of their own.
    const fn test(self) -> Option<&'static str> {
        match self {
            Self::Frames => None,
            Self::Config => Some("damaged_configurations"),
            Self::Protocol => Some("damaged_requests"),
            Self::State => Some("damaged_states"),
            Self::Journal => Some("damaged_journals"),
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Counts {
    fuzz_packets: u64,
    fuzz_differences: u64,
    seed: u64,
}

impl Counts {
    /// Takes one line of the suite's output.
    fn read(&mut self, line: &str) {
        let number = |marker| {
            let (_, number) = line.split_once(marker)?;
            number.trim().parse().ok()
        };
        self.fuzz_packets = number("fuzz_packets: ").unwrap_or(self.fuzz_packets);
        self.fuzz_differences = number("fuzz_differences: ").unwrap_or(self.fuzz_differences);
    }
}

/// Runs it.
///
/// # Errors
/// Something could not be built, or program and model differ.
pub(crate) fn run(options: &Options) -> Result<()> {
    let seed = options.seed.unwrap_or_else(fresh_seed);
    println!("seed {seed}");
    match options.target.test() {
        Some(test) => inputs(test, seed, options),
        None => frames(seed, options),
    }
}

/// The test of a suite, with a seed and a time of its own.
fn suite(name: &str, seed: u64, options: &Options) -> Command {
    let mut command = workspace::cargo("test");
    command
        .args(["--package", "lb-tests", "--test", name, "--"])
        .arg("--show-output")
        .env("LB_FUZZ_SEED", seed.to_string())
        .env("LB_FUZZ_SECONDS", (options.minutes * 60).to_string());
    command
}

fn inputs(test: &str, seed: u64, options: &Options) -> Result<()> {
    ensure!(
        options.json.is_none(),
        "--json has the counts of frames: leave it out, or fuzz frames"
    );
    let mut command = suite("inputs", seed, options);
    let status = command.arg(test).status().context("starting the fuzzer")?;
    ensure!(status.success(), "fuzzing from seed {seed} ({status})");
    Ok(())
}

fn frames(seed: u64, options: &Options) -> Result<()> {
    ensure!(
        shell::is_root(),
        "the fuzzer loads the program and makes namespaces: run this as root"
    );
    setup::run()?;
    ebpf::build_all(ebpf::Options::default())?;
    let mut counts = Counts {
        seed,
        ..Counts::default()
    };
    let mut command = suite("fuzz", seed, options);
    command.stdout(Stdio::piped());
    let mut child = command.spawn().context("starting the fuzzer")?;
    let output = child.stdout.take().into_iter();
    for line in output.flat_map(|stdout| BufReader::new(stdout).split(b'\n')) {
        let line = line.context("reading the fuzzer's output")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        counts.read(&line);
    }
    let status = child.wait().context("waiting for the fuzzer")?;
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&counts)? + "\n";
        fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    if !status.success() {
        bail!(
            "fuzzing from seed {seed}: {} differences in {} packets ({status})",
            counts.fuzz_differences,
            counts.fuzz_packets
        );
    }
    Ok(())
}

/// The clock's nanoseconds: another one with every run.
pub(crate) fn fresh_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| {
        u64::from(now.subsec_nanos()) << 32 | now.as_secs() & 0xffff_ffff
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_wherever_they_stand_in_a_line() {
        let mut counts = Counts::default();
        for line in [
            "test it ... fuzz_packets: 12",
            "fuzz_differences: 3",
            "test ok",
        ] {
            counts.read(line);
        }
        assert_eq!((counts.fuzz_packets, counts.fuzz_differences), (12, 3));
    }
}
