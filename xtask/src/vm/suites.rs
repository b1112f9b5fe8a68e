//! What is run in a guest: the suites' programs, built once for all kernels.

use std::{collections::BTreeMap, path::PathBuf, process::Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::job::{Job, Step};
use crate::{ebpf, shell, workspace};

/// The suite that loads every program and reports what each costs.
pub(super) const VERIFY: &str = "verify";

/// Suites of package lb-tests, and which of their tests are essential enough for a slow, emulated machine;
/// no filter means all.
const SUITES: [(&str, &[&str]); 3] = [
    ("dataplane", &[]),
    (
        "netns",
        &[
            "l2_serves_tcp_and_udp",
            "nat_serves_tcp_and_udp",
            "ip_in_ip_carries",
            "restart::",
        ],
    ),
    ("vm", &[]),
];

/// Builds the suites; the steps that run those tests whose names contain `filter`, or all that are essential.
///
/// # Errors
/// Something could not be built.
pub(super) fn job(filter: Option<&str>) -> Result<Job> {
    ebpf::build_all(ebpf::Options::default())?;
    let programs = built()?;
    let mut steps = Vec::new();
    if filter.is_none_or(|filter| VERIFY.contains(filter)) {
        steps.push(verify()?);
    }
    for (suite, essential) in SUITES {
        let program = programs.get(suite);
        let program = program.with_context(|| format!("cargo built no suite {suite}"))?;
        steps.push(step(suite, program.clone(), essential, filter));
    }
    Ok(Job {
        steps,
        environment: environment(),
    })
}

fn verify() -> Result<Step> {
    let figures = "/tmp/verify.json";
    let object = ebpf::object_path().display().to_string();
    let arguments = [VERIFY, "--object", &object, "--json", figures];
    Ok(Step {
        suite: VERIFY.to_owned(),
        program: std::env::current_exe().context("looking for this program's file")?,
        arguments: arguments.map(str::to_owned).into(),
        directory: workspace::root(),
        figures: Some(figures.into()),
    })
}

fn step(suite: &str, program: PathBuf, essential: &[&str], filter: Option<&str>) -> Step {
    // One test at a time: they have deadlines, and the machine is slow enough.
    let options = ["--show-output", "--test-threads=1"];
    let filters = match &filter {
        Some(filter) => std::slice::from_ref(filter),
        None => essential,
    };
    let arguments = options.iter().chain(filters);
    Step {
        suite: suite.to_owned(),
        program,
        arguments: arguments.map(|&it| it.to_owned()).collect(),
        directory: workspace::root().join("tests"),
        figures: None,
    }
}

fn environment() -> BTreeMap<String, String> {
    let paths = [
        ("LBD", workspace::release_binary("lbd")),
        ("LBCTL", workspace::release_binary("lbctl")),
        ("LB_EBPF_OBJECT", ebpf::object_path()),
    ];
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let words = [("PATH", path), ("HOME", "/root"), ("RUST_BACKTRACE", "0")];
    let paths = paths.map(|(name, path)| (name, path.display().to_string()));
    let words = words.map(|(name, word)| (name, word.to_owned()));
    let variables = paths.into_iter().chain(words);
    variables
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// A line of cargo's `--message-format=json`, as far as it tells of a program.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// The suites' programs by name.
fn built() -> Result<BTreeMap<String, PathBuf>> {
    let mut command = workspace::cargo("test");
    command
        .args(["--no-run", "--message-format=json", "--package", "lb-tests"])
        .args(SUITES.iter().flat_map(|(suite, _)| ["--test", suite]));
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("could not start `{}`", shell::line(&command)))?;
    if !output.status.success() {
        bail!("building the suites: `{}` failed", shell::line(&command));
    }
    Ok(programs(&String::from_utf8_lossy(&output.stdout)))
}

fn programs(messages: &str) -> BTreeMap<String, PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Artifact>(line).ok())
        .filter_map(|artifact| Some((artifact.target.name, artifact.executable?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_read_from_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"lb_tests"},"executable":null}
                          {"reason":"compiler-artifact","target":{"name":"netns"},"executable":"/t/netns-1"}
                          {"reason":"build-finished","success":true}"#;
        let wanted = BTreeMap::from([("netns".to_owned(), "/t/netns-1".into())]);
        assert_eq!(programs(messages), wanted);
    }

    #[test]
    fn a_filter_takes_the_place_of_what_is_essential() {
        let words = |filter| step("netns", "/netns".into(), &["l2"], filter).arguments;
        assert!(words(None).ends_with(&["l2".to_owned()]));
        assert!(words(Some("heal")).ends_with(&["heal".to_owned()]));
    }
}
