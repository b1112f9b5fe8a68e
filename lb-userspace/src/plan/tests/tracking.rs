//! Slots move without losing a flow: learn, then move; and nothing is remembered while nothing moves.

use std::collections::BTreeSet;

use lb_common::table::Slot;

use super::{
    super::{Knowledge, NotServing, Scale, Serving, Strays},
    lab::{Lab, backend, service, target},
};
use crate::{
    dataplane::Capacity,
    model::{AdminState, DynamicWeights, Health, Moves, TableSlots, Tracking, Weight},
};

const VIP: &str = "192.0.2.1:80/tcp";
const ONE: &str = "10.0.0.1:80";
const TWO: &str = "10.0.0.2:80";
const THREE: &str = "10.0.0.3:80";

/// A service that remembers on demand, published.
fn lab(backends: &[&str]) -> Lab {
    let mut web = service("web", &[VIP], backends);
    web.moves = Moves::default();
    Lab::published([web])
}

fn slots(lab: &Lab) -> Vec<Slot> {
    let region = lab.vip(VIP).region;
    lab.memory.slots(region).to_vec()
}

/// All batches have learnt.
fn learn(lab: &mut Lab) {
    let service = lab.vip(VIP).service;
    let batches: BTreeSet<u8> = slots(lab).iter().map(|slot| slot.batch()).collect();
    lab.knowledge.learnt = batches.into_iter().map(|batch| (service, batch)).collect();
}

/// The flow tables have been looked at, and only these slots have flows elsewhere.
fn look(lab: &mut Lab, strays: &[u32]) {
    let generation = lab.vip(VIP).generation;
    let found = Strays {
        generation,
        slots: strays.iter().copied().collect(),
    };
    let service = lab.vip(VIP).service;
    std::sync::Arc::make_mut(&mut lab.knowledge.strays).insert(service, found);
}

/// Steps until nothing is published any more; each learns, and what it publishes is looked at.
fn follow(lab: &mut Lab, mut see: impl FnMut(&[Slot], &[Slot])) -> usize {
    for step in 0..100 {
        learn(lab);
        let before = slots(lab);
        let plan = lab.settle();
        if plan.publish.is_empty() {
            return step;
        }
        see(&before, &slots(lab));
    }
    panic!("it never ends");
}

fn owned(lab: &Lab, address: &str) -> usize {
    let Some((id, _)) = lab.find(address) else {
        return 0;
    };
    let slots = slots(lab);
    slots.iter().filter(|slot| slot.backend() == id).count()
}

fn tracked(lab: &Lab) -> usize {
    slots(lab).iter().filter(|slot| slot.is_tracked()).count()
}

/// A slot that had somebody alive and was not tracked, or not yet for long enough, must not have moved.
fn assert_learnt(before: &[Slot], after: &[Slot]) {
    for (before, after) in before.iter().zip(after) {
        if before.backend() != after.backend() {
            assert!(
                before.is_tracked() && after.is_tracked(),
                "{before:?}, {after:?}"
            );
        }
    }
}

#[test]
fn while_everybody_is_well_nothing_is_tracked() {
    let lab = lab(&[ONE, TWO, THREE]);
    assert_eq!(tracked(&lab), 0);
}

#[test]
fn slots_of_the_dead_move_at_once_and_come_back_at_once() {
    let mut lab = lab(&[ONE, TWO, THREE]);
    let healthy = slots(&lab);
    let dead = owned(&lab, TWO);
    lab.set_health("web", TWO, Health::Down);
    lab.settle();
    assert_eq!((owned(&lab, TWO), tracked(&lab)), (0, dead));
    assert!(slots(&lab).iter().all(|slot| slot.batch() == 0));
    lab.set_health("web", TWO, Health::Up);
    let plan = lab.settle();
    let lingering = plan.moves.values().map(|moving| moving.lingering);
    assert_eq!(lingering.sum::<u32>() as usize, dead, "worth a look");
    let back: Vec<Slot> = healthy
        .iter()
        .map(|slot| Slot::new(slot.backend()))
        .collect();
    let bare = |lab: &Lab| -> Vec<Slot> {
        let slots = slots(lab);
        slots.iter().map(|slot| Slot::new(slot.backend())).collect()
    };
    assert_eq!(bare(&lab), back, "at once: all their flows are remembered");
    assert_eq!(
        tracked(&lab),
        dead,
        "flows of the outage stay where they are"
    );
    // Of two slots there are flows elsewhere yet.
    let strays: Vec<u32> = (0..)
        .zip(slots(&lab))
        .filter(|(_, slot)| slot.is_tracked())
        .map(|(place, _)| place)
        .take(2)
        .collect();
    look(&mut lab, &strays);
    lab.settle();
    assert_eq!(tracked(&lab), 2);
    look(&mut lab, &[]);
    lab.settle();
    assert_eq!(slots(&lab), healthy);
    assert!(lab.plan().publish.is_empty());
}

#[test]
fn what_was_found_of_another_table_is_not_believed() {
    let mut lab = lab(&[ONE, TWO, THREE]);
    look(&mut lab, &[]);
    lab.set_health("web", TWO, Health::Down);
    lab.settle();
    lab.set_health("web", TWO, Health::Up);
    lab.settle();
    assert!(tracked(&lab) > 0);
    assert!(lab.plan().publish.is_empty());
}

#[test]
fn a_drained_backend_keeps_its_slots_until_its_flows_are_known() {
    let mut lab = lab(&[ONE, TWO, THREE]);
    let share = owned(&lab, TWO);
    lab.backend_mut("web", TWO).state = AdminState::Drain;
    lab.settle();
    assert_eq!((owned(&lab, TWO), tracked(&lab)), (share, share));
    assert!(lab.plan().publish.is_empty(), "it learns");
    learn(&mut lab);
    lab.settle();
    assert_eq!((owned(&lab, TWO), tracked(&lab)), (0, share));
}

#[test]
fn a_drain_that_is_called_off_moves_nothing() {
    let mut lab = lab(&[ONE, TWO, THREE]);
    let before = slots(&lab);
    lab.backend_mut("web", TWO).state = AdminState::Drain;
    lab.settle();
    lab.backend_mut("web", TWO).state = AdminState::Up;
    follow(&mut lab, assert_learnt);
    look(&mut lab, &[]);
    lab.settle();
    assert_eq!(slots(&lab), before);
}

#[test]
fn the_last_backend_drains_too() {
    let mut lab = lab(&[ONE]);
    lab.backend_mut("web", ONE).state = AdminState::Drain;
    lab.settle();
    assert_eq!(lab.served_by(VIP), [ONE]);
    learn(&mut lab);
    lab.settle();
    assert_eq!(lab.served_by(VIP), Vec::<String>::new());
}

#[test]
fn an_added_backend_gets_its_share_in_steps() {
    let mut lab = lab(&[ONE, TWO, THREE]);
    let mut web = service("web", &[VIP], &[ONE, TWO, THREE, "10.0.0.4:80"]);
    web.moves = Moves::default();
    lab.want(web);
    let mut most = 0;
    let steps = follow(&mut lab, |before, after| {
        assert_learnt(before, after);
        let moved = before.iter().zip(after);
        let moved = moved.filter(|(a, b)| a.backend() != b.backend()).count();
        most = most.max(moved);
    });
    assert!((5..=8).contains(&steps), "{steps} steps");
    assert_eq!(most, 52, "5 % of 1,021");
    let share = owned(&lab, "10.0.0.4:80");
    assert!((250..=260).contains(&share), "{share}");
    look(&mut lab, &[]);
    lab.settle();
    assert_eq!(tracked(&lab), 0, "and then nothing is remembered any more");
}

#[test]
fn weights_move_in_steps_to_where_they_would_have_begun() {
    let mut lab = lab(&[ONE, TWO, THREE]);
    lab.backend_mut("web", ONE).weight = Weight::try_from(1_000).unwrap();
    follow(&mut lab, assert_learnt);
    look(&mut lab, &[]);
    lab.settle();
    let mut web = service("web", &[VIP], &[ONE, TWO, THREE]);
    web.moves = Moves::default();
    let mut other = Lab::new([web]);
    other.backend_mut("web", ONE).weight = Weight::try_from(1_000).unwrap();
    other.settle();
    assert!(slots(&lab) == slots(&other), "another table");
}

#[test]
fn a_failure_while_others_learn_moves_its_slots_at_once() {
    let mut lab = lab(&[ONE, TWO, THREE]);
    lab.backend_mut("web", TWO).state = AdminState::Drain;
    lab.settle();
    let learning = owned(&lab, TWO);
    lab.set_health("web", THREE, Health::Down);
    lab.settle();
    assert_eq!(owned(&lab, THREE), 0);
    assert_eq!(owned(&lab, TWO), learning, "it goes on learning");
    learn(&mut lab);
    lab.settle();
    assert_eq!(lab.served_by(VIP), [ONE]);
}

#[test]
fn a_learning_backend_that_fails_moves_at_once() {
    let mut lab = lab(&[ONE, TWO, THREE]);
    lab.backend_mut("web", TWO).state = AdminState::Drain;
    lab.settle();
    lab.set_health("web", TWO, Health::Down);
    lab.settle();
    assert_eq!(owned(&lab, TWO), 0);
}

#[test]
fn a_second_change_learns_by_itself() {
    let mut lab = lab(&[ONE, TWO, THREE]);
    lab.backend_mut("web", TWO).state = AdminState::Drain;
    lab.settle();
    learn(&mut lab);
    let first = lab.knowledge.learnt.clone();
    lab.knowledge.learnt = BTreeSet::new();
    lab.backend_mut("web", THREE).state = AdminState::Drain;
    lab.settle();
    lab.knowledge.learnt = first;
    lab.settle();
    assert_eq!(owned(&lab, TWO), 0, "the first has learnt");
    assert!(owned(&lab, THREE) > 300, "the second has not");
    follow(&mut lab, assert_learnt);
    assert_eq!(lab.served_by(VIP), [ONE]);
}

#[test]
fn a_table_of_another_size_comes_when_all_flows_are_known() {
    let mut lab = lab(&[ONE, TWO, THREE]);
    lab.service_mut("web").table_slots = TableSlots::Fixed(4_093);
    lab.settle();
    assert_eq!((slots(&lab).len(), tracked(&lab)), (1_021, 1_021));
    lab.set_health("web", TWO, Health::Down);
    lab.settle();
    assert_eq!(owned(&lab, TWO), 0, "a failure meanwhile");
    learn(&mut lab);
    lab.settle();
    assert_eq!((slots(&lab).len(), tracked(&lab)), (4_093, 4_093));
    look(&mut lab, &[]);
    lab.settle();
    assert!(tracked(&lab) < 1_500, "those of the dead one");
}

#[test]
fn a_new_process_goes_on_where_the_last_one_was() {
    let mut lab = lab(&[ONE, TWO, THREE]);
    lab.backend_mut("web", TWO).state = AdminState::Drain;
    lab.settle();
    let before = slots(&lab);
    lab.memory = lab.memory.restarted();
    lab.tables = super::super::Tables::default();
    lab.knowledge = Knowledge::default();
    assert!(lab.plan().publish.is_empty());
    assert_eq!(slots(&lab), before);
    learn(&mut lab);
    lab.settle();
    assert_eq!(owned(&lab, TWO), 0);
}

#[test]
fn always_remembers_all_and_off_nothing_and_neither_waits() {
    for (tracking, share) in [(Tracking::Always, 1_021), (Tracking::Off, 0)] {
        let mut web = service("web", &[VIP], &[ONE, TWO, THREE]);
        web.moves.tracking = tracking;
        let mut lab = Lab::published([web]);
        assert_eq!(tracked(&lab), share, "{tracking}");
        lab.backend_mut("web", TWO).state = AdminState::Drain;
        let mut more = lab.service_mut("web").clone();
        more.backends
            .insert("10.0.0.4:80".parse().unwrap(), backend("10.0.0.4:80"));
        lab.want(more);
        lab.settle();
        assert_eq!(owned(&lab, TWO), 0, "{tracking}");
        assert!(owned(&lab, "10.0.0.4:80") > 300, "{tracking}");
        assert!(lab.plan().publish.is_empty(), "{tracking}");
    }
}

#[test]
fn a_growing_share_begins_small_and_moves_only_what_is_known() {
    let mut lab = lab(&[ONE, TWO]);
    lab.service_mut("web").moves.slow_start = std::time::Duration::from_mins(1);
    lab.set_health("web", TWO, Health::Down);
    lab.settle();
    lab.set_health("web", TWO, Health::Up);
    let plan = lab.settle();
    let [target] = plan.growing.iter().collect::<Vec<_>>()[..] else {
        panic!("{:?}", plan.growing);
    };
    let target = target.clone();
    let first = owned(&lab, TWO);
    assert!((30..=70).contains(&first), "{first} of about 510");
    let mut before = first;
    for grown in (100..=1_000).step_by(50) {
        lab.knowledge.grown.insert(target.clone(), grown);
        let table = slots(&lab);
        lab.settle();
        assert_learnt(&table, &slots(&lab));
        let now = owned(&lab, TWO);
        assert!(now >= before && now - before <= 52, "{before} to {now}");
        before = now;
    }
    assert!(before > 500, "{before}");
}

#[test]
fn a_weight_that_follows_its_backend_moves_only_what_is_known_and_comes_back_at_once() {
    let mut lab = lab(&[ONE, TWO]);
    let home = slots(&lab);
    lab.service_mut("web").dynamic_weights = Some(DynamicWeights::default());
    let scaled = |lab: &mut Lab, percent: u32, drains: bool| {
        let scale = Scale { percent, drains };
        lab.knowledge.scales.insert(target("web", TWO), scale);
    };
    // A share may have a surplus of a twenty-fourth.
    for (percent, expected) in [(90, 474..505), (50, 330..356), (1, 5..16)] {
        scaled(&mut lab, percent, false);
        follow(&mut lab, assert_learnt);
        let owned = owned(&lab, TWO);
        assert!(expected.contains(&owned), "{owned} slots at {percent} %");
    }
    scaled(&mut lab, 1, true);
    follow(&mut lab, assert_learnt);
    assert_eq!(owned(&lab, TWO), 0, "its agent drains it");
    let serving = lab.plan().serving;
    let why = Serving::No(NotServing::AgentDrains);
    assert_eq!(serving.get(&target("web", TWO)), Some(&why));
    lab.knowledge.scales.clear();
    lab.settle();
    let owners = |slots: &[Slot]| slots.iter().map(|it| it.backend()).collect::<Vec<_>>();
    assert_eq!(
        owners(&slots(&lab)),
        owners(&home),
        "everybody is at home again"
    );
}

#[test]
fn scales_are_of_services_whose_weights_are_dynamic() {
    let mut lab = lab(&[ONE, TWO]);
    let drained = Scale {
        percent: 1,
        drains: true,
    };
    lab.knowledge.scales.insert(target("web", TWO), drained);
    assert!(lab.plan().publish.is_empty());
}

#[test]
fn nobodys_share_grows_while_the_daemon_begins() {
    let mut lab = lab(&[ONE, TWO]);
    lab.service_mut("web").moves.slow_start = std::time::Duration::from_mins(1);
    lab.knowledge.is_beginning = true;
    lab.set_health("web", TWO, Health::Down);
    lab.settle();
    lab.set_health("web", TWO, Health::Up);
    assert!(lab.settle().growing.is_empty());
    assert!(owned(&lab, TWO) > 500);
    lab.knowledge.is_beginning = false;
    assert!(lab.plan().publish.is_empty());
}

#[test]
fn flows_from_before_an_empty_table_are_not_forgotten() {
    let mut lab = lab(&[ONE, TWO]);
    lab.backend_mut("web", ONE).state = AdminState::Drain;
    lab.set_health("web", TWO, Health::Down);
    lab.settle();
    learn(&mut lab);
    lab.settle();
    assert_eq!(lab.served_by(VIP), Vec::<String>::new());
    lab.set_health("web", TWO, Health::Up);
    let plan = lab.settle();
    assert_eq!(tracked(&lab), 1_021, "flows may be with the drained one");
    let lingering: u32 = plan.moves.values().map(|it| it.lingering).sum();
    assert!(lingering > 400, "{lingering} are looked for");
}

#[test]
fn what_finds_no_room_does_not_learn() {
    let capacity = Capacity {
        slots: 1_024,
        ..Capacity::default()
    };
    let mut lab = Lab::sized(capacity);
    let mut web = service("web", &[VIP], &[ONE, TWO]);
    web.moves = Moves::default();
    lab.want(web);
    lab.settle();
    lab.backend_mut("web", TWO).state = AdminState::Drain;
    let plan = lab.plan();
    assert!(!plan.shortages.is_empty(), "no room for a second table");
    assert!(
        plan.moves
            .values()
            .all(|moving| moving.batches.iter().all(|it| *it == 0))
    );
}
