//! Which interfaces the program is attached to, and how.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, anyhow, bail};
use lb_common::vlan::VlanDevice;
use tracing::{info, warn};

use super::announce::Announcer;
use crate::{
    config::XdpMode,
    control::protocol::{AttachmentState, InterfaceStatus},
    dataplane::{
        attach::{AttachError, AttachMode, Attached, Attachments},
        ledger::Ledger,
    },
    neighbor::{self, Link, Xdp},
};

/// The interfaces of one instance.
pub(super) struct Interfaces {
    announcer: Announcer,
    attachments: Attachments,
    mode: XdpMode,
    /// By name: those that are wanted.
    wanted: BTreeMap<String, State>,
    /// How frames for VLAN devices leave, and for those that carry some.
    vlans: BTreeMap<u32, VlanDevice>,
    /// Names of all the host's interfaces, by index.
    names: BTreeMap<u32, String>,
}

/// What is known of one wanted interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    /// There is no interface of that name now.
    #[default]
    Missing,
    /// It is there, and the program is attached to it.
    Attached {
        index: u32,
        /// As the kernel says; `None` until it has been asked.
        xdp: Option<Xdp>,
    },
    /// It is there, and the program could not be attached to it.
    Failed { index: u32, why: String },
}

impl Interfaces {
    pub(super) fn new(
        announcer: Announcer,
        attachments: Attachments,
        mode: XdpMode,
        names: impl IntoIterator<Item = String>,
    ) -> Self {
        Self {
            announcer,
            attachments,
            mode,
            wanted: names
                .into_iter()
                .map(|name| (name, State::Missing))
                .collect(),
            vlans: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// The program and its links, for what is done to them as a whole.
    pub(super) const fn attachments_mut(&mut self) -> &mut Attachments {
        &mut self.attachments
    }

    /// Attaches to all wanted interfaces and takes the program off others that an
    /// earlier process attached it to. If one of them fails, those that are new are detached again.
    pub(super) fn attach_all(&mut self, links: &[Link]) -> Result<()> {
        let before: BTreeSet<u32> = self.attachments.pinned()?.into_iter().collect();
        self.follow(links);
        if let Some(problem) = self.problems().into_iter().next() {
            for index in self.indexes().difference(&before) {
                self.attachments.detach(*index)?;
            }
            return Err(anyhow!(problem));
        }
        let attached = self.indexes();
        for index in self.attachments.pinned()? {
            if !attached.contains(&index) {
                info!(
                    index,
                    "detaching from an interface that is no longer configured"
                );
                self.attachments.detach(index)?;
            }
        }
        Ok(())
    }

    /// Follows what has happened to the host's interfaces: attaches to those that have come (back).
    /// Answers whether the set of attached interfaces or a VLAN device has changed.
    pub(super) fn follow(&mut self, links: &[Link]) -> bool {
        let before = self.indexes();
        let vlans = self.look_at_vlans(links);
        for (name, state) in &mut self.wanted {
            let link = links.iter().find(|link| link.name == *name);
            let next = match (link, &*state) {
                (None, State::Missing) => State::Missing,
                (None, State::Attached { index, .. } | State::Failed { index, .. }) => {
                    self.announcer.attachment(name, AttachmentState::Gone, None);
                    self.attachments.gone(name, *index);
                    State::Missing
                }
                (Some(link), State::Attached { index, .. })
                    if *index == link.index && link.xdp.is_some() =>
                {
                    State::Attached {
                        index: link.index,
                        xdp: link.xdp,
                    }
                }
                (Some(link), State::Failed { index, why }) if *index == link.index => {
                    State::Failed {
                        index: link.index,
                        why: why.clone(),
                    }
                }
                // It has come (back), or somebody has taken the program off it.
                (Some(link), before) => {
                    if let State::Attached { index, .. } = before
                        && *index != link.index
                    {
                        self.attachments.gone(name, *index);
                    }
                    if link.kind.is_none() && self.vlans.contains_key(&link.index) {
                        info!(
                            interface = name,
                            "it carries VLAN devices: if the card takes tags off by itself, see to it that it does not (`ethtool -K {name} rxvlan off rx-vlan-stag-hw-parse off`)"
                        );
                    }
                    attach(&self.announcer, &mut self.attachments, self.mode, link)
                }
            };
            *state = next;
        }
        vlans || before != self.indexes()
    }

    /// The name of an interface of the host; its number, if it has gone.
    pub(super) fn name(&self, index: u32) -> String {
        let name = self.names.get(&index).cloned();
        name.unwrap_or_else(|| format!("number {index}"))
    }

    /// Notes the names of `links` and the VLAN devices among them; whether these have changed.
    pub(super) fn look_at_vlans(&mut self, links: &[Link]) -> bool {
        let named = links.iter().map(|link| (link.index, link.name.clone()));
        self.names = named.collect();
        let vlans = neighbor::vlan::devices(links);
        let changed = self.vlans != vlans;
        self.vlans = vlans;
        changed
    }

    /// How frames for VLAN devices leave, and for those that carry some, by index.
    pub(super) const fn vlans(&self) -> &BTreeMap<u32, VlanDevice> {
        &self.vlans
    }

    /// Whether there are interfaces whose mode has not been asked for since the program was attached.
    pub(super) fn is_mode_unknown(&self) -> bool {
        let unknown = |state: &State| matches!(state, State::Attached { xdp: None, .. });
        self.wanted.values().any(unknown)
    }

    /// How a program that sends to these interfaces must be attached to its own: a driver without native XDP transmits
    /// no frames of native XDP.
    pub(super) fn sending_mode(&self) -> AttachMode {
        let is_generic = |state: &State| {
            let generic = Some(Xdp::Generic);
            matches!(state, State::Attached { xdp, .. } if *xdp == generic)
        };
        if self.mode == XdpMode::Generic || self.wanted.values().any(is_generic) {
            AttachMode::Generic
        } else {
            AttachMode::Native
        }
    }

    /// Has interfaces that could not be attached to tried again when they are next looked at.
    pub(super) fn forget_failures(&mut self) {
        for state in self.wanted.values_mut() {
            if let State::Failed { .. } = state {
                *state = State::Missing;
            }
        }
    }

    /// Indexes of those among `links` that are wanted.
    pub(super) fn present(&self, links: &[Link]) -> BTreeSet<u32> {
        let wanted = links
            .iter()
            .filter(|link| self.wanted.contains_key(&link.name));
        wanted.map(|link| link.index).collect()
    }

    /// Indexes of the interfaces that the program is attached to.
    pub(super) fn indexes(&self) -> BTreeSet<u32> {
        let index = |state: &State| match state {
            State::Attached { index, .. } => Some(*index),
            State::Missing | State::Failed { .. } => None,
        };
        self.wanted.values().filter_map(index).collect()
    }

    /// Each interface's ledger, by name, and last that of interfaces which have none any more, without one.
    pub(super) fn ledgers(&self) -> Result<Vec<(Option<String>, Ledger)>> {
        let named = self.attachments.ledgers()?.into_iter();
        let mut ledgers: Vec<_> = named.map(|(name, ledger)| (Some(name), ledger)).collect();
        ledgers.push((None, self.attachments.other_ledger()?));
        Ok(ledgers)
    }

    /// What is wrong with wanted interfaces.
    pub(super) fn problems(&self) -> Vec<String> {
        let problem = |(name, state): (&String, &State)| match state {
            State::Attached { .. } => None,
            State::Missing => Some(format!("there is no interface `{name}` now")),
            State::Failed { why, .. } => {
                Some(format!("cannot attach to interface `{name}`: {why}"))
            }
        };
        self.wanted.iter().filter_map(problem).collect()
    }

    pub(super) fn status(&self) -> Vec<InterfaceStatus> {
        let row = |(name, state): (&String, &State)| {
            let (index, xdp_mode) = match state {
                State::Attached { index, xdp } => (*index, mode_name(*xdp)),
                State::Failed { index, .. } => (*index, "detached"),
                State::Missing => (0, "detached"),
            };
            InterfaceStatus {
                name: name.clone(),
                index,
                xdp_mode: xdp_mode.to_owned(),
            }
        };
        self.wanted.iter().map(row).collect()
    }
}

const fn mode_name(xdp: Option<Xdp>) -> &'static str {
    match xdp {
        Some(Xdp::Native) => "native",
        Some(Xdp::Generic) => "generic",
        None => "detached",
    }
}

/// Refuses names that no interface has.
pub(super) fn check(names: &[String], links: &[Link]) -> Result<()> {
    let there: BTreeSet<&str> = links.iter().map(|link| link.name.as_str()).collect();
    if let Some(missing) = names.iter().find(|name| !there.contains(name.as_str())) {
        let there: Vec<&str> = there.into_iter().collect();
        bail!(
            "there is no interface `{missing}`; there are: {}",
            there.join(", ")
        );
    }
    Ok(())
}

fn attach(
    announcer: &Announcer,
    attachments: &mut Attachments,
    mode: XdpMode,
    link: &Link,
) -> State {
    let Link { index, name, .. } = link;
    let attached = match mode {
        XdpMode::Native => attachments.attach(name, *index, AttachMode::Native),
        XdpMode::Generic => attachments.attach(name, *index, AttachMode::Generic),
        XdpMode::Auto => attachments
            .attach(name, *index, AttachMode::Native)
            .or_else(|error| {
                let no_native = matches!(error.downcast_ref(), Some(AttachError::NoNative));
                if !no_native {
                    return Err(error);
                }
                warn!(
                    interface = name,
                    "the driver has no native XDP: attaching in generic mode, which is slower"
                );
                attachments.attach(name, *index, AttachMode::Generic)
            }),
    };
    match attached.with_context(|| format!("attach to {name}")) {
        Ok(how) => {
            let state = match how {
                Attached::Adopted => AttachmentState::Adopted,
                Attached::New => AttachmentState::Attached,
            };
            announcer.attachment(name, state, None);
            State::Attached {
                index: *index,
                xdp: link.xdp,
            }
        }
        Err(error) => {
            let reason = Some(format!("{error:#}"));
            announcer.attachment(name, AttachmentState::Failed, reason);
            State::Failed {
                index: *index,
                why: format!("{:#}", error.root_cause()),
            }
        }
    }
}
