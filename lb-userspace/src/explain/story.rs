//! The stages that a packet went through, and what each found.

use std::{collections::BTreeMap, net::SocketAddr};

use lb_common::{backend::BackendId, outcome::Outcome};
use serde_json::{Value, json};

use super::{
    Known,
    frame::Seen,
    words::{self, Decided},
};
use crate::{
    control::protocol::{Output, Stage},
    dataplane::{
        BackendEntry, VipEntry,
        trial::{Trial, Tuple},
    },
    model::{Algorithm, Mode, Vip},
};

/// Knows what a packet met.
pub(super) struct Teller<'a> {
    known: &'a Known,
    seen: &'a Seen,
    trial: &'a Trial,
    /// The stage that decided, and what it said.
    decided: Decided,
    ending: &'static str,
    /// The VIP that the packet is for, unless it is a backend's reply.
    vip: Option<(Vip, VipEntry)>,
    /// If the packet is a backend's reply: the one that the client must see.
    reply: Option<Tuple>,
    choice: Choice,
}

/// Where the backend comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// The packet did not come so far, or there was nobody.
    Nobody,
    /// The flow table.
    Flow(BackendId),
    /// A slot of the lookup table.
    Slot {
        backend: BackendId,
        slot: u32,
        slots: u32,
        is_tracked: bool,
    },
    /// A slot that was drawn, for a flow that begins.
    Drawn(BackendId),
    /// The program's own: a QUIC connection id, or maps that have changed since they were read.
    Program(BackendId),
}

impl<'a> Teller<'a> {
    pub(super) fn new(known: &'a Known, seen: &'a Seen, trial: &'a Trial) -> Self {
        let (decided, ending) = words::ending(trial.outcome);
        // A VIP comes before a reply.
        let flow = trial.flow.filter(|_| decided > Decided::Classify);
        let vip = flow.and_then(|flow| known.vip(&flow).map(|(vip, entry)| (vip, *entry)));
        let reply = trial
            .reply
            .filter(|_| vip.is_none() && decided > Decided::Classify);
        let mut teller = Self {
            known,
            seen,
            trial,
            decided,
            ending,
            vip,
            reply,
            choice: Choice::Nobody,
        };
        teller.choice = teller.choose();
        teller
    }

    /// Who was chosen, as the maps say; where that is not what the program did, what the program did.
    fn choose(&self) -> Choice {
        let (Some((_, vip)), Some(flow)) = (self.vip, self.trial.flow) else {
            return Choice::Nobody;
        };
        let nobody = [Outcome::NoBackend, Outcome::StaleTable, Outcome::Echoed];
        if self.decided < Decided::Select || nobody.contains(&self.trial.outcome) {
            return Choice::Nobody;
        }
        let expected = self.expected(&vip, &flow);
        if expected == Choice::Nobody && vip.algorithm.draws_slots() && vip.quic_lb.is_empty() {
            return self.trial.backend.map_or(Choice::Nobody, Choice::Drawn);
        }
        match (self.trial.backend, expected.backend()) {
            (Some(counted), expected) if Some(counted) != expected => Choice::Program(counted),
            _ => expected,
        }
    }

    fn expected(&self, vip: &VipEntry, flow: &Tuple) -> Choice {
        let slots = vip.region.slots;
        let Some(hashes) = flow.hashes(self.known.hash_seed) else {
            return Choice::Nobody;
        };
        let slot = hashes.slot(vip.algorithm, slots);
        let table = self.known.actual.tables.get(&vip.region);
        let found = table.and_then(|table| table.get(usize::try_from(slot?).ok()?));
        let is_tracked = found.is_none_or(|found| found.is_tracked()) || !vip.quic_lb.is_empty();
        if let Some(remembered) = self.trial.known.filter(|_| is_tracked) {
            let entry = self.known.backend(remembered.backend);
            if entry.is_some_and(|it| it.active && it.generation == remembered.generation) {
                return Choice::Flow(remembered.backend);
            }
        }
        match (slot, found) {
            (Some(slot), Some(found)) => Choice::Slot {
                backend: found.backend(),
                slot,
                slots,
                is_tracked,
            },
            (None, _) | (_, None) => Choice::Nobody,
        }
    }

    /// The backend that the packet goes to, or would.
    pub(super) fn backend(&self) -> Option<&'a BackendEntry> {
        self.known.backend(self.choice.backend()?)
    }

    /// The service that it is for.
    pub(super) fn service(&self) -> Option<String> {
        let (_, entry) = self.vip?;
        self.known.services.get(&entry.service).cloned()
    }

    /// The stages up to the one that decided. `output` is the frame that leaves, if one does.
    pub(super) fn stages(&self, output: Option<&Output>) -> Vec<Stage> {
        let is_request = self.vip.is_some();
        let parsed = [self.parse()].into_iter();
        let mut stages: Vec<Stage> = parsed
            .chain(self.reaches(Decided::Classify).then(|| self.classify()))
            .chain(self.reaches(Decided::Guard).then(|| self.guard()).flatten())
            .collect();
        if is_request && self.reaches(Decided::Select) {
            stages.push(self.select());
            stages.extend(self.reaches(Decided::Limits).then(|| self.limits()));
        }
        if self.decided == Decided::Limits && !is_request {
            stages.push(self.limits());
        }
        if self.decided == Decided::Reply {
            stages.push(self.answer(output));
            return stages;
        }
        let mode = self.backend().map(|entry| entry.mode);
        let translates = self.reply.is_some() || mode.is_some_and(Mode::translates);
        if self.decided == Decided::Translate || self.reaches(Decided::Emit) && translates {
            stages.extend(self.translate(output));
        }
        if self.reaches(Decided::Rewrite) && !translates {
            stages.push(self.rewrite(output));
        }
        stages.extend(self.reaches(Decided::Emit).then(|| self.emit(output)));
        stages
    }

    fn reaches(&self, stage: Decided) -> bool {
        self.decided >= stage
    }

    /// A stage with these words; those of the end behind them, if it decided.
    fn told<const N: usize>(
        &self,
        stage: Decided,
        name: &str,
        what: &str,
        facts: [(&str, Value); N],
    ) -> Stage {
        let decided = self.decided == stage;
        let parts = [what, if decided { self.ending } else { "" }];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let facts = facts.into_iter().filter(|(_, value)| !value.is_null());
        Stage {
            stage: name.to_owned(),
            what: parts.join("; "),
            facts: facts
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<BTreeMap<_, _>>(),
        }
    }

    fn parse(&self) -> Stage {
        let by = self.known.interface(self.known.ingress);
        let what = format!("{}, in by {by}", words::packet(self.seen));
        let facts = [
            ("interface", json!(by)),
            ("hop_limit", json!(self.seen.ip.map(|ip| ip.hop_limit))),
            ("bytes", json!(self.seen.bytes)),
        ];
        self.told(Decided::Parse, "parse", &what, facts)
    }

    fn classify(&self) -> Stage {
        let what = match (self.vip, self.reply) {
            (Some((vip, _)), _) => {
                let service = self.service().unwrap_or_else(|| "?".to_owned());
                format!("VIP {vip} of service {service}")
            }
            (None, Some(reply)) => {
                let [vip, client] = ends(&reply);
                format!("a backend's reply, which client {client} is to see from {vip}")
            }
            (None, None) if self.decided == Decided::Classify => String::new(),
            (None, None) => "a VIP address".to_owned(),
        };
        let facts = [
            ("vip", json!(self.vip.map(|(vip, _)| vip.to_string()))),
            ("service", json!(self.service())),
        ];
        self.told(Decided::Classify, "classify", &what, facts)
    }

    /// What is asked of clients' packets alone.
    fn guard(&self) -> Option<Stage> {
        if self.reply.is_some() {
            return None;
        }
        let limit = self.vip.and_then(|(_, entry)| entry.source_limit);
        let what = if self.decided == Decided::Guard {
            String::new()
        } else {
            match limit {
                Some(limit) => format!(
                    "the source may send, and has not sent more than {} packets in a second",
                    limit.rate
                ),
                None => "the source may send".to_owned(),
            }
        };
        let facts = [("source_rate", json!(limit.map(|limit| limit.rate)))];
        Some(self.told(Decided::Guard, "guard", &what, facts))
    }

    fn select(&self) -> Stage {
        let algorithm = self
            .vip
            .map_or_else(Algorithm::default, |(_, entry)| entry.algorithm);
        let address = self.backend().map(|entry| entry.address.to_string());
        let name = address.as_deref().unwrap_or("?");
        let what = match self.choice {
            Choice::Nobody => String::new(),
            Choice::Flow(_) => format!("the flow is remembered: backend {name}"),
            Choice::Slot { slot, slots, .. } => {
                let by = words::chosen_by(algorithm);
                format!("slot {slot} of {slots} in the lookup table{by}: backend {name}")
            }
            Choice::Drawn(_) => {
                let by = words::drawn_by(algorithm);
                format!("{by}: backend {name} in this trial, which draws for itself")
            }
            Choice::Program(_) => {
                let by_id = self.vip.is_some_and(|(_, entry)| !entry.quic_lb.is_empty());
                let why = if by_id && algorithm.draws_slots() {
                    "the QUIC connection id names it, or its slot was drawn"
                } else if by_id {
                    "the QUIC connection id names it, or the maps have just changed"
                } else {
                    "the maps have just changed"
                };
                format!("the program chose backend {name} ({why})")
            }
        };
        let (slot, slots) = match self.choice {
            Choice::Slot { slot, slots, .. } => (Some(slot), Some(slots)),
            Choice::Nobody | Choice::Flow(_) | Choice::Drawn(_) | Choice::Program(_) => {
                (None, None)
            }
        };
        let is_untracked = matches!(
            self.choice,
            Choice::Slot {
                is_tracked: false,
                ..
            }
        );
        let memory = match (self.trial.backend, self.trial.known, self.trial.remembered) {
            _ if is_untracked => ", and its flows need no memory: nothing moves there",
            (Some(_), None, Some(_)) => "; a new flow, remembered from here on",
            (Some(_), None, None) => "; no flow begins with it, and none is remembered",
            _ => "",
        };
        let facts = [
            ("backend", json!(address)),
            ("algorithm", json!(self.vip.map(|_| algorithm))),
            ("mode", json!(self.backend().map(|entry| entry.mode))),
            ("remembered", json!(matches!(self.choice, Choice::Flow(_)))),
            ("tracked", json!(!is_untracked)),
            ("slot", json!(slot)),
            ("slots", json!(slots)),
        ];
        self.told(Decided::Select, "select", &(what + memory), facts)
    }

    /// Whether the packet may go on at all.
    fn limits(&self) -> Stage {
        let hop_limit = self.seen.ip.map_or(0, |ip| ip.hop_limit);
        let length = self.seen.ip.map_or(0, |ip| ip.length);
        let entry = self.backend();
        let mtu = entry.map_or(0, |entry| entry.next_hop.mtu);
        let overhead = entry.map_or(0, |entry| entry.mode.overhead(entry.address.ip()));
        let what = match (self.trial.outcome, mtu) {
            (Outcome::TimeExceededSent, _) => format!("hop limit {hop_limit} is used up"),
            (Outcome::TooBigSent | Outcome::TooBig, _) => {
                format!("{length} bytes and {overhead} of outer headers are more than {mtu}")
            }
            (Outcome::TtlExceeded, _) => String::new(),
            (_, 0) => format!("hop limit {hop_limit} is enough"),
            _ => format!(
                "hop limit {hop_limit} is enough, and {length} bytes and {overhead} of outer headers fit {mtu}"
            ),
        };
        let facts = [
            ("mtu", json!((mtu > 0).then_some(mtu))),
            ("overhead", json!(overhead)),
            ("length", json!(length)),
        ];
        self.told(Decided::Limits, "guard", &what, facts)
    }

    fn translate(&self, output: Option<&Output>) -> Option<Stage> {
        let ends = output.and_then(|output| output.outer.as_ref());
        if ends.is_none() && self.decided != Decided::Translate {
            return None;
        }
        let mode = self.backend().map(|entry| format!("mode {}: ", entry.mode));
        let mode = mode.unwrap_or_default();
        let what = ends.map_or_else(
            || mode.trim_end_matches(": ").to_owned(),
            |ends| format!("{mode}from {} to {}", ends.source, ends.destination),
        );
        // Each CPU has ports of its own.
        let is_example = self.trial.known.is_none()
            && self.backend().is_some_and(|entry| entry.mode == Mode::Snat);
        let example = if is_example && ends.is_some() {
            " (a port of the CPU that takes the packet)"
        } else {
            ""
        };
        let facts = [
            ("source", json!(ends.map(|ends| &ends.source))),
            ("destination", json!(ends.map(|ends| &ends.destination))),
        ];
        Some(self.told(Decided::Translate, "translate", &(what + example), facts))
    }

    fn rewrite(&self, output: Option<&Output>) -> Stage {
        let entry = self.backend();
        let outer = output.filter(|_| entry.is_some_and(|entry| entry.mode.is_tunnel()));
        let outer = outer.and_then(|output| output.outer.as_ref());
        let hop_limit = self.seen.ip.map_or(0, |ip| ip.hop_limit.saturating_sub(1));
        let mode = entry.map_or_else(String::new, |entry| format!("mode {}: ", entry.mode));
        let what = match outer {
            Some(ends) => format!(
                "{mode}an outer header from {} to {} before it, hop limit {hop_limit} inside",
                ends.source, ends.destination
            ),
            None => format!("{mode}as it is, but for its hop limit, now {hop_limit}"),
        };
        let facts = [
            ("hop_limit", json!(hop_limit)),
            ("outer_source", json!(outer.map(|ends| &ends.source))),
            (
                "outer_destination",
                json!(outer.map(|ends| &ends.destination)),
            ),
        ];
        self.told(Decided::Rewrite, "rewrite", &what, facts)
    }

    fn emit(&self, output: Option<&Output>) -> Stage {
        let what = output
            .and_then(|output| Some((output, output.interface.as_ref()?)))
            .map(|(output, by)| {
                let vlans = output.vlans.iter().map(|id| format!(", VLAN {id}"));
                let vlans: String = vlans.collect();
                let (from, to) = (&output.source_mac, &output.destination_mac);
                format!("out by {by} from {from} to {to}{vlans}")
            });
        let facts = [
            (
                "interface",
                json!(output.and_then(|it| it.interface.as_ref())),
            ),
            (
                "destination_mac",
                json!(output.map(|it| &it.destination_mac)),
            ),
        ];
        self.told(Decided::Emit, "emit", &what.unwrap_or_default(), facts)
    }

    fn answer(&self, output: Option<&Output>) -> Stage {
        let ends = output.and_then(|output| output.outer.as_ref());
        let facts = [("destination", json!(ends.map(|ends| &ends.destination)))];
        self.told(Decided::Reply, "reply", "", facts)
    }
}

impl Choice {
    const fn backend(self) -> Option<BackendId> {
        match self {
            Self::Nobody => None,
            Self::Flow(backend)
            | Self::Slot { backend, .. }
            | Self::Drawn(backend)
            | Self::Program(backend) => Some(backend),
        }
    }
}

/// Both ends, with their ports.
fn ends(tuple: &Tuple) -> [SocketAddr; 2] {
    let [from, to] = tuple.ports;
    [(tuple.source, from).into(), (tuple.destination, to).into()]
}
