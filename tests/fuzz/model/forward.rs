//! From a client to a backend: which one, and how the frame looks on its way.

use std::net::IpAddr;

use lb_common::{
    backend::Mode,
    family::{Address4, Address6, V4, V6},
    flow,
    hash::{FlowHash, flow_hash, source_hash},
    outcome::Outcome,
    table::slot_of,
};
use lb_tests::object::Action;

use super::{
    Backend, FlowKey, Model, Remembered, Service, Spread, Verdict,
    checksum::{decrement, readdress},
    guard,
    parse::Parsed,
    quic, tunnel,
};

/// Who gets a packet.
struct Choice {
    id: u32,
    backend: Backend,
    /// What is remembered of its flow.
    known: Option<Remembered>,
    /// Whether its flow is to be remembered.
    is_tracked: bool,
}

impl Model {
    pub(super) fn forward(
        &mut self,
        frame: &[u8],
        parsed: &Parsed,
        service: &Service,
        (ingress, left): (u32, &[u8]),
    ) -> Result<Verdict, Outcome> {
        guard::source(parsed)?;
        self.rate(parsed, service)?;
        let Choice {
            id,
            backend,
            known,
            is_tracked,
        } = self.choice(frame, parsed, service)?;
        let is_known = known.is_some();
        let mut translated = None;
        let (outcome, action, out) = if backend.mode == Mode::LOCAL {
            (Outcome::Local, Action::Pass, frame.to_vec())
        } else {
            // Only now is the hop limit ours to decrement.
            guard::hops(parsed)?;
            tunnel::fits(parsed, &backend)?;
            if matches!(backend.mode, Mode::NAT | Mode::SNAT) {
                translated = Some(self.translated(parsed, &backend, known.as_ref(), left)?);
            }
            let out = self.rewritten(frame, parsed, &backend, translated.as_ref())?;
            let (action, out) = self.emit(out, parsed, backend.hop, ingress)?;
            (Outcome::Forwarded, action, out)
        };
        let is_error = parsed.error.is_some();
        let remembered = is_tracked && !is_known && parsed.may_begin_flow();
        if remembered {
            let own = translated.filter(|_| backend.mode == Mode::SNAT);
            let value = Remembered {
                backend: id,
                generation: backend.generation,
                source: own.map(|to| to.source),
            };
            self.flows.insert(parsed.flow, value);
        }
        if let Some(to) = translated
            && (parsed.may_begin_flow() || is_known)
            && !is_error
        {
            // Of two flows that share a way back, the one that sent last has it.
            self.replies.insert(to.reversed(), parsed.flow);
        }
        self.fragments.remember(parsed);
        Ok(Verdict {
            outcome,
            action,
            frame: Some(out),
            backend: Some(id),
            begins: match parsed.flow.protocol {
                6 => parsed.is_syn && !is_known && !is_error,
                _ => remembered,
            },
        })
    }

    /// A QUIC packet goes to the server that it names; a flow stays where it is remembered to be; all others go by the
    /// lookup table. A known flow goes to no other backend in mode `snat`: it has the source port for one alone.
    ///
    /// A flow is remembered if its slot is tracked, if there is no table, and of QUIC also if its packet names another
    /// server than the slot, or none. Where flows take turns, one that is not known has the next; what begins no flow goes
    /// where the next one that begins will go.
    fn choice(
        &mut self,
        frame: &[u8],
        parsed: &Parsed,
        service: &Service,
    ) -> Result<Choice, Outcome> {
        let Service {
            table,
            quic,
            spread,
            ..
        } = service;
        let key = &parsed.flow;
        let slots = u32::try_from(table.len()).expect("a small table");
        let seed = self.settings.hash_seed;
        let slot = match spread {
            Spread::ByFlow | Spread::ByLoad => slot_of(hash(key, seed), slots),
            Spread::BySource => slot_of(hash_of_source(key.source.ip(), seed), slots),
            Spread::Random | Spread::ByTurns => 0,
        };
        let slot = table.get(usize::try_from(slot).expect("a small table"));
        let (owner, mut is_tracked) = slot.copied().unwrap_or((0, true));
        let server = quic::server_id(frame, parsed, quic).and_then(|id| self.servers.get(id));
        let named_number = server.map_or(0, |(id, _)| *id);
        is_tracked |= !quic.is_empty() && named_number != owner;
        let believed = |id: u32, generation: u32| {
            let backend = *self.backends.get(&id)?;
            let is_same = backend.generation == generation && !backend.is_inactive;
            is_same.then_some((id, backend))
        };
        let flow = self.flows.get(key).filter(|_| is_tracked);
        let known = flow.copied().and_then(|known| {
            let (_, backend) = believed(known.backend, known.generation)?;
            Some((known, backend))
        });
        let named = server
            .and_then(|(id, generation)| believed(*id, *generation))
            .filter(|(_, backend)| backend.mode != Mode::SNAT || known.is_none());
        let remembered = known.map(|(known, _)| known);
        if let Some((id, backend)) =
            named.or(known.map(|(known, backend)| (known.backend, backend)))
        {
            return Ok(Choice {
                id,
                backend,
                known: remembered,
                is_tracked,
            });
        }
        if slots == 0 {
            return Err(Outcome::NoBackend);
        }
        let owner = match spread {
            Spread::ByTurns => self.turn(table, parsed.may_begin_flow()),
            Spread::ByFlow | Spread::BySource | Spread::Random | Spread::ByLoad => owner,
        };
        let backend = self.backends.get(&owner);
        let active = backend.filter(|backend| !backend.is_inactive);
        Ok(Choice {
            id: owner,
            backend: *active.ok_or(Outcome::StaleTable)?,
            known: None,
            is_tracked,
        })
    }

    /// Whose turn it is, and whether it is over.
    fn turn(&mut self, table: &[(u32, bool)], is_taken: bool) -> u32 {
        let (owner, _) = table[self.turns % table.len()];
        self.turns += usize::from(is_taken);
        owner
    }

    /// What the backend's mode makes of the frame.
    fn rewritten(
        &self,
        frame: &[u8],
        parsed: &Parsed,
        backend: &Backend,
        translated: Option<&FlowKey>,
    ) -> Result<Vec<u8>, Outcome> {
        let mut out = frame.to_vec();
        match (backend.mode, translated) {
            (Mode::L2 | Mode::IPIP | Mode::GUE, _) => {}
            (_, Some(to)) => readdress(&mut out, parsed, to),
            (_, None) => return Err(Outcome::UnsupportedMode),
        }
        decrement(&mut out, parsed);
        if matches!(backend.mode, Mode::IPIP | Mode::GUE) {
            out = self.encapsulated(&out, parsed, backend);
        }
        Ok(out)
    }
}

fn hash_of_source(source: IpAddr, seed: u64) -> FlowHash {
    match source {
        IpAddr::V4(source) => source_hash::<V4>(&source.into(), seed),
        IpAddr::V6(source) => source_hash::<V6>(&source.into(), seed),
    }
}

pub(super) fn hash(key: &FlowKey, seed: u64) -> FlowHash {
    macro_rules! hash {
        ($version:ty, $address:ty, $source:expr, $destination:expr) => {
            flow_hash::<$version>(
                &flow::FlowKey {
                    source: <$address>::from($source),
                    destination: <$address>::from($destination),
                    source_port: lb_common::be::Be16::new(key.source.port()),
                    destination_port: lb_common::be::Be16::new(key.destination.port()),
                    protocol: u32::from(key.protocol),
                },
                seed,
            )
        };
    }
    match (key.source.ip(), key.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => hash!(V4, Address4, source, destination),
        (IpAddr::V6(source), IpAddr::V6(destination)) => hash!(V6, Address6, source, destination),
        _ => unreachable!("a packet has one IP version"),
    }
}
