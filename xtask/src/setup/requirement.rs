//! The list of what the project needs, and for each how it is installed.

use std::fmt;

use super::machine::{Compiler, Machine, Origin, Release, Rustup};

/// The oldest system compiler that builds this project: the workspace's `rust-version`.
pub(super) const SYSTEM_RUSTC_MINIMUM: Release = (1, 95);
/// The oldest bpf-linker that the flags of `ebpf.rs` were tried with.
pub(super) const LINKER_MINIMUM: Release = (0, 13);
/// The LLVMs that this bpf-linker can be built with.
pub(super) const LLVM_SUPPORTED: std::ops::RangeInclusive<u32> = 21..=23;
/// The LLVM of the compiler in [`COMPILER_PACKAGES`].
const COMPILER_PACKAGES_LLVM: u32 = 22;
/// A compiler recent enough, with its source, as Debian packages it.
const COMPILER_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// A program that must be in `PATH`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program {
    /// Its name.
    pub(super) name: &'static str,
    /// The Debian package it is in.
    package: &'static str,
    /// What it is for.
    purpose: &'static str,
}

/// Programs that the demo and the tests call.
pub(super) const PROGRAMS: [Program; 3] = [
    Program {
        name: "ip",
        package: "iproute2",
        purpose: "makes the namespaces and links of the demo and the tests",
    },
    Program {
        name: "ethtool",
        package: "ethtool",
        purpose: "sets the offloads of the links of the demo and the tests",
    },
    Program {
        name: "bpftool",
        package: "bpftool",
        purpose: "shows maps and programs, to the tests and to you",
    },
];

/// One thing that the project needs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Requirement {
    /// A compiler that can build `core` for eBPF.
    Compiler,
    /// bpf-linker, with the compiler's LLVM.
    Linker,
    /// A program to call.
    Program(Program),
}

/// Everything that the project needs, in the order in which it is installed.
pub(super) fn requirements() -> impl Iterator<Item = Requirement> {
    [Requirement::Compiler, Requirement::Linker]
        .into_iter()
        .chain(PROGRAMS.map(Requirement::Program))
}

/// A command to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// What to type; the words hold no blanks.
    pub(super) command: String,
    /// What it is good for.
    pub(super) purpose: String,
    /// Whether only root may.
    pub(super) needs_root: bool,
    /// What it does to the plan.
    pub(super) effect: Effect,
}

/// What a step does to the plan that it is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It brings what the plan expects; if it fails, so does set-up.
    Installs,
    /// It tells which packages there are: the next ones may be others.
    UpdatesLists,
    /// It brings a compiler by rustup, or fails: then there is another way, which does without.
    MayBeRefused,
}

/// What installing a requirement takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Install {
    /// These packages, then this command if there is one.
    Packages(Vec<String>, Option<Step>),
    /// This command.
    Command(Step),
    /// No way is known on this machine.
    Impossible(&'static str),
}

impl Requirement {
    /// Whether nothing needs to be done.
    pub(super) fn is_met(self, machine: &Machine) -> bool {
        match self {
            Self::Compiler => machine.compiler().is_some(),
            Self::Linker => machine.linker_for(expected_llvm(machine)).is_some(),
            Self::Program(program) => machine.programs.contains(program.name),
        }
    }

    /// How it gets here.
    pub(super) fn install(self, machine: &Machine) -> Install {
        match self {
            Self::Compiler => install_compiler(machine),
            Self::Linker => install_linker(machine),
            Self::Program(program) => Install::Packages(vec![program.package.to_owned()], None),
        }
    }

    /// Every package that it may ask for, on any way.
    pub(super) fn packages(self) -> Vec<String> {
        match self {
            Self::Compiler => COMPILER_PACKAGES.map(str::to_owned).to_vec(),
            Self::Linker => LLVM_SUPPORTED.flat_map(linker_packages).collect(),
            Self::Program(program) => vec![program.package.to_owned()],
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compiler => {
                f.write_str("a Rust compiler with the source of `core` (builds the eBPF object)")
            }
            Self::Linker => {
                f.write_str("bpf-linker with the compiler's LLVM (links the eBPF object)")
            }
            Self::Program(program) => write!(f, "{} ({})", program.name, program.purpose),
        }
    }
}

/// rustup's nightly first, because there it is the usual way; but a new nightly is not worth its download
/// where Debian has a compiler that fits Debian's LLVM.
fn install_compiler(machine: &Machine) -> Install {
    let rustup = machine.rustup == Rustup::Ready;
    let has_nightly = machine
        .compilers
        .iter()
        .any(|it| it.origin == Origin::Nightly);
    let by_rustup = |command: &str, purpose: &str| {
        Install::Command(Step {
            command: command.to_owned(),
            purpose: purpose.to_owned(),
            needs_root: false,
            effect: Effect::MayBeRefused,
        })
    };
    if completable_nightly(machine).is_some() {
        return by_rustup(
            "rustup component add rust-src --toolchain nightly",
            "add the source of `core` to rustup's nightly",
        );
    }
    if COMPILER_PACKAGES
        .iter()
        .all(|package| machine.offers(package))
        && !has_old_compiler_only(machine)
    {
        return Install::Packages(COMPILER_PACKAGES.map(str::to_owned).to_vec(), None);
    }
    if rustup && !has_nightly {
        return by_rustup(
            "rustup toolchain install nightly --profile minimal --component rust-src",
            "install rustup's nightly with the source of `core`",
        );
    }
    Install::Impossible(
        "install rustup and run \
         `rustup toolchain install nightly --component rust-src`",
    )
}

/// A nightly that only lacks the source of `core`, and whose LLVM a linker could have.
fn completable_nightly(machine: &Machine) -> Option<&Compiler> {
    machine
        .compilers
        .iter()
        .filter(|_| machine.rustup == Rustup::Ready)
        .find(|it| {
            it.origin == Origin::Nightly
                && LLVM_SUPPORTED.contains(&it.llvm)
                && machine.offers_llvm(it.llvm)
        })
}

/// Whether, with lists as new as they get, the compiler offered is too old.
fn has_old_compiler_only(machine: &Machine) -> bool {
    machine.packages.updated && offers_old_compiler(machine)
}

/// Whether the compiler that apt offers by its present lists is too old.
pub(super) fn offers_old_compiler(machine: &Machine) -> bool {
    let candidate = machine.packages.candidates.get(COMPILER_PACKAGES[0]);
    candidate.is_some_and(|release| *release < SYSTEM_RUSTC_MINIMUM)
}

fn linker_packages(llvm: u32) -> [String; 4] {
    [
        format!("llvm-{llvm}-dev"),
        format!("libpolly-{llvm}-dev"),
        "zlib1g-dev".to_owned(),
        "libzstd-dev".to_owned(),
    ]
}

/// The LLVM of the compiler; if there is none yet, of the one that [`install_compiler`] brings.
fn expected_llvm(machine: &Machine) -> u32 {
    let compiler = machine.compiler();
    let coming = || completable_nightly(machine);
    compiler
        .as_ref()
        .or_else(coming)
        .map_or(COMPILER_PACKAGES_LLVM, |it| it.llvm)
}

/// Built from source against the distribution's LLVM.
fn install_linker(machine: &Machine) -> Install {
    let llvm = expected_llvm(machine);
    // cargo does not replace what it has not installed, or has installed just so, unless told.
    let force = if machine.linker.is_some() {
        " --force"
    } else {
        ""
    };
    let build = Step {
        command: format!(
            "LLVM_PREFIX=/usr/lib/llvm-{llvm} cargo install bpf-linker --version 0.13.0 \
             --no-default-features --features llvm-{llvm}{force}"
        ),
        purpose: "build bpf-linker (a minute or two)".to_owned(),
        needs_root: false,
        effect: Effect::Installs,
    };
    Install::Packages(linker_packages(llvm).to_vec(), Some(build))
}
