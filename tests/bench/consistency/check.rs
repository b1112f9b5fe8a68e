//! The arithmetic of the simulation that `bench consistency` runs, where it is known what must come out.
#![expect(
    clippy::indexing_slicing,
    reason = "places are below the lengths they were made for"
)]

mod balancer;
mod churn;
mod memory;
mod simulation;
mod time;
mod traffic;
mod wanted;

use lb_common::{backend::BackendId, hash::FlowHash};
use lb_userspace::model::Tracking;

use self::{
    churn::{BALANCERS, Cause, Event, churn},
    memory::{Entry, Lru, Memory},
    simulation::{Outcome, Setting, ratio, simulate},
    time::{Tick, seconds},
    wanted::Server,
};

const BACKENDS: u32 = 10;
const FLOWS: usize = 2_000;

/// Two minutes of traffic with these events.
fn outcome(tracking: Tracking, churn: &[(Tick, Event)]) -> Outcome {
    let outcome = simulate(&Setting {
        backends: BACKENDS,
        flows: FLOWS,
        end: seconds(120),
        seed: 7,
        capacity: FLOWS,
        tracking,
        churn,
    });
    outcome.unwrap_or_else(|error| panic!("{tracking}: {error:#}"))
}

fn broken(outcome: &Outcome, cause: Cause) -> u64 {
    outcome.broken[cause as usize]
}

#[test]
fn without_events_nothing_breaks_and_on_demand_nothing_is_remembered() {
    for tracking in Tracking::ALL {
        let outcome = outcome(tracking, &[]);
        assert_eq!((outcome.broken, outcome.dead), ([0; 4], 0), "{tracking}");
        assert!(outcome.begun > 5_000, "{}", outcome.begun);
        let looked_up = match tracking {
            Tracking::Always => outcome.packets,
            Tracking::Off | Tracking::OnDemand => 0,
        };
        assert_eq!(outcome.looked_up, looked_up, "{tracking}");
        let remembers = tracking == Tracking::Always;
        assert_eq!(outcome.entries() > 0.0, remembers, "{tracking}");
        let open = if remembers { 1.0 } else { 0.0 };
        assert!((outcome.open() - open).abs() < 1e-9, "{}", outcome.open());
        assert_eq!(outcome.peak >= 1.0, remembers, "{tracking}");
    }
}

#[test]
fn with_off_a_drain_breaks_exactly_the_flows_that_always_keeps() {
    let drain = [(seconds(70), Event::Drain(Server(3)))];
    let [always, off] = [Tracking::Always, Tracking::Off].map(|it| outcome(it, &drain));
    assert_eq!(always.begun, off.begun, "the same traffic");
    assert_eq!((always.broken, off.kept), ([0; 4], 0));
    assert_eq!(off.broken, [always.kept, 0, 0, 0]);
    // A tenth of those that live, and few of them are silent until the end.
    assert!((140..=260).contains(&always.kept), "{}", always.kept);
}

#[test]
fn on_demand_a_drain_breaks_only_flows_that_were_silent_while_it_learnt() {
    let drain = [(seconds(60), Event::Drain(Server(3)))];
    let [off, on_demand] = [Tracking::Off, Tracking::OnDemand].map(|it| outcome(it, &drain));
    let planned = broken(&on_demand, Cause::Planned);
    assert_eq!(on_demand.broken, [planned, 0, 0, 0]);
    assert!(planned * 50 < broken(&off, Cause::Planned), "{planned}");
    assert!(on_demand.kept > 50, "{}", on_demand.kept);
    assert!(on_demand.peak < 0.3, "{}", on_demand.peak);
}

#[test]
fn a_failure_breaks_nothing_but_what_was_with_the_dead_until_it_recovers() {
    let failure = [(seconds(30), Event::Fail(Server(3)))];
    let both = [failure[0], (seconds(60), Event::Recover(Server(3)))];
    for tracking in Tracking::ALL {
        let failed = outcome(tracking, &failure);
        assert_eq!(failed.broken, [0; 4], "{tracking}");
        assert!((140..=260).contains(&failed.dead), "{}", failed.dead);
        let recovered = outcome(tracking, &both);
        let is_off = tracking == Tracking::Off;
        assert_eq!(broken(&recovered, Cause::Failure) > 0, is_off, "{tracking}");
        assert_eq!(recovered.dead, failed.dead, "{tracking}");
    }
}

#[test]
fn another_balancer_breaks_what_only_the_first_has_remembered() {
    let leave = (seconds(90), Event::Leave(2));
    let drain = (seconds(30), Event::Drain(Server(3)));
    for tracking in Tracking::ALL {
        assert_eq!(outcome(tracking, &[leave]).broken, [0; 4], "{tracking}");
        let outcome = outcome(tracking, &[drain, leave]);
        let remembers = tracking != Tracking::Off;
        assert_eq!(
            broken(&outcome, Cause::Ecmp) > 0,
            remembers,
            "{tracking}: {outcome:?}"
        );
    }
}

#[test]
fn a_seed_determines_all() {
    let events = churn(BACKENDS, seconds(1_200), 5);
    assert_eq!(events, churn(BACKENDS, seconds(1_200), 5));
    assert_ne!(events, churn(BACKENDS, seconds(1_200), 6));
    let leaves = events
        .iter()
        .filter(|(_, event)| matches!(event, Event::Leave(number) if *number < BALANCERS));
    assert_eq!(leaves.count(), 1);
    let early: Vec<(Tick, Event)> = events
        .into_iter()
        .map(|(at, event)| (at / 10, event))
        .collect();
    let [one, two] = [0; 2].map(|_| outcome(Tracking::OnDemand, &early));
    assert_eq!(one, two);
    assert!(ratio(one.looked_up, one.packets) > one.tracked() / 2.0);
}

#[test]
fn the_least_recently_used_makes_room_and_fresh_flows_only_among_themselves() {
    let entry = |hash| Entry {
        hash: FlowHash(hash),
        backend: BackendId(1),
        generation: 1,
        has_ended: false,
    };
    let mut table = Lru::new(3);
    for hash in [1, 2, 3] {
        table.insert(entry(hash));
    }
    assert!(table.touch(FlowHash(1)).is_some());
    table.insert(entry(4));
    let left = |table: &Lru| {
        (1..=5)
            .filter(|hash| table.peek(FlowHash(*hash)).is_some())
            .collect::<Vec<u64>>()
    };
    assert_eq!(left(&table), [1, 3, 4]);
    table.remove(FlowHash(3));
    table.insert(entry(5));
    table.insert(entry(5));
    assert_eq!(left(&table), [1, 4, 5]);
    let mut memory = Memory::new(8);
    memory.flows.insert(entry(1));
    for hash in 2..100 {
        memory.fresh.insert(entry(hash));
    }
    assert_eq!(memory.entries(), 3);
    assert!(memory.flows.peek(FlowHash(1)).is_some());
    let known: Vec<u64> = memory.iter().map(|entry| entry.hash.0).collect();
    assert_eq!((known[0], known.len()), (1, 3));
}
