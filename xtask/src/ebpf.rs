//! Building: the eBPF object, then the programs that embed it.
//!
//! The object's profile stands in the workspace's manifest (`profile.ebpf`), its flags here. They matter:
//! without `allows-misaligned-mem-access` every header field is read byte by byte, and `v3` brings 32-bit
//! compares and arithmetic.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    setup::machine::{Compiler, Linker, Machine, Origin},
    shell, workspace,
};

const TARGET: &str = "bpfel-unknown-none";
const PROFILE: &str = "ebpf";

/// A package that is an object, and the program of that name in it.
#[derive(Clone, Copy, Debug)]
struct Package(&'static str);

/// The product's.
const PRODUCT: Package = Package("lb-ebpf");
/// Wrapper and floors of `bench packet`.
const BENCH: Package = Package("lb-bench-ebpf");

const RUSTFLAGS: [&str; 10] = [
    "-C",
    "target-cpu=v3",
    "-C",
    "target-feature=+allows-misaligned-mem-access",
    "-C",
    "link-arg=--btf",
    "-C",
    "debuginfo=2",
    // Else rustc says of each crate that the feature above is unstable. Clippy checks the same code on the host.
    "-A",
    "warnings",
];

/// What to build.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    /// Compile debug lines per packet into the eBPF program, and their reader into lbd
    #[arg(long)]
    ebpf_log: bool,
}

/// Where the object is, once built.
pub(crate) fn object_path() -> PathBuf {
    PRODUCT.path()
}

impl Package {
    fn path(self) -> PathBuf {
        workspace::target().join(TARGET).join(PROFILE).join(self.0)
    }
}

/// Builds the object, then `lbd` and `lbctl` in release mode.
///
/// # Errors
/// A piece is missing, or a step failed; the message says which.
pub(crate) fn build_all(options: Options) -> Result<()> {
    build_object(options)?;
    let mut cargo = workspace::cargo("build");
    cargo.args(["--release", "--bins", "--package", "lb-userspace"]);
    if options.ebpf_log {
        cargo.args(["--features", "log"]);
    }
    shell::run("building lbd and lbctl", &mut cargo)
}

/// Builds everything, and before it a daemon that takes itself for the next version of the ABI, for tests of upgrades.
///
/// # Errors
/// As [`build_all`].
pub(crate) fn build_with_next() -> Result<()> {
    build_object(Options::default())?;
    let mut cargo = workspace::cargo("build");
    cargo
        .args(["--release", "--package", "lb-userspace", "--bin", "lbd"])
        .args(["--features", "next-abi"]);
    shell::run("building lbd with the next ABI", &mut cargo)?;
    // What is built next has the same name.
    let (built, kept) = (workspace::release_binary("lbd"), workspace::next_daemon());
    let directory = kept.parent().unwrap_or(&kept);
    fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    fs::copy(&built, &kept).with_context(|| format!("copying lbd to {}", kept.display()))?;
    build_all(Options::default())
}

/// Builds the object.
///
/// # Errors
/// A piece is missing, or the compiler or the linker failed.
pub(crate) fn build_object(options: Options) -> Result<()> {
    build_package(PRODUCT, options)
}

/// Builds the object that `bench packet` measures the product's with.
///
/// # Errors
/// As [`build_object`].
pub(crate) fn build_bench_object() -> Result<()> {
    build_package(BENCH, Options::default())
}

fn build_package(package: Package, options: Options) -> Result<()> {
    let machine = Machine::observe();
    let compiler = machine.compiler().context(
        "building the eBPF object: no compiler with the source of `core` here; run `cargo xtask setup`",
    )?;
    let linker = machine.linker_for(compiler.llvm).with_context(|| {
        let llvm = compiler.llvm;
        format!(
            "building the eBPF object: no bpf-linker with LLVM {llvm} here; run `cargo xtask setup`"
        )
    })?;
    shell::run(
        "building the eBPF object",
        &mut object_command(compiler, linker, package, options),
    )?;
    let object = package.path();
    if !object.is_file() {
        bail!(
            "building the eBPF object: cargo succeeded, but {} is not there",
            object.display()
        );
    }
    Ok(())
}

fn object_command(
    compiler: Compiler,
    linker: &Linker,
    Package(package): Package,
    options: Options,
) -> Command {
    let mut command = compiler_command(compiler.origin);
    command
        .args([
            "build",
            "-Z",
            "build-std=core",
            "--target",
            TARGET,
            "--profile",
            PROFILE,
        ])
        .args(["--package", package, "--bin", package])
        .arg("--target-dir")
        .arg(workspace::target())
        .current_dir(workspace::root())
        .env("CARGO_ENCODED_RUSTFLAGS", encoded_flags(&linker.path));
    if options.ebpf_log {
        command.args(["--features", "log"]);
    }
    command
}

/// The compiler's own cargo. What the cargo that runs this task has set for its children is taken away, or
/// it would choose the compiler.
fn compiler_command(origin: Origin) -> Command {
    let mut command = match origin {
        Origin::Nightly => {
            let mut command = Command::new("rustup");
            command.args(["run", "nightly", "cargo"]);
            command
        }
        Origin::System => {
            let mut command = Command::new("/usr/bin/cargo");
            // This compiler is a release; building `core` is for nightlies unless it is told otherwise.
            command
                .env("RUSTC_BOOTSTRAP", "1")
                .env("RUSTC", "/usr/bin/rustc");
            command
        }
    };
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if chooses_compiler(&name) && command.get_envs().all(|(set, _)| set != name.as_str()) {
            command.env_remove(name);
        }
    }
    command
}

/// Whether a variable tells cargo or rustup which compiler or flags to use.
fn chooses_compiler(variable: &str) -> bool {
    matches!(
        variable,
        "CARGO"
            | "RUSTC"
            | "RUSTDOC"
            | "RUSTFLAGS"
            | "RUSTUP_TOOLCHAIN"
            | "RUSTC_WORKSPACE_WRAPPER"
    ) || [
        "CARGO_PKG_",
        "CARGO_BUILD_",
        "CARGO_MANIFEST_",
        "CARGO_ENCODED_",
    ]
    .iter()
    .any(|prefix| variable.starts_with(prefix))
}

/// The flags in cargo's own encoding, which allows for blanks in the linker's path.
fn encoded_flags(linker: &Path) -> String {
    let linker = format!("linker={}", linker.display());
    let flags = RUSTFLAGS.into_iter().chain(["-C", &linker]);
    flags.collect::<Vec<_>>().join("\u{1f}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(origin: Origin, options: Options) -> String {
        let compiler = Compiler {
            origin,
            llvm: 22,
            has_source: true,
        };
        let linker = Linker {
            path: PathBuf::from("/a b/bpf-linker"),
            release: (0, 13),
            llvm: Some(22),
        };
        shell::line(&object_command(compiler, &linker, PRODUCT, options))
    }

    #[test]
    fn each_compiler_is_called_by_its_own_cargo() {
        let options = Options::default();
        assert!(words(Origin::Nightly, options).starts_with("rustup run nightly cargo build "));
        assert!(words(Origin::System, options).starts_with("/usr/bin/cargo build "));
    }

    #[test]
    fn debug_lines_are_compiled_in_only_when_asked_for() {
        assert!(!words(Origin::System, Options::default()).contains("--features"));
        assert!(words(Origin::System, Options { ebpf_log: true }).ends_with("--features log"));
    }

    #[test]
    fn the_linkers_path_may_hold_blanks() {
        let flags = encoded_flags(Path::new("/a b/bpf-linker"));
        assert!(flags.ends_with("\u{1f}linker=/a b/bpf-linker"), "{flags}");
    }

    #[test]
    fn the_calling_cargos_choice_of_compiler_is_not_passed_on() {
        assert!(chooses_compiler("RUSTUP_TOOLCHAIN") && chooses_compiler("CARGO_PKG_NAME"));
        assert!(!chooses_compiler("CARGO_HOME") && !chooses_compiler("PATH"));
    }
}
