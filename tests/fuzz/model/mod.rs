//! What the packet table says becomes of a frame: the reference that the program is compared with.
//!
//! Written from the table and the RFCs, in the plainest way, and for no speed: whole frames, whole addresses,
//! maps of the standard library. Each module is a part of the table; what the program learns to do is added
//! in one of them.
//!
//! Not modelled, and not met in the fuzzer's world either:
//! - errors that the program itself sends: its budget is 0 there, for what is left of one depends on the clock;
//! - tables, backends and VIPs that change, and flows and fragments that are forgotten for want of room;
//! - source ports that are used up, or free again after a time: the fixtures have them;
//! - frames of more than one buffer, and drivers that leave no room before a frame.
//!
//! Two things are not told twice: the flow hash and the slot that it falls on are those of `lb_common`. What an ICMP
//! error quotes, and fragments, were modelled after the program's description where the table is silent: the order in
//! which things can be wrong with them, and how much of a first fragment's journey must succeed for it to be remembered.

mod checksum;
mod classify;
mod echo;
mod forward;
mod fragment;
mod guard;
mod nat;
mod parse;
mod quic;
mod reply;
mod route;
mod tunnel;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use lb_common::{
    backend::Mode,
    outcome::{Kind, Outcome},
    settings::Settings,
};
use lb_tests::{object::Action, packet::Mac};

pub(crate) use classify::{Prefix, single};
pub(crate) use fragment::Fragments;
use parse::Parsed;
pub(crate) use quic::QuicConfig;
pub(crate) use route::{Hop, Route, Tag};

/// A flow, as the packets of one direction show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FlowKey {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) protocol: u8,
}

impl FlowKey {
    const fn reversed(self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            protocol: self.protocol,
        }
    }
}

/// A backend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backend {
    pub(crate) generation: u32,
    pub(crate) is_inactive: bool,
    pub(crate) mode: Mode,
    pub(crate) address: SocketAddr,
    pub(crate) hop: Hop,
    /// Our own address towards it if it is reached by a tunnel or `snat`, and how many of its low bits vary.
    pub(crate) source: IpAddr,
    pub(crate) source_bits: u8,
    /// The largest packet that may go there; 0 for any.
    pub(crate) mtu: u16,
}

/// A service, as the packets to one of its VIPs see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Service {
    /// The lookup table: backends, and whether flows that fall there are remembered.
    pub(crate) table: Vec<(u32, bool)>,
    /// The QUIC-LB configurations, by number; without any, connection ids are not read.
    pub(crate) quic: BTreeMap<u8, QuicConfig>,
    /// Whether each source may send only so many packets.
    pub(crate) is_limited: bool,
    /// How its flows get their slots.
    pub(crate) spread: Spread,
}

/// How flows get their slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Spread {
    #[default]
    ByFlow,
    BySource,
    /// Every slot has the same backend.
    Random,
    /// The first new flow gets slot 0.
    ByTurns,
    /// Of two slots the first counts, for nothing is weighed.
    ByLoad,
}

/// What is said of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) action: Action,
    /// The frame that leaves or is passed; what was dropped has none.
    pub(crate) frame: Option<Vec<u8>>,
    /// The backend that the packet is counted for.
    pub(crate) backend: Option<u32>,
    /// Whether it is counted as one that begins a flow: a TCP connection by its SYN, any other when it is remembered.
    pub(crate) begins: bool,
}

/// Everything that the program's maps hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) settings: Settings,
    /// Prefixes of which all addresses are VIPs, whatever the port; single addresses among them.
    pub(crate) prefixes: BTreeSet<Prefix>,
    /// Who is not let in.
    pub(crate) blocklist: Vec<Prefix>,
    /// Sources that have sent all that they may.
    pub(crate) exhausted: Vec<IpAddr>,
    /// By prefix, port and protocol.
    pub(crate) vips: BTreeMap<(Prefix, u16, u8), Service>,
    /// Backend and generation, by QUIC server id; there is one service with QUIC-LB.
    pub(crate) servers: BTreeMap<Vec<u8>, (u32, u32)>,
    pub(crate) backends: BTreeMap<u32, Backend>,
    /// Interfaces that frames may be redirected to.
    pub(crate) devices: BTreeSet<u32>,
    /// Interfaces of VLANs: what transmits for them, and with which tag.
    pub(crate) vlans: BTreeMap<u32, (u32, Option<Tag>)>,
    /// The first that contains an address is the route to it.
    pub(crate) routes: Vec<Route>,
    /// By what a client sends.
    pub(crate) flows: BTreeMap<FlowKey, Remembered>,
    /// What the client sends, by what a `nat` or `snat` backend answers.
    pub(crate) replies: BTreeMap<FlowKey, FlowKey>,
    /// What first fragments told.
    pub(crate) fragments: Fragments,
    /// Turns that flows have had, of the one service that gives them.
    pub(crate) turns: usize,
}

/// What is remembered of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remembered {
    backend: u32,
    generation: u32,
    /// From where an `snat` backend gets it.
    source: Option<SocketAddr>,
}

/// Whose packet it is.
enum Addressee {
    Service(Service),
    /// The client of this flow.
    Client(FlowKey),
    Ourselves,
}

impl Model {
    /// What becomes of `frame`, received on the interface with index `ingress`. Which source port a new flow to an
    /// `snat` backend gets is the program's choice: it is told by `left`, the frame as the program left it.
    pub(crate) fn verdict(&mut self, frame: &[u8], ingress: u32, left: &[u8]) -> Verdict {
        self.journey(frame, ingress, left)
            .unwrap_or_else(|outcome| ended(outcome, frame))
    }

    fn journey(&mut self, frame: &[u8], ingress: u32, left: &[u8]) -> Result<Verdict, Outcome> {
        let parsed = parse::parse(frame, &self.fragments)?;
        match self.addressee(&parsed)? {
            Addressee::Service(service) => self.forward(frame, &parsed, &service, (ingress, left)),
            Addressee::Client(flow) => self.answer(frame, &parsed, &flow, ingress),
            Addressee::Ourselves => echo::echo(frame, &parsed),
        }
    }

    /// Forgets all flows and fragments.
    pub(crate) fn forget_flows(&mut self) {
        self.flows.clear();
        self.replies.clear();
        self.fragments.forget();
        self.turns = 0;
    }

    /// How a frame leaves, by an interface that must be allowed: with the tag that the egress asks for and the
    /// priority of the outermost that it had, or without; and as it came where it came in by, if that is no
    /// interface of VLANs.
    fn emit(
        &self,
        mut frame: Vec<u8>,
        parsed: &Parsed,
        hop: Hop,
        ingress: u32,
    ) -> Result<(Action, Vec<u8>), Outcome> {
        frame[..6].copy_from_slice(&hop.destination);
        frame[6..12].copy_from_slice(&hop.source);
        // Where it came in by without a tag, it goes out by without one, whatever adds tags below.
        let returns_bare = hop.egress == ingress && parsed.ip == 14;
        let vlan = self.vlans.get(&hop.egress);
        let vlan = vlan.filter(|_| hop.tag.is_none() && !returns_bare);
        let (device, tag) = vlan.copied().unwrap_or((hop.egress, hop.tag));
        let action = if device == ingress {
            Action::Transmit
        } else if self.devices.contains(&device) {
            Action::Redirect
        } else {
            return Err(Outcome::NoDevice);
        };
        let keeps_tags = vlan.is_none() && tag.is_none() && device == ingress;
        if !keeps_tags {
            let priority = if parsed.ip > 14 {
                word(&frame, 14) & 0xf000
            } else {
                0
            };
            let new = tag.map(|(ethertype, id)| [ethertype, priority | id]);
            let new = new.into_iter().flatten().flat_map(u16::to_be_bytes);
            // The last two bytes before the IP header are its ethertype.
            frame.splice(12..parsed.ip - 2, new);
        }
        Ok((action, frame))
    }
}

/// What is said of a frame that goes no further.
fn ended(outcome: Outcome, frame: &[u8]) -> Verdict {
    let (action, frame) = match outcome.kind() {
        Kind::Drop => (Action::Drop, None),
        Kind::Pass | Kind::Forward => (Action::Pass, Some(frame.to_vec())),
    };
    Verdict {
        outcome,
        action,
        frame,
        backend: None,
        begins: false,
    }
}

/// The two bytes at `offset` as a number.
fn word(bytes: &[u8], offset: usize) -> u16 {
    u16::from_be_bytes([bytes[offset], bytes[offset + 1]])
}

/// Whether the MAC address is that of a group.
const fn is_group(mac: Mac) -> bool {
    let [first, ..] = mac;
    first & 1 == 1
}
