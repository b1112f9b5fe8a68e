//! What happens to the fleet and to its backends, and when: the same whatever is remembered.

use std::collections::BTreeMap;

use lb_tests::random::Random;
use lb_userspace::model::TableSlots;

use super::{
    time::{Tick, exponential, seconds},
    wanted::{Server, WEIGHT, table_slots},
};

/// Balancers of the fleet.
pub(crate) const BALANCERS: usize = 8;

/// The first event.
const BEGIN: Tick = seconds(120);
/// Between planned changes, on average.
const PLANNED: f64 = 60.0;
/// Before the first change of the table's size, and between them.
const FIRST_RESIZE: Tick = seconds(20 * 60);
const RESIZE: Tick = seconds(40 * 60);
/// Between failures, and until the backend is well again, on average.
const FAILURE: f64 = 120.0;
const OUTAGE: f64 = 180.0;
/// Before the first departure of a balancer, between departures, and until it is back: ten lifetimes of flows after a
/// change of the table's size, so that each breaks its own.
const FIRST_DEPARTURE: Tick = seconds(10 * 60);
const DEPARTURE: Tick = seconds(20 * 60);
const ABSENCE: Tick = seconds(5 * 60);

/// Which kind of event is to blame for a connection that broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A backend is added, drained or removed, or its weight changes.
    Planned,
    Resize,
    Failure,
    Ecmp,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Add(Server),
    /// It is removed when its last flow has ended.
    Drain(Server),
    Weigh(Server, u32),
    Resize(u32),
    Fail(Server),
    Recover(Server),
    /// A balancer gets no packets any more.
    Leave(usize),
    /// It is back, and remembers nothing.
    Return(usize),
}

impl Event {
    pub(crate) const fn cause(self) -> Cause {
        match self {
            Self::Add(_) | Self::Drain(_) | Self::Weigh(..) => Cause::Planned,
            Self::Resize(_) => Cause::Resize,
            Self::Fail(_) | Self::Recover(_) => Cause::Failure,
            Self::Leave(_) | Self::Return(_) => Cause::Ecmp,
        }
    }
}

/// What is to happen, whom it concerns being found out when it does.
#[derive(Clone, Copy)]
enum Due {
    Planned,
    Resize,
    Failure,
    Recovery(Server),
    Departure,
    Return(usize),
}

/// The events until `end`, in order.
pub(crate) fn churn(backends: u32, end: Tick, seed: u64) -> Vec<(Tick, Event)> {
    let mut agenda = Agenda {
        random: Random::new(seed),
        dues: BTreeMap::new(),
        well: (0..backends).map(Server).collect(),
        backends,
        usual_slots: table_slots(backends),
        planned: 0,
        entries: 0,
        is_resized: false,
        departures: 0,
    };
    for due in [Due::Planned, Due::Failure] {
        agenda.put(BEGIN, due);
    }
    agenda.put(FIRST_RESIZE, Due::Resize);
    agenda.put(FIRST_DEPARTURE, Due::Departure);
    let mut events = Vec::new();
    while let Some(((at, _), due)) = agenda.dues.pop_first()
        && at < end
    {
        events.extend(agenda.event(at, due).map(|event| (at, event)));
    }
    events
}

struct Agenda {
    random: Random,
    /// By time, then in order of entry.
    dues: BTreeMap<(Tick, usize), Due>,
    /// Those that neither drain nor have failed.
    well: Vec<Server>,
    /// So many have been given a number.
    backends: u32,
    usual_slots: u32,
    planned: usize,
    entries: usize,
    is_resized: bool,
    departures: usize,
}

impl Agenda {
    fn put(&mut self, at: Tick, due: Due) {
        self.entries += 1;
        self.dues.insert((at, self.entries), due);
    }

    fn put_in(&mut self, now: Tick, mean: f64, due: Due) {
        let pause = exponential(&mut self.random, mean);
        self.put(now + pause, due);
    }

    fn event(&mut self, now: Tick, due: Due) -> Option<Event> {
        match due {
            Due::Planned => {
                self.put_in(now, PLANNED, Due::Planned);
                self.planned()
            }
            Due::Resize => {
                self.put(now + RESIZE, Due::Resize);
                self.is_resized = !self.is_resized;
                let usual = self.usual_slots;
                let larger = TableSlots::SIZES.into_iter().find(|size| *size > usual);
                Some(Event::Resize(match larger {
                    Some(larger) if self.is_resized => larger,
                    _ => usual,
                }))
            }
            Due::Failure => {
                self.put_in(now, FAILURE, Due::Failure);
                let victim = self.victim()?;
                self.put_in(now, OUTAGE, Due::Recovery(victim));
                Some(Event::Fail(victim))
            }
            Due::Recovery(server) => {
                self.well.push(server);
                Some(Event::Recover(server))
            }
            Due::Departure => {
                self.put(now + DEPARTURE, Due::Departure);
                let balancer = self.departures % BALANCERS;
                self.departures += 1;
                self.put(now + ABSENCE, Due::Return(balancer));
                Some(Event::Leave(balancer))
            }
            Due::Return(balancer) => Some(Event::Return(balancer)),
        }
    }

    /// As many come as go, and as many weights change as both.
    fn planned(&mut self) -> Option<Event> {
        self.planned += 1;
        match self.planned % 4 {
            1 => {
                let server = Server(self.backends);
                self.backends += 1;
                self.well.push(server);
                Some(Event::Add(server))
            }
            3 => self.victim().map(Event::Drain),
            _ => {
                let server = self.random.pick(&self.well);
                let change = self.random.below(WEIGHT as usize);
                let weight = WEIGHT / 2 + u32::try_from(change).ok()?;
                Some(Event::Weigh(server, weight))
            }
        }
    }

    /// One of those that are well, who no longer is; nobody if only one is left.
    fn victim(&mut self) -> Option<Server> {
        let place = self.random.below(self.well.len());
        (self.well.len() > 1).then(|| self.well.swap_remove(place))
    }
}
