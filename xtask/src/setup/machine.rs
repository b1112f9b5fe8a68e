//! What this machine has, as far as set-up asks: observed once, then a value.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::requirement::{LINKER_MINIMUM, LLVM_SUPPORTED, PROGRAMS, SYSTEM_RUSTC_MINIMUM};
use crate::shell;

/// A release, such as (1, 96).
pub(crate) type Release = (u32, u32);

/// A compiler that could build for eBPF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compiler {
    /// Where it comes from, which decides how it is called.
    pub(crate) origin: Origin,
    /// The major version of its LLVM; the linker must have the same.
    pub(crate) llvm: u32,
    /// Whether the source of `core` is there.
    pub(crate) has_source: bool,
}

/// Where a compiler comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The toolchain `nightly` of rustup.
    Nightly,
    /// `/usr/bin/rustc`, from the distribution's packages.
    System,
}

/// A bpf-linker that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Linker {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its release.
    pub(crate) release: Release,
    /// The major version of the LLVM it loads; `None`: it carries one inside.
    pub(crate) llvm: Option<u32>,
}

/// What apt knows of the packages that set-up may ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packages {
    /// The release that would be installed, by package.
    pub(crate) candidates: BTreeMap<String, Release>,
    /// Whether the lists were updated by this run.
    pub(crate) updated: bool,
}

/// Whether rustup can be asked for something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rustup {
    /// It is not there.
    #[default]
    Absent,
    /// It is there.
    Ready,
    /// It has failed to deliver in this run, and is not asked again.
    Refused,
}

/// What this machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Compilers, the preferred one first.
    pub(crate) compilers: Vec<Compiler>,
    /// The linker.
    pub(crate) linker: Option<Linker>,
    /// Those of [`PROGRAMS`] that are there.
    pub(crate) programs: BTreeSet<&'static str>,
    /// Whether rustup can be asked for something.
    pub(crate) rustup: Rustup,
    /// Whether apt is there.
    pub(crate) has_apt: bool,
    /// Whether packages may be installed.
    pub(crate) is_root: bool,
    /// What apt offers; empty until something is missing, as asking takes its time.
    pub(crate) packages: Packages,
}

impl Machine {
    /// Looks at this machine.
    pub(crate) fn observe() -> Self {
        let has_rustup = shell::find("rustup").is_some();
        let rustup = if has_rustup {
            Rustup::Ready
        } else {
            Rustup::Absent
        };
        let nightly = if has_rustup { nightly() } else { None };
        Self {
            compilers: nightly.into_iter().chain(system()).collect(),
            linker: linker(),
            programs: PROGRAMS
                .iter()
                .map(|program| program.name)
                .filter(|name| shell::find(name).is_some())
                .collect(),
            rustup,
            has_apt: shell::find("apt-get").is_some(),
            is_root: shell::is_root(),
            packages: Packages::default(),
        }
    }

    /// Looks again, and keeps what this run has learnt of rustup and apt's lists.
    pub(crate) fn observed_again(&self) -> Self {
        let mut machine = Self::observe();
        if self.rustup == Rustup::Refused {
            machine.rustup = Rustup::Refused;
        }
        machine.packages.updated = self.packages.updated;
        machine
    }

    /// Asks apt what it offers of `names`.
    pub(crate) fn observe_packages(&mut self, names: impl IntoIterator<Item = String>) {
        if self.has_apt {
            let policy = shell::output(Command::new("apt-cache").arg("policy").args(names));
            self.packages.candidates = candidates(&policy.unwrap_or_default());
        }
    }

    /// The compiler to build the eBPF object with: it has `core`'s source. One that the linker fits wins.
    pub(crate) fn compiler(&self) -> Option<Compiler> {
        let usable =
            |compiler: &&Compiler| compiler.has_source && LLVM_SUPPORTED.contains(&compiler.llvm);
        let ready = self
            .compilers
            .iter()
            .filter(usable)
            .find(|it| self.linker_for(it.llvm).is_some());
        let likely = || {
            self.compilers
                .iter()
                .filter(usable)
                .find(|it| self.offers_llvm(it.llvm))
        };
        ready.or_else(likely).copied()
    }

    /// The linker, if it is recent enough and fits that LLVM.
    pub(crate) fn linker_for(&self, llvm: u32) -> Option<&Linker> {
        self.linker
            .as_ref()
            .filter(|linker| linker.release >= LINKER_MINIMUM)
            .filter(|linker| linker.llvm.is_none_or(|it| it == llvm))
    }

    /// Whether a linker for that LLVM is there or could be built from packages.
    pub(crate) fn offers_llvm(&self, llvm: u32) -> bool {
        self.linker_for(llvm).is_some() || self.offers(&format!("llvm-{llvm}-dev"))
    }

    /// Whether apt offers a package, or may do so after an update of its lists.
    pub(crate) fn offers(&self, package: &str) -> bool {
        self.has_apt && (!self.packages.updated || self.packages.candidates.contains_key(package))
    }
}

/// rustup's nightly. `rustup run` never installs a toolchain by itself.
fn nightly() -> Option<Compiler> {
    let run = |arguments: &[&str]| {
        shell::output(
            Command::new("rustup")
                .args(["run", "nightly", "rustc"])
                .args(arguments),
        )
    };
    let (_, llvm) = versions(&run(&["-vV"])?)?;
    let sysroot = run(&["--print", "sysroot"])?;
    Some(Compiler {
        origin: Origin::Nightly,
        llvm,
        has_source: has_source(Path::new(sysroot.trim())),
    })
}

/// The distribution's compiler, if it is recent enough to build this project.
fn system() -> Option<Compiler> {
    let cargo = Path::new("/usr/bin/cargo");
    let (release, llvm) = versions(&shell::output(Command::new("/usr/bin/rustc").arg("-vV"))?)?;
    (release >= SYSTEM_RUSTC_MINIMUM && cargo.exists()).then(|| Compiler {
        origin: Origin::System,
        llvm,
        has_source: has_source(Path::new("/usr")),
    })
}

fn has_source(sysroot: &Path) -> bool {
    sysroot
        .join("lib/rustlib/src/rust/library/core/src/lib.rs")
        .is_file()
}

/// The linker in `PATH`, or where `cargo install` puts it. One that does not run (its LLVM was removed)
/// is none.
fn linker() -> Option<Linker> {
    let path = shell::find("bpf-linker").or_else(|| {
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")))?;
        Some(home.join("bin/bpf-linker")).filter(|path| path.is_file())
    })?;
    let version = shell::output(Command::new(&path).arg("--version"))?;
    Some(Linker {
        release: release(version.trim().strip_prefix("bpf-linker ")?)?,
        llvm: fs::read(&path)
            .ok()
            .and_then(|program| needed_llvm(&program)),
        path,
    })
}

/// The major version in the name of the LLVM library that a program loads, such as `libLLVM.so.22.1`.
pub(super) fn needed_llvm(program: &[u8]) -> Option<u32> {
    let name = b"libLLVM";
    program
        .windows(name.len())
        .enumerate()
        .filter(|(_, window)| window == name)
        .filter_map(|(at, _)| program.get(at + name.len()..))
        .find_map(|rest| {
            let version = [b".so.".as_slice(), b"-"]
                .iter()
                .find_map(|it| rest.strip_prefix(*it))?;
            let digits = version.iter().take_while(|it| it.is_ascii_digit()).count();
            std::str::from_utf8(version.get(..digits)?)
                .ok()?
                .parse()
                .ok()
        })
}

/// Release and LLVM major version from `rustc -vV`.
pub(super) fn versions(rustc: &str) -> Option<(Release, u32)> {
    let field = |name| rustc.lines().find_map(|line| line.strip_prefix(name));
    Some((
        release(field("release: ")?)?,
        release(field("LLVM version: ")?)?.0,
    ))
}

/// The first two numbers of a version; a Debian epoch is skipped.
pub(super) fn release(version: &str) -> Option<Release> {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    Some((
        major,
        numbers.next().and_then(|it| it.parse().ok()).unwrap_or(0),
    ))
}

/// What `apt-cache policy` would install, by package.
pub(super) fn candidates(policy: &str) -> BTreeMap<String, Release> {
    let mut candidates = BTreeMap::new();
    let mut package = None;
    for line in policy.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with(' ')) {
            package = Some(name);
        } else if let Some(version) = line.trim().strip_prefix("Candidate: ")
            && let (Some(name), Some(release)) = (package, release(version))
        {
            candidates.insert(name.to_owned(), release);
        }
    }
    candidates
}
