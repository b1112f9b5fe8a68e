//! What each role keeps, and that the unit gives it.

use rustix::thread::CapabilitySet as Set;

use super::*;

/// What the service manager leaves to the daemon, and what it leaves when probes run commands.
const UNIT: &str = include_str!("../../../dist/lbd.service");
const WITH_COMMANDS: &str = include_str!("../../../dist/exec-probes.conf");

const BALANCER: Role = Role::Balancer { commands: false };

#[test]
fn a_balancer_keeps_what_the_data_plane_and_probes_need() {
    let wanted = Set::NET_ADMIN | Set::BPF | Set::PERFMON | Set::NET_RAW;
    assert_eq!(kept(BALANCER.lasting(), Set::all()), wanted);
    let with_commands = Role::Balancer { commands: true }.lasting();
    assert_eq!(
        kept(with_commands, Set::all()),
        wanted | Set::SETUID | Set::SETGID | Set::KILL
    );
    assert_eq!(
        kept(Role::Decap.lasting(), Set::all()),
        Set::NET_ADMIN | Set::BPF | Set::PERFMON
    );
}

#[test]
fn sys_admin_is_kept_only_in_the_place_of_what_is_lacking() {
    let old = Set::NET_ADMIN | Set::SYS_ADMIN | Set::CHOWN;
    assert_eq!(
        kept(BALANCER.lasting(), old),
        Set::NET_ADMIN | Set::SYS_ADMIN
    );
    let half = old | Set::BPF;
    assert_eq!(
        kept(BALANCER.lasting(), half),
        Set::NET_ADMIN | Set::SYS_ADMIN | Set::BPF
    );
    assert_eq!(kept(BALANCER.lasting(), half | Set::PERFMON), DATA_PLANE);
}

/// The capabilities of the bounding set that a unit gives, sorted.
fn bounding_set(unit: &str) -> Vec<String> {
    let lines = unit
        .lines()
        .filter_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let mut names: Vec<String> = lines
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names
}

/// The names of capabilities as units write them, sorted.
fn names(set: Set) -> Vec<String> {
    let mut names: Vec<String> = set
        .iter_names()
        .map(|(name, _)| format!("CAP_{name}"))
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn the_unit_gives_what_is_needed_and_no_more() {
    assert_eq!(
        bounding_set(UNIT),
        names(BALANCER.lasting() | BALANCER.passing())
    );
    let commands = Role::Balancer { commands: true };
    assert_eq!(
        bounding_set(WITH_COMMANDS),
        names(commands.lasting() - BALANCER.lasting())
    );
}
