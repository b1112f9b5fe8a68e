//! What booting guests needs besides the build: QEMU, and kmod for the guests' modules. Installed on first use.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::archive::{Apt, Mirrors, codename};
use crate::{shell, workspace};

/// The emulator.
pub(super) const QEMU: &str = "qemu-system-x86_64";
/// Programs, and the packages that have them.
const TOOLS: [(&str, &str); 4] = [
    (QEMU, "qemu-system-x86"),
    ("depmod", "kmod"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
];

/// Sees that everything is there.
///
/// # Errors
/// Something is missing and cannot be installed without removing what is there.
pub(super) fn ensure() -> Result<()> {
    let packages: Vec<&str> = TOOLS
        .iter()
        .filter(|(program, _)| shell::find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if packages.is_empty() {
        return Ok(());
    }
    println!("missing for kernels in guests: {}", packages.join(", "));
    if shell::find("apt-get").is_none() {
        bail!("there is no apt-get here; install QEMU for x86-64, kmod, xz and zstd");
    }
    let mut plain = Command::new("apt-get");
    plain.env("DEBIAN_FRONTEND", "noninteractive");
    let Err(error) = install(plain, &packages, None) else {
        return Ok(());
    };
    // Where parts of QEMU come from backports, its other parts must, too.
    let codename = codename().context("/etc/os-release has no VERSION_CODENAME")?;
    let backports = format!("{codename}-backports");
    println!("{error:#}; trying with {backports}");
    let directory = workspace::target().join("vm/apt-tools");
    let suites = [codename.as_str(), backports.as_str()].into_iter();
    let apt = Apt::updated(&directory, &Mirrors::configured()?, suites)?;
    install(apt.command("apt-get"), &packages, Some(&backports))
}

/// Nothing may be removed for it.
fn install(mut apt: Command, packages: &[&str], suite: Option<&str>) -> Result<()> {
    apt.args(["-qq", "install", "--yes", "--no-remove"])
        .arg("--no-install-recommends");
    if let Some(suite) = suite {
        apt.args(["--target-release", suite]);
    }
    apt.args(packages);
    println!("  {}", shell::line(&apt));
    shell::run("installing what guests need", &mut apt)
}
