//! Which capabilities (capabilities(7)) this process keeps: those that it goes on needing, in all its threads.
//!
//! They belong to threads. So all but one go while there is only one thread, and others inherit what is left;
//! that one, of which only the start has need, stays with the thread that runs the core, until it has been used.

use anyhow::{Context, Result};
use rustix::{
    io::{self, Errno},
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
        clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
        set_no_new_privs,
    },
};
use tracing::debug;

/// Loading and attaching programs, and maps of devices: also later, when a change needs another program, or an
/// interface comes back. Without `PERFMON` the verifier forbids arithmetic between pointers.
const DATA_PLANE: CapabilitySet = CapabilitySet::NET_ADMIN
    .union(CapabilitySet::BPF)
    .union(CapabilitySet::PERFMON);
/// Echo requests of probes are sent by raw sockets, and anybody who may change services may add such a probe.
const PROBES: CapabilitySet = CapabilitySet::NET_RAW;
/// Commands run as another user, and are killed when their time is over.
const COMMANDS: CapabilitySet = CapabilitySet::SETUID
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::KILL);
/// Giving the control socket to the group that may use it.
const START: CapabilitySet = CapabilitySet::CHOWN;

/// Reading and writing whatever the modes of files say.
const FILES: CapabilitySet = CapabilitySet::DAC_OVERRIDE
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER);

/// What the process is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Balancing; with `commands`, also running those of probes.
    Balancer {
        /// Whether the configuration allows probes to run commands.
        commands: bool,
    },
    /// Taking tunnels off.
    Decap,
}

impl Role {
    /// What it needs for as long as it runs.
    const fn lasting(self) -> CapabilitySet {
        match self {
            Self::Balancer { commands: true } => DATA_PLANE.union(PROBES).union(COMMANDS),
            Self::Balancer { commands: false } => DATA_PLANE.union(PROBES),
            Self::Decap => DATA_PLANE,
        }
    }

    /// What it needs at the start besides.
    const fn passing(self) -> CapabilitySet {
        match self {
            Self::Balancer { .. } => START,
            Self::Decap => CapabilitySet::empty(),
        }
    }
}

/// Has this thread, and those that it starts, heed the modes of files: what could not be read by a reload is then not
/// read at the start either.
///
/// # Errors
/// The kernel refused.
pub(super) fn heed_file_modes() -> Result<()> {
    capabilities(None)
        .and_then(|held| hold(held.permitted - FILES))
        .context("give up the right to override the modes of files")
}

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Privileges {
    lasting: CapabilitySet,
}

impl Privileges {
    /// Takes from this thread, which must be the only one, all that `role` has no need of, even at the start; and from
    /// it and all that it executes the possibility of getting any of it back.
    ///
    /// # Errors
    /// The kernel refused.
    pub(super) fn reduce(role: Role) -> Result<Self> {
        set_no_new_privs(true).context("give up new privileges")?;
        let held = capabilities(None)
            .context("read the capabilities")?
            .permitted;
        let lasting = kept(role.lasting(), held);
        bound(lasting).context("cut the bounding set of capabilities")?;
        clear_ambient_capability_set().context("clear the ambient set of capabilities")?;
        hold(lasting | (role.passing() & held)).context("give up capabilities")?;
        Ok(Self { lasting })
    }

    /// Takes from this thread what only the start needs.
    ///
    /// # Errors
    /// The kernel refused.
    pub(super) fn settle(self) -> io::Result<()> {
        hold(self.lasting)
    }
}

/// What is kept of `held` for the sake of `wanted`. Who has been given `SYS_ADMIN` in the place of the capabilities
/// that were split off it in 5.8 keeps that.
fn kept(wanted: CapabilitySet, held: CapabilitySet) -> CapabilitySet {
    let split = CapabilitySet::BPF | CapabilitySet::PERFMON;
    let instead = if held.contains(wanted & split) {
        CapabilitySet::empty()
    } else {
        CapabilitySet::SYS_ADMIN
    };
    (wanted | instead) & held
}

fn hold(set: CapabilitySet) -> io::Result<()> {
    let sets = CapabilitySets {
        effective: set,
        permitted: set,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets)
}

/// Makes `set` the most that a program could have that is executed from here.
fn bound(set: CapabilitySet) -> io::Result<()> {
    let known = (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit));
    for capability in known.filter(|capability| !set.contains(*capability)) {
        match capability_is_in_bounding_set(capability) {
            Ok(true) => {}
            Ok(false) => continue,
            // This kernel knows no more of them.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // It takes SETPCAP, which a service manager that has cut the set itself need not give. That nothing
            // is gained by executing holds all the same.
            Err(Errno::PERM) => {
                debug!(
                    "the bounding set of capabilities stays as it was given: SETPCAP is lacking"
                );
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
