//! Where things are: the workspace, its target directory, what is built there.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The directory of the workspace's manifest.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Where cargo builds, absolute; `CARGO_TARGET_DIR` is honoured.
pub(crate) fn target() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root().join(target)
}

/// A program of the release build, such as `lbd`.
pub(crate) fn release_binary(name: &str) -> PathBuf {
    target().join("release").join(name)
}

/// The daemon that takes itself for the next version of the ABI.
pub(crate) fn next_daemon() -> PathBuf {
    target().join("next-abi/lbd")
}

/// `cargo SUBCOMMAND` in the workspace, with the compiler that runs this task. The daemon's build script
/// finds the eBPF object by `LB_EBPF_OBJECT`: set for every command alike, so that none builds anew what
/// another has built.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .arg(subcommand)
        .current_dir(root())
        .env("LB_EBPF_OBJECT", crate::ebpf::object_path());
    command
}
