//! What this process may still do to files and ports, as the kernel enforces it by Landlock.
//!
//! What it reads is not restricted: configurations, groups and certificates may stand anywhere, and file modes guard
//! them. Kernels without Landlock (before 5.13, or not enabled) leave everything as it was; older ones
//! enforce what they know of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use landlock::{
    ABI, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetStatus, Scope, make_bitflags,
};
use tracing::{info, warn};

/// The newest rules that are asked for; a kernel that does not know one does without it.
const RULES: ABI = ABI::V6;
/// What the daemon does in its directories: makes files, directories and a socket, replaces and removes them.
const OWN: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    WriteFile | Truncate | MakeReg | MakeDir | MakeSock | RemoveFile | RemoveDir
});
/// What one does with a device.
const DEVICE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ WriteFile | IoctlDev });
/// The device that interfaces of programs are made by.
const TUN: &str = "/dev/net/tun";
/// Where commands may write, if those may whose users they run as.
const FOR_COMMANDS: [&str; 3] = ["/dev", "/tmp", "/var/tmp"];

/// What is left to the process.
#[derive(Debug)]
pub(super) struct Sandbox {
    /// Directories to write in; they exist.
    pub(super) own: Vec<PathBuf>,
    /// The directory of the pins, which may be removed itself.
    pub(super) pins: PathBuf,
    /// Whether programs are executed: the commands of probes.
    pub(super) commands: bool,
}

impl Sandbox {
    /// Restricts this thread, and those that it starts from now on.
    ///
    /// # Errors
    /// A directory cannot be opened, or the kernel refused what it should know.
    pub(super) fn enter(&self) -> Result<()> {
        let status = self
            .restrict()
            .context("restrict the process by Landlock")?;
        match status {
            RulesetStatus::FullyEnforced => info!("restricted by Landlock"),
            RulesetStatus::PartiallyEnforced => {
                info!("restricted by Landlock, as far as this kernel knows it");
            }
            RulesetStatus::NotEnforced => {
                warn!("not restricted by Landlock: this kernel has none, or it is not enabled");
            }
        }
        Ok(())
    }

    fn restrict(&self) -> Result<RulesetStatus> {
        let mut rules = Ruleset::default()
            .handle_access(AccessFs::from_write(RULES) | AccessFs::Execute)?
            .handle_access(AccessNet::BindTcp)?
            .scope(Scope::Signal)?
            .create()?
            // Any port, for connections to others: what listens must be found, and so has a port of its own.
            .add_rule(NetPort::new(0, AccessNet::BindTcp))?;
        for directory in &self.own {
            rules = rules.add_rule(PathBeneath::new(opened(directory)?, OWN))?;
        }
        rules = rules.add_rule(PathBeneath::new(opened(&self.pins)?, OWN))?;
        if let Some(parent) = self.pins.parent() {
            let access = AccessFs::RemoveDir;
            rules = rules.add_rule(PathBeneath::new(opened(parent)?, access))?;
        }
        // Kernels without the module have no such file.
        if let Ok(tun) = PathFd::new(TUN) {
            rules = rules.add_rule(PathBeneath::new(tun, DEVICE))?;
        }
        if self.commands {
            rules = rules.add_rule(PathBeneath::new(PathFd::new("/")?, AccessFs::Execute))?;
            for place in FOR_COMMANDS {
                let place = PathBeneath::new(opened(Path::new(place))?, OWN | DEVICE);
                rules = rules.add_rule(place)?;
            }
        }
        Ok(rules.restrict_self()?.ruleset)
    }
}

fn opened(directory: &Path) -> Result<PathFd> {
    PathFd::new(directory).with_context(|| format!("open {}", directory.display()))
}
