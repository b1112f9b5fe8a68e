//! Which commands follow from which machine.

use std::path::PathBuf;

use super::{
    machine::{
        Compiler, Linker, Machine, Origin, Packages, Rustup, candidates, needed_llvm, release,
        versions,
    },
    plan::{Plan, plan},
    requirement::{Effect, PROGRAMS, Requirement, requirements},
};

const COMPONENT: &str = "rustup component add rust-src --toolchain nightly";
const COMPILER: &str =
    "apt-get install --yes --no-install-recommends rustc-web cargo-web rust-web-src";
const LINKER: &str = "LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker --version 0.13.0 \
                      --no-default-features --features llvm-22";

/// A Debian machine with rustup's nightly and its source, the packages' compiler, and everything else.
fn complete() -> Machine {
    Machine {
        compilers: vec![nightly(22, true), system(true)],
        linker: Some(linker((0, 13), Some(22))),
        programs: PROGRAMS.iter().map(|program| program.name).collect(),
        rustup: Rustup::Ready,
        has_apt: true,
        is_root: true,
        packages: offered(&["llvm-23-dev", "libpolly-23-dev"]),
    }
}

/// A Debian machine with nothing but the compiler that built this.
fn bare() -> Machine {
    Machine {
        has_apt: true,
        is_root: true,
        packages: offered(&[]),
        ..Machine::default()
    }
}

/// Every package has a candidate, except some.
fn offered(except: &[&str]) -> Packages {
    let packages = requirements().flat_map(Requirement::packages);
    Packages {
        candidates: packages
            .filter(|name| !except.contains(&name.as_str()))
            .map(|name| (name, (1, 96)))
            .collect(),
        updated: false,
    }
}

fn nightly(llvm: u32, has_source: bool) -> Compiler {
    Compiler {
        origin: Origin::Nightly,
        llvm,
        has_source,
    }
}

fn system(has_source: bool) -> Compiler {
    Compiler {
        origin: Origin::System,
        llvm: 22,
        has_source,
    }
}

fn linker(release: (u32, u32), llvm: Option<u32>) -> Linker {
    Linker {
        path: PathBuf::from("/bin/bpf-linker"),
        release,
        llvm,
    }
}

fn commands(plan: &Plan) -> Vec<&str> {
    plan.steps
        .iter()
        .map(|step| step.command.as_str())
        .collect()
}

#[test]
fn nothing_is_done_when_nothing_is_missing() {
    let plan = plan(&complete());
    assert!(plan.missing.is_empty() && plan.steps.is_empty());
}

#[test]
fn nightly_with_its_source_is_preferred() {
    assert_eq!(complete().compiler(), Some(nightly(22, true)));
}

#[test]
fn a_compiler_that_the_linker_fits_wins() {
    let mut machine = complete();
    machine.compilers = vec![nightly(23, true), system(true)];
    assert_eq!(machine.compiler(), Some(system(true)));
    assert!(plan(&machine).missing.is_empty());
}

#[test]
fn a_nightly_without_source_is_left_alone_when_the_packages_are_there() {
    let mut machine = complete();
    machine.compilers = vec![nightly(22, false), system(true)];
    assert!(plan(&machine).missing.is_empty());
}

#[test]
fn a_nightly_without_source_gets_it() {
    let mut machine = complete();
    machine.compilers = vec![nightly(22, false)];
    assert_eq!(commands(&plan(&machine)), [COMPONENT]);
    assert_eq!(plan(&machine).steps[0].effect, Effect::MayBeRefused);
}

#[test]
fn packages_are_the_way_when_rustup_refuses() {
    let mut machine = complete();
    machine.compilers = vec![nightly(22, false)];
    machine.rustup = Rustup::Refused;
    assert_eq!(commands(&plan(&machine)), [COMPILER]);
}

#[test]
fn a_nightly_that_no_linker_can_fit_is_not_completed() {
    let mut machine = complete();
    machine.compilers = vec![nightly(24, false)];
    assert_eq!(commands(&plan(&machine)), [COMPILER]);
}

#[test]
fn a_bare_machine_gets_all_packages_at_once() {
    let plan = plan(&bare());
    let packages = "apt-get install --yes --no-install-recommends rustc-web cargo-web rust-web-src \
                    llvm-22-dev libpolly-22-dev zlib1g-dev libzstd-dev iproute2 ethtool bpftool";
    assert_eq!(commands(&plan), [packages, LINKER]);
    assert!(plan.is_possible_on(&bare()));
}

#[test]
fn lists_without_a_candidate_are_updated_once() {
    let mut machine = bare();
    machine.packages = Packages::default();
    assert_eq!(commands(&plan(&machine))[0], "apt-get update");
    machine.packages.updated = true;
    assert!(!commands(&plan(&machine)).contains(&"apt-get update"));
}

#[test]
fn lists_with_an_old_compiler_only_are_updated() {
    let mut machine = bare();
    machine
        .packages
        .candidates
        .insert("rustc-web".into(), (1, 85));
    assert_eq!(commands(&plan(&machine))[0], "apt-get update");
}

#[test]
fn rustup_installs_a_nightly_where_the_packages_are_too_old() {
    let mut machine = bare();
    machine.rustup = Rustup::Ready;
    machine.packages.updated = true;
    machine
        .packages
        .candidates
        .insert("rustc-web".into(), (1, 85));
    assert!(commands(&plan(&machine))[0].starts_with("rustup toolchain install nightly"));
    machine.rustup = Rustup::Refused;
    assert_eq!(plan(&machine).impossible.len(), 1);
}

#[test]
fn a_linker_with_another_llvm_is_replaced() {
    let mut machine = complete();
    machine.linker = Some(linker((0, 13), Some(21)));
    let plan = plan(&machine);
    assert_eq!(commands(&plan)[1], format!("{LINKER} --force"));
}

#[test]
fn an_old_linker_is_replaced_and_one_with_llvm_inside_is_trusted() {
    let mut machine = complete();
    machine.linker = Some(linker((0, 9), Some(22)));
    assert_eq!(plan(&machine).missing.len(), 1);
    machine.linker = Some(linker((0, 13), None));
    assert!(plan(&machine).missing.is_empty());
}

#[test]
fn packages_cannot_be_installed_without_root_or_apt() {
    let mut machine = bare();
    machine.is_root = false;
    assert!(!plan(&machine).is_possible_on(&machine));
    machine.is_root = true;
    machine.has_apt = false;
    assert!(!plan(&machine).is_possible_on(&machine));
}

#[test]
fn rustups_own_commands_need_no_root() {
    let mut machine = complete();
    machine.compilers = vec![nightly(22, false)];
    machine.is_root = false;
    assert!(plan(&machine).is_possible_on(&machine));
}

#[test]
fn variables_before_a_command_are_its_environment() {
    let command = super::command(LINKER);
    assert!(
        crate::shell::line(&command).starts_with("cargo install bpf-linker --version 0.13.0 --no")
    );
    let prefix = command.get_envs().find(|(name, _)| *name == "LLVM_PREFIX");
    assert_eq!(
        prefix.and_then(|(_, value)| value),
        Some("/usr/lib/llvm-22".as_ref())
    );
}

#[test]
fn versions_are_read_from_rustc_and_apt() {
    let rustc = "rustc 1.96.0 (x)\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
    assert_eq!(versions(rustc), Some(((1, 96), 22)));
    assert_eq!(release("1:22.1.8-1~deb12u1"), Some((22, 1)));
    let policy = "a:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1\nb:\n  Candidate: (none)\n";
    assert_eq!(
        candidates(policy).into_iter().collect::<Vec<_>>(),
        [("a".to_owned(), (1, 96))]
    );
}

#[test]
fn the_linkers_llvm_is_read_from_the_library_it_names() {
    assert_eq!(needed_llvm(b"\0libLLVM.so.22.1\0libc.so.6"), Some(22));
    assert_eq!(needed_llvm(b"\0libLLVM-21.so\0"), Some(21));
    assert_eq!(needed_llvm(b"libLLVM is fine"), None);
}
