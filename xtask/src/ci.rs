//! `ci`: everything that must hold before a change is accepted, step by step, each with its time.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::Deserialize;

use crate::{
    bench, demo, setup,
    shell::{self, AlreadySaid},
    test::{self, Report},
    tidy, torture, verify,
    vm::{Extent, Kernel},
    workspace,
};

/// Requests that a demo makes at least.
const DEMO_REQUESTS: u64 = 3_000;

/// A step's name, how long it took, and how it ended.
struct Outcome {
    name: &'static str,
    took: Duration,
    result: Result<()>,
}

/// Runs every step, even after one has failed: one run tells all. Ends with the tests' closing line.
///
/// # Errors
/// Set-up or a step failed.
pub(crate) fn run() -> Result<()> {
    setup::run()?;
    let mut report = None;
    let mut untried = Vec::new();
    let outcomes = [
        step("format", || {
            cargo("checking the format", "fmt", &["--all", "--check"])
        }),
        step("clippy", clippy),
        step("tidy", tidy::run),
        step("deny", deny),
        step("doc", doc),
        step("verify", || verify::bench(&verify::Bench::default())),
        step("test", || suites(&mut report)),
        step("kernels", || kernels(&mut untried)),
        step("instructions", || instructions(&mut untried)),
        step("torture", torture),
        step("demo", demo_figures),
    ];
    println!("\n== summary ==");
    for Outcome { name, took, result } in &outcomes {
        let result = result
            .as_ref()
            .map_or_else(|error| format!("FAILED: {error:#}"), |()| "ok".to_owned());
        println!("{name:<12} {:>7.1} s  {result}", took.as_secs_f64());
    }
    for kernel in &untried {
        println!("NOT TRIED: {kernel}");
    }
    println!(
        "{}",
        report
            .as_ref()
            .map_or_else(|| "0 passed, 1 failed".to_owned(), Report::closing_line)
    );
    if outcomes.iter().any(|outcome| outcome.result.is_err()) {
        return Err(AlreadySaid.into());
    }
    Ok(())
}

fn step(name: &'static str, work: impl FnOnce() -> Result<()>) -> Outcome {
    println!("\n== {name} ==");
    let start = Instant::now();
    let result = work();
    if let Err(error) = &result {
        println!("{name}: {error:#}");
    }
    Outcome {
        name,
        took: start.elapsed(),
        result,
    }
}

fn cargo(purpose: &str, subcommand: &str, arguments: &[&str]) -> Result<()> {
    shell::run(purpose, workspace::cargo(subcommand).args(arguments))
}

/// The whole workspace, the eBPF crate as compiled for this host among it.
fn clippy() -> Result<()> {
    let arguments = ["--workspace", "--all-targets", "--", "-D", "warnings"];
    cargo("checking with clippy", "clippy", &arguments)
}

fn doc() -> Result<()> {
    let mut command = workspace::cargo("doc");
    command
        .args(["--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "-Dwarnings");
    shell::run("building the documentation", &mut command)
}

/// Checks the dependencies' licences, sources and duplicates by `deny.toml`. Where cargo-deny is missing
/// and cannot be installed, says so and lets it pass.
///
/// # Errors
/// A dependency breaks a rule.
pub(crate) fn deny() -> Result<()> {
    if shell::find("cargo-deny").is_none() {
        println!("installing cargo-deny: cargo install cargo-deny --locked");
        let mut install = Command::new("cargo");
        install
            .args(["install", "cargo-deny", "--locked"])
            .current_dir(workspace::root());
        if let Err(error) = shell::run("installing cargo-deny", &mut install) {
            println!("NOT CHECKED: dependencies: {error:#}");
            return Ok(());
        }
    }
    let arguments = [
        "check",
        "--hide-inclusion-graph",
        "licenses",
        "bans",
        "sources",
    ];
    cargo("checking the dependencies", "deny", &arguments)
}

fn suites(report: &mut Option<Report>) -> Result<()> {
    let options = test::Options {
        json: Some(figures("test.json")?),
        ..test::Options::default()
    };
    let counted = test::counted(&options)?;
    println!("\n{counted}");
    report.insert(counted).verdict()
}

/// The essential tests on the oldest and the newest kernel. One that cannot be had is added to `untried` and lets the
/// step pass: what a machine cannot fetch is no fault of the change.
fn kernels(untried: &mut Vec<String>) -> Result<()> {
    let options = test::Options {
        json: Some(figures("kernels.json")?),
        vm: Kernel::ENDS.into(),
        extent: Extent::Essential,
        ..test::Options::default()
    };
    let report = test::counted(&options)?;
    println!("\n{report}{}", report.closing_line());
    untried.extend(report.untried());
    if untried.len() == options.vm.len() {
        return Ok(());
    }
    report.verdict()
}

/// Instructions by packet in a guest of the newest kernel.
fn instructions(untried: &mut Vec<String>) -> Result<()> {
    if let Some(why) = bench::vm::run(&bench::vm::Options::default())? {
        untried.push(format!("instructions by packet: {why}"));
    }
    Ok(())
}

/// From a fresh seed, which a failure names; the suite of that name always has the same.
fn torture() -> Result<()> {
    torture::run(&torture::Options {
        minutes: 1,
        seed: None,
        json: Some(figures("torture.json")?),
    })
}

/// A file for figures, under the target directory.
fn figures(name: &str) -> Result<std::path::PathBuf> {
    let directory = workspace::target().join("ci");
    fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    Ok(directory.join(name))
}

/// What the demo writes, as far as it is judged here.
#[derive(Deserialize)]
struct Figures {
    requests_ok: u64,
    requests_failed_outside_failover: u64,
    per_backend: std::collections::BTreeMap<String, u64>,
    families: Vec<String>,
    xdp_mode: String,
    ledger_balanced: bool,
}

fn demo_figures() -> Result<()> {
    let file = figures("demo.json")?;
    demo::run(&demo::Options {
        keep: false,
        json: Some(file.clone()),
    })?;
    judge(&read_figures(&file)?)
}

fn read_figures(file: &Path) -> Result<Figures> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("reading the demo's figures in {}", file.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("reading the demo's figures in {}", file.display()))
}

/// What a demo must have shown.
fn judge(figures: &Figures) -> Result<()> {
    let lost = figures.requests_failed_outside_failover;
    ensure!(
        lost == 0,
        "the demo lost {lost} requests outside of the failover"
    );
    let ok = figures.requests_ok;
    ensure!(
        ok >= DEMO_REQUESTS,
        "the demo made {ok} good requests, fewer than {DEMO_REQUESTS}"
    );
    let families = &figures.families;
    ensure!(
        families == &["v4", "v6"],
        "the demo ran over {families:?}, not over v4 and v6"
    );
    let mode = &figures.xdp_mode;
    ensure!(
        mode == "native",
        "the demo ran in XDP mode {mode}, not native"
    );
    ensure!(
        !figures.per_backend.is_empty(),
        "the demo's requests reached no backend"
    );
    figures
        .ledger_balanced
        .then_some(())
        .ok_or_else(|| anyhow!("the demo's ledger does not add up to the packets received"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The verdict on a good demo with some figures changed.
    fn verdict(change: Value) -> Result<()> {
        let mut figures = json!({
            "requests_ok": 3_000, "requests_failed": 4, "requests_failed_outside_failover": 0,
            "per_backend": {"red": 1_500, "blue": 1_500}, "detect_ms": 900, "families": ["v4", "v6"],
            "xdp_mode": "native", "ledger_balanced": true, "generations": 6,
        });
        let Value::Object(change) = change else {
            panic!("an object")
        };
        figures.as_object_mut().unwrap().extend(change);
        judge(&serde_json::from_value(figures).unwrap())
    }

    #[test]
    fn a_good_demo_passes() {
        verdict(json!({})).unwrap();
    }

    #[test]
    fn each_bad_figure_fails_the_demo() {
        for change in [
            json!({"requests_failed_outside_failover": 1}),
            json!({"requests_ok": 2_999}),
            json!({"families": ["v4"]}),
            json!({"xdp_mode": "generic"}),
            json!({"ledger_balanced": false}),
            json!({"per_backend": {}}),
        ] {
            assert!(verdict(change.clone()).is_err(), "{change}");
        }
    }
}
