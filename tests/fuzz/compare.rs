//! A batch of frames to both sides, and where they disagree.

use std::{collections::BTreeMap, fmt};

use lb_common::outcome::{LEDGER_CELLS, Outcome};
use lb_tests::{
    object::{Action, Object, Ran},
    packet::hex_dump,
};

use crate::{fragments::arrivals, generate::Arrival, model::Verdict, random::Random, world::World};

/// Few enough that no flow is forgotten for want of room.
const BATCH: usize = 512;

/// Frames that begin without a known flow.
pub(crate) struct Batch(Vec<Arrival>);

/// A frame of which the two say different things.
pub(crate) struct Difference {
    /// Of its world, from 0.
    packet: u64,
    arrival: Arrival,
    model: Verdict,
    program: String,
    left: Vec<u8>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict {
            outcome,
            action,
            backend,
            begins,
            frame,
        } = &self.model;
        writeln!(
            f,
            "packet {}, interface {}:",
            self.packet, self.arrival.side
        )?;
        writeln!(f, "{}", hex_dump(&self.arrival.frame))?;
        writeln!(
            f,
            "the model says {outcome:?}, {action:?}, backend {backend:?}, begins a flow {begins}:\n{}",
            hex_dump(frame.as_deref().unwrap_or_default())
        )?;
        writeln!(f, "the program: {}", self.program)?;
        write!(f, "{}", hex_dump(&self.left))
    }
}

impl Batch {
    pub(crate) fn new(random: &mut Random) -> Self {
        Self(arrivals(random, BATCH))
    }

    pub(crate) const fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// Gives every frame to both; `first` is the number of the first one.
    ///
    /// `met` counts the model's outcomes.
    pub(crate) fn differences(
        &self,
        world: &mut World,
        first: u64,
        met: &mut BTreeMap<Outcome, u64>,
    ) -> Option<Difference> {
        world.renew();
        let before = Counters::read(&world.object);
        let mut wanted = before.clone();
        let mut out = Vec::new();
        for arrival in &self.0 {
            let ingress = world.interfaces[arrival.side];
            let action = world.object.answer(&arrival.frame, ingress, &mut out);
            let verdict = world.model.verdict(&arrival.frame, ingress, &out);
            let differs = verdict.frame.as_ref().is_some_and(|frame| *frame != out);
            if action != verdict.action || differs {
                return Some(self.one_by_one(world, first));
            }
            *met.entry(verdict.outcome).or_default() += 1;
            wanted.count(&verdict, arrival.frame.len());
        }
        (Counters::read(&world.object) != wanted).then(|| self.one_by_one(world, first))
    }

    /// The same again, slowly.
    fn one_by_one(&self, world: &mut World, first: u64) -> Difference {
        world.renew();
        for (packet, arrival) in (first..).zip(&self.0) {
            let ingress = world.interfaces[arrival.side];
            let ran = world.object.run(&arrival.frame, ingress);
            let model = world.model.verdict(&arrival.frame, ingress, &ran.frame);
            if !agree(&model, &ran) {
                let backend = ran.backend.map(|id| id.0);
                return Difference {
                    packet,
                    arrival: arrival.clone(),
                    model,
                    program: format!(
                        "{:?}, {:?}, backend {backend:?}, begins a flow {}",
                        ran.outcome, ran.action, ran.begins
                    ),
                    left: ran.frame,
                };
            }
        }
        panic!("a batch from packet {first} differed as a whole, and not packet by packet");
    }
}

fn agree(model: &Verdict, ran: &Ran) -> bool {
    model.outcome == ran.outcome
        && model.action == ran.action
        && model.backend == ran.backend.map(|id| id.0)
        && model.begins == ran.begins
        && (ran.action == Action::Drop || model.frame.as_ref() == Some(&ran.frame))
}

/// Ledger, and by backend: packets, bytes, flows.
#[derive(Clone, PartialEq, Eq)]
struct Counters {
    ledger: Vec<u64>,
    traffic: Vec<[u64; 3]>,
}

impl Counters {
    fn read(object: &Object) -> Self {
        let ledger = object.ledger();
        assert_eq!(ledger.len(), LEDGER_CELLS as usize, "the ledger's cells");
        let traffic = object.traffic().into_iter();
        let traffic = traffic.map(|it| [it.packets, it.bytes, it.flows]).collect();
        Self { ledger, traffic }
    }

    fn count(&mut self, verdict: &Verdict, length: usize) {
        let Verdict { outcome, .. } = verdict;
        self.ledger[cell(*outcome)] += 1;
        if let Some(id) = verdict.backend {
            let [packets, bytes, flows] = &mut self.traffic[id as usize];
            *packets += 1;
            *bytes += length as u64;
            *flows += u64::from(verdict.begins);
        }
    }
}

const fn cell(outcome: Outcome) -> usize {
    outcome as usize
}
