//! `test`: builds everything, runs every suite, counts, and sees that nothing is left behind.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

mod leftovers;
mod libtest;
mod report;

use crate::{
    ebpf, setup,
    shell::{self, AlreadySaid},
    vm::{self, Extent, Kernel},
    workspace,
};
use leftovers::Leftovers;
pub(crate) use libtest::Reader;
pub(crate) use report::{Report, Suite};

/// Which tests to run.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Write the counts to FILE
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Run only tests whose name contains FILTER
    pub(crate) filter: Option<String>,
    /// Run the essential tests on these kernels of Debian's, in emulated guests, instead of here: 5.10, 6.1, 6.12,
    /// newest
    #[arg(long, value_name = "KERNEL", num_args = 1..)]
    pub(crate) vm: Vec<Kernel>,
    /// How much is run there; `ci` runs what is essential
    #[arg(long, value_enum, default_value_t, requires = "vm")]
    pub(crate) extent: Extent,
}

/// A suite: its name and what `cargo test` needs to run it.
struct Selection {
    name: &'static str,
    arguments: &'static [&'static str],
}

/// Every suite. The last six load programs and make namespaces.
const SUITES: [Selection; 12] = [
    suite("lb-common", &["--package", "lb-common"]),
    suite("lb-ebpf", &["--package", "lb-ebpf", "--lib"]),
    suite("lb-userspace", &["--package", "lb-userspace"]),
    suite("xtask", &["--package", "xtask"]),
    suite(
        "consistency",
        &["--package", "lb-tests", "--test", "consistency"],
    ),
    suite("inputs", &["--package", "lb-tests", "--test", "inputs"]),
    suite("abi", &["--package", "lb-tests", "--test", "abi"]),
    suite(
        "dataplane",
        &["--package", "lb-tests", "--test", "dataplane"],
    ),
    suite("fuzz", &["--package", "lb-tests", "--test", "fuzz"]),
    suite("netns", &["--package", "lb-tests", "--test", "netns"]),
    suite("torture", &["--package", "lb-tests", "--test", "torture"]),
    suite(
        "bench",
        &[
            "--package",
            "lb-bench-ebpf",
            "--package",
            "lb-tests",
            "--lib",
            "--test",
            "bench",
        ],
    ),
];

/// The suite whose tests keep time: real probes, connections and time-outs, a dozen at once.
const IN_REAL_TIME: &str = "netns";
/// How many of them are tried again: more do not fail by chance.
const FEW: usize = 3;

const fn suite(name: &'static str, arguments: &'static [&'static str]) -> Selection {
    Selection { name, arguments }
}

/// Runs every suite and prints the counts.
///
/// # Errors
/// Something could not be built, a test failed, none ran, something was left behind, or a kernel that was asked for
/// could not be had.
pub(crate) fn run(options: &Options) -> Result<()> {
    let report = counted(options)?;
    println!("\n{report}");
    let mut verdict = report.verdict();
    if let Some(kernel) = report.untried().next() {
        verdict = verdict.and_then(|()| bail!("not every kernel could be tried: {kernel}"));
    }
    if let Err(error) = &verdict {
        println!("{error}");
    }
    println!("{}", report.closing_line());
    verdict.map_err(|_| AlreadySaid.into())
}

/// Runs every suite; the counts are the caller's to print and to judge.
///
/// # Errors
/// The suites could not be run.
pub(crate) fn counted(options: &Options) -> Result<Report> {
    if !shell::is_root() {
        bail!(
            "the suites abi, dataplane, fuzz, netns, torture and bench load programs and make namespaces: run this as root, \
             or a crate's own tests by `cargo test -p lb-userspace`"
        );
    }
    setup::run()?;
    let report = if options.vm.is_empty() {
        here(options)?
    } else {
        let mut report = Report::new(BTreeMap::new(), Vec::new());
        report.add_kernels(vm::matrix(options)?);
        report
    };
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(report)
}

/// Runs every suite on this kernel.
fn here(options: &Options) -> Result<Report> {
    ebpf::build_with_next()?;
    ebpf::build_bench_object()?;
    let before = Leftovers::observe();
    let mut suites = BTreeMap::new();
    for selection in &SUITES {
        let mut suite = run_suite(selection, &filter(options.filter.as_deref()))?;
        if selection.name == IN_REAL_TIME {
            try_again(selection, &mut suite)?;
        }
        suites.insert(selection.name.to_owned(), suite);
    }
    Ok(Report::new(suites, Leftovers::observe().beyond(&before)))
}

/// What the harness gets to run only some tests.
fn filter(filter: Option<&str>) -> Vec<&str> {
    filter.into_iter().collect()
}

/// Runs those of `suite` that have failed once more, each by itself, if they are few: what then passes was kept from its
/// time by the others. It is told as unsteady.
fn try_again(selection: &Selection, suite: &mut Suite) -> Result<()> {
    if suite.failures.len() > FEW || suite.failed != suite.failures.len() {
        return Ok(());
    }
    for test in suite.failures.clone() {
        let alone = run_suite(selection, &["--exact", &test])?;
        if alone.passed == 1 && alone.failed == 0 {
            suite.was_unsteady(&test);
        }
    }
    Ok(())
}

/// Runs one suite, its output passed through line by line; `filter` says which tests, if not all.
fn run_suite(selection: &Selection, filter: &[&str]) -> Result<Suite> {
    println!("\n== {} ==", selection.name);
    let mut command = command(selection, filter);
    let line = shell::line(&command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("running suite {}: could not start `{line}`", selection.name))?;
    let mut reader = Reader::default();
    for line in child
        .stdout
        .take()
        .into_iter()
        .flat_map(|stdout| BufReader::new(stdout).split(b'\n'))
    {
        let line =
            line.with_context(|| format!("reading the output of suite {}", selection.name))?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        reader.read(&line);
    }
    let status = child
        .wait()
        .with_context(|| format!("waiting for suite {}", selection.name))?;
    Ok(reader.finish(selection.name, status.success(), !filter.is_empty()))
}

fn command(selection: &Selection, filter: &[&str]) -> Command {
    let mut command = workspace::cargo("test");
    command
        .arg("--no-fail-fast")
        .args(selection.arguments)
        .arg("--")
        // Skips and fixture rows are told on standard output, by tests that pass.
        .args(["--show-output"])
        .args(filter)
        .env("LBD", workspace::release_binary("lbd"))
        .env("LBCTL", workspace::release_binary("lbctl"))
        .env("LBD_NEXT", workspace::next_daemon());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_gets_the_built_programs_and_the_filter() {
        let netns = SUITES.iter().find(|suite| suite.name == "netns");
        let command = command(netns.unwrap(), &["restart"]);
        let line = shell::line(&command);
        assert!(
            line.contains("--package lb-tests --test netns -- "),
            "{line}"
        );
        assert!(line.ends_with(" restart"), "{line}");
        for name in ["LBD", "LBCTL", "LBD_NEXT", "LB_EBPF_OBJECT"] {
            let value = command
                .get_envs()
                .find(|(it, _)| *it == name)
                .and_then(|(_, value)| value);
            assert!(PathBuf::from(value.unwrap()).is_absolute(), "{name}");
        }
    }
}
