//! Clients: flows of exponential lifetimes that send packets after exponential pauses, the same whatever becomes of them.
//!
//! A client has one flow after the other. Its next flow begins when the last one would have ended, even if that broke, so
//! that all kinds of tracking see the same traffic.

use lb_common::hash::FlowHash;
use lb_tests::random::Random;

use super::{
    time::{Tick, exponential, seconds},
    wanted::Server,
};

/// How long a flow lives on average, in seconds.
const LIFETIME: f64 = 60.0;
/// How long it pauses between two packets, on average; and one of those that are quiet.
const PAUSE: f64 = 2.0;
const LONG_PAUSE: f64 = 20.0;
/// Of so many flows one is quiet.
const QUIET: usize = 20;

/// How a flow does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has sent nothing yet.
    New,
    /// It is with this backend.
    Alive(Server),
    /// Its backend has failed, and its client has yet to find out.
    Orphaned,
    /// It is over, and its client waits.
    Over,
}

/// A client's present flow.
pub(crate) struct Flow {
    random: Random,
    pub(crate) hash: FlowHash,
    pub(crate) fate: Fate,
    /// Which balancer got its last packet, and which of those that had this place.
    pub(crate) balancer: (usize, u32),
    /// Whether it has been kept from going elsewhere.
    pub(crate) is_kept: bool,
    pause: f64,
    end: Tick,
    next: Tick,
}

impl Flow {
    fn new(mut random: Random, now: Tick) -> Self {
        let hash = FlowHash(random.next());
        let pause = if random.once_in(QUIET) {
            LONG_PAUSE
        } else {
            PAUSE
        };
        let end = now + exponential(&mut random, LIFETIME);
        Self {
            random,
            hash,
            fate: Fate::New,
            balancer: (0, 0),
            is_kept: false,
            pause,
            end,
            next: now,
        }
    }

    /// Whether the packet that is due is its last.
    pub(crate) const fn is_last(&self) -> bool {
        self.next == self.end
    }

    /// Goes on to what comes after the packet that was due.
    fn advance(&mut self) {
        if self.is_last() {
            *self = Self::new(self.random.clone(), self.next + 1);
        } else {
            let pause = exponential(&mut self.random, self.pause);
            self.next = (self.next + pause).min(self.end);
        }
    }
}

/// Flows by the time of their next packet: a wheel that turns once in a minute.
pub(crate) struct Traffic {
    pub(crate) flows: Vec<Flow>,
    wheel: Vec<Vec<usize>>,
}

const TURN: Tick = seconds(60);

impl Traffic {
    /// So many clients.
    pub(crate) fn new(clients: usize, seed: u64) -> Self {
        let mut seeds = Random::new(seed);
        let mut traffic = Self {
            flows: Vec::new(),
            wheel: vec![Vec::new(); TURN as usize],
        };
        for client in 0..clients {
            let flow = Flow::new(Random::new(seeds.next()), 0);
            traffic.flows.push(flow);
            traffic.put(client);
        }
        traffic
    }

    fn put(&mut self, client: usize) {
        let next = self.flows[client].next;
        self.wheel[(next % TURN) as usize].push(client);
    }

    /// Calls `send` for each flow that sends a packet `now`, and goes on.
    pub(crate) fn each(&mut self, now: Tick, mut send: impl FnMut(&mut Flow)) {
        let bucket = std::mem::take(&mut self.wheel[(now % TURN) as usize]);
        for client in bucket {
            let flow = &mut self.flows[client];
            if flow.next == now {
                send(flow);
                flow.advance();
            }
            self.put(client);
        }
    }
}
