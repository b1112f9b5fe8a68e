//! The interface of probes, there from the first time that a probe is to go the way of clients' packets.

use anyhow::{Context, Result};
use tracing::{info, warn};

use super::core::Core;
use crate::{
    cable::Cable,
    dataplane::{attach::AttachMode, probe::ProbeProgram},
    health::Target,
    model::{Aliases, Health, ProbeWay, Via},
    neighbor::{self, Link},
    plan,
};

/// The interface of probes of one instance.
pub(super) struct Paths {
    aliases: Aliases,
    open: Option<Open>,
}

/// What there is while there is an interface. The program goes before it.
struct Open {
    _program: ProbeProgram,
    mode: AttachMode,
    cable: Cable,
}

impl Paths {
    /// None yet.
    pub(super) const fn new(aliases: Aliases) -> Self {
        Self {
            aliases,
            open: None,
        }
    }

    /// The interface that is in use.
    fn cable(&self) -> Option<&Cable> {
        let open = self.open.as_ref().map(|open| &open.cable);
        open.filter(|cable| !cable.is_cut())
    }

    /// Whether an interface that was made is not among `links`: somebody has taken it away.
    pub(super) fn is_missing(&self, links: &[Link]) -> bool {
        let is_there = |cable: &Cable| links.iter().any(|link| link.index == cable.index());
        self.cable().is_some_and(|cable| !is_there(cable))
    }

    /// How probes go, for the plan.
    pub(super) fn way(&self) -> ProbeWay {
        ProbeWay {
            aliases: self.aliases,
            interface: self.cable().map(Cable::index),
        }
    }
}

impl Core {
    /// Makes the interface of probes if it is needed and not there. It stays for as long as the daemon runs; its program
    /// sends as the others do, which is known once they are attached.
    pub(super) async fn open_paths(&mut self) -> Result<()> {
        if !plan::needs_probe_interface(&self.desired) {
            return Ok(());
        }
        let (edges, reconciler) = (&mut self.edges, &self.reconciler);
        let mode = edges.interfaces.sending_mode();
        let attachments = edges.interfaces.attachments_mut();
        let cable = match edges.paths.open.take() {
            Some(open) if open.cable.is_cut() => {
                attachments.gone(open.cable.name(), open.cable.index());
                None
            }
            Some(open) if open.mode == mode => {
                edges.paths.open = Some(open);
                return Ok(());
            }
            Some(open) => Some(open.cable),
            None => None,
        };
        let cable = if let Some(cable) = cable {
            cable
        } else {
            let opened = Cable::open(edges.paths.aliases).await;
            opened.context("make ready for probes by the VIP")?
        };
        let (name, index) = (cable.name(), cable.index());
        attachments.count_for(name, index)?;
        let kernel = reconciler.dataplane();
        let program = kernel
            .attach_probe(index, mode, attachments)
            .with_context(|| format!("attach to {name}, the interface of probes"))?;
        let Aliases { v4, v6 } = edges.paths.aliases;
        info!(interface = name, ?mode, %v4, %v6, "probes go to VIPs by an interface of their own");
        edges.paths.open = Some(Open {
            _program: program,
            mode,
            cable,
        });
        Ok(())
    }

    /// Looks after the interface of probes, which somebody may have taken away: a tap's file does not tell.
    pub(super) async fn heal_paths(&mut self) {
        let links = neighbor::links().await;
        if links.is_ok_and(|links| self.edges.paths.is_missing(&links)) {
            warn!("the interface of probes is gone; making another one");
            let gone = self.edges.paths.open.take();
            if let Some(Open { cable, .. }) = gone {
                let attachments = self.edges.interfaces.attachments_mut();
                attachments.gone(cable.name(), cable.index());
            }
        }
        if let Err(error) = self.open_paths().await {
            warn!(error = format!("{error:#}"), "no probe can go to a VIP now");
        }
    }

    /// Why probes by the VIP may find out nothing, or nothing good, in words.
    pub(super) fn path_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let attached = self.edges.interfaces.indexes();
        for service in self.desired.services.values() {
            for backend in service.backends.values() {
                let probe = service.probe_of(backend);
                let Some(Ok(hop)) = self.next_hops.get(&backend.address.ip()) else {
                    continue;
                };
                if probe.is_none_or(|probe| probe.via != Via::Vip) {
                    continue;
                }
                let target = Target::of(service, backend.address);
                if !self.plan.paths.contains_key(&target) {
                    problems.push(format!(
                        "{target} cannot be probed by its VIP: there is no interface of probes, or this host has no other address towards it"
                    ));
                } else if !attached.contains(&hop.interface)
                    && self.book.health(&target) != Health::Up
                {
                    problems.push(format!(
                        "answers of {target} to probes by its VIP seem to come in by the interface with index {}, where nobody takes them: add it to interfaces of [daemon], or leave `via` out",
                        hop.interface
                    ));
                }
            }
        }
        problems
    }
}
