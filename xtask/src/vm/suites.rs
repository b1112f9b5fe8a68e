//! What is run in a guest: the suites' programs, built once for all kernels.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::{
    Extent,
    job::{Job, Step},
};
use crate::{ebpf, shell, workspace};

/// The suite that loads every program and reports what each costs.
pub(super) const VERIFY: &str = "verify";

/// A suite of package lb-tests, and the filters for its tests that say something of the kernel.
struct Selection {
    name: &'static str,
    essential: &'static [&'static str],
    /// Whether all others are worth an emulated machine's time, too.
    is_wholly_useful: bool,
}

const SUITES: [Selection; 2] = [
    Selection {
        name: "netns",
        essential: &[
            "l2_serves_tcp_and_udp",
            "nat_serves_tcp_and_udp",
            "ip_in_ip_carries",
            "kill_loses_no_request_and_moves_no_flow_in_l2",
            "stop_with_detach",
            "kernel_tunnel::",
            "vlan_device::frames_to_backends",
            "vlan_device::nat_between_vlans",
            "vlan_device::tagged_clients",
            "bad_link::",
            "probe_via_vip::a_vip_or_tunnel_that_is_broken_is_found_in_ipip",
        ],
        is_wholly_useful: false,
    },
    Selection {
        name: "dataplane",
        essential: &[
            "packets_reach_backends_in_both_modes",
            "tunnels_carry_every_packet_whole",
            "vlan_tags_are_parsed_and_kept",
            "used_up_hops_and_big_packets",
            "decap::tunnels_are_taken_off",
        ],
        is_wholly_useful: true,
    },
];

/// How many times slower than usual an emulated machine may be; the harness of the suites waits so much longer.
const PATIENCE: &str = "8";

impl Selection {
    /// Filters for the tests of that extent; none means all.
    const fn filters(&self, extent: Extent) -> &'static [&'static str] {
        match extent {
            Extent::Whole if self.is_wholly_useful => &[],
            Extent::Whole | Extent::Essential => self.essential,
        }
    }
}

/// Builds the suites; the steps that run those tests whose names contain `filter`, or those of `extent`.
///
/// # Errors
/// Something could not be built.
pub(super) fn job(extent: Extent, filter: Option<&str>) -> Result<Job> {
    ebpf::build_all(ebpf::Options::default())?;
    let programs = built()?;
    let mut steps = Vec::new();
    if filter.is_none_or(|filter| VERIFY.contains(filter)) {
        steps.push(verify()?);
    }
    for suite in &SUITES {
        let program = programs.get(suite.name);
        let program = program.with_context(|| format!("cargo built no suite {}", suite.name))?;
        let filters = match &filter {
            Some(filter) => std::slice::from_ref(filter),
            None => suite.filters(extent),
        };
        steps.push(step(suite.name, program.clone(), filters));
    }
    Ok(Job {
        steps,
        environment: environment(),
    })
}

fn verify() -> Result<Step> {
    let figures = "/tmp/verify.json";
    let object = ebpf::object_path().display().to_string();
    let arguments = [VERIFY, "--object", &object, "--json", figures, "--budgets"];
    Ok(Step {
        suite: VERIFY.to_owned(),
        program: std::env::current_exe().context("looking for this program's file")?,
        arguments: arguments.map(str::to_owned).into(),
        directory: workspace::root(),
        figures: Some(figures.into()),
    })
}

fn step(suite: &str, program: PathBuf, filters: &[&str]) -> Step {
    // One test at a time: they have deadlines, and the machine is slow enough.
    let options = ["--show-output", "--test-threads=1"];
    let arguments = options.iter().chain(filters);
    Step {
        suite: suite.to_owned(),
        program,
        arguments: arguments.map(|&it| it.to_owned()).collect(),
        directory: workspace::root().join("tests"),
        figures: None,
    }
}

pub(super) fn environment() -> BTreeMap<String, String> {
    let paths = [
        ("LBD", workspace::release_binary("lbd")),
        ("LBCTL", workspace::release_binary("lbctl")),
        ("LB_EBPF_OBJECT", ebpf::object_path()),
    ];
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let words = [
        ("PATH", path),
        ("HOME", "/root"),
        ("LB_TEST_PATIENCE", PATIENCE),
    ];
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
    command.args(SUITES.iter().flat_map(|suite| ["--test", suite.name]));
    built_by(command)
}

/// The program of a benchmark.
///
/// # Errors
/// It could not be built.
pub(super) fn benchmark(name: &str) -> Result<PathBuf> {
    let mut command = workspace::cargo("bench");
    command.args(["--bench", name]);
    let built = built_by(command)?.remove(name);
    built.with_context(|| format!("cargo built no benchmark {name}"))
}

/// The programs that a command of cargo's builds, by name.
fn built_by(mut command: Command) -> Result<BTreeMap<String, PathBuf>> {
    command.args(["--no-run", "--message-format=json", "--package", "lb-tests"]);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("could not start `{}`", shell::line(&command)))?;
    if !output.status.success() {
        bail!(
            "building what a guest runs: `{}` failed",
            shell::line(&command)
        );
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
    fn only_fixtures_are_run_as_a_whole() {
        let [netns, dataplane] = SUITES;
        assert!(dataplane.filters(Extent::Whole).is_empty());
        assert!(!dataplane.filters(Extent::Essential).is_empty());
        assert_eq!(
            netns.filters(Extent::Whole),
            netns.filters(Extent::Essential)
        );
    }
}
