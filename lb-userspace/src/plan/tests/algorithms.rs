//! Which tables algorithms get, and how a service comes from one to another without losing a flow.

use std::collections::BTreeSet;

use lb_common::table::Slot;

use super::{
    super::features,
    lab::{Lab, service},
};
use crate::{
    dataplane::Features,
    model::{Algorithm, Health, Moves, Scope, Weight},
};

const VIP: &str = "192.0.2.1:80/tcp";
const ONE: &str = "10.0.0.1:80";
const TWO: &str = "10.0.0.2:80";
const THREE: &str = "10.0.0.3:80";

/// A service of this algorithm that remembers what it must, published.
fn lab(algorithm: Algorithm) -> Lab {
    let mut web = service("web", &[VIP], &[ONE, TWO, THREE]);
    web.moves = Moves::default();
    let mut lab = Lab::new([web]);
    turn_to(&mut lab, algorithm);
    lab.settle();
    lab
}

fn turn_to(lab: &mut Lab, algorithm: Algorithm) {
    let web = lab.service_mut("web");
    web.algorithm = algorithm;
    web.moves.tracking = algorithm.tracking();
}

fn slots(lab: &Lab) -> Vec<Slot> {
    lab.memory.slots(lab.vip(VIP).region).to_vec()
}

fn learn(lab: &mut Lab) {
    let service = lab.vip(VIP).service;
    let batches = slots(lab).into_iter().map(|slot| (service, slot.batch()));
    lab.knowledge.learnt = batches.collect();
}

fn owned(lab: &Lab, address: &str) -> usize {
    let (id, _) = lab.entry(address);
    let slots = slots(lab);
    slots.iter().filter(|slot| slot.backend() == id).count()
}

#[test]
fn turns_are_exact_and_all_flows_are_remembered() {
    let mut lab = lab(Algorithm::RoundRobin);
    assert!(slots(&lab).iter().all(|slot| slot.is_tracked()));
    assert_eq!([ONE, TWO, THREE].map(|it| owned(&lab, it)), [340; 3]);
    lab.backend_mut("web", ONE).weight = Weight::try_from(3).unwrap();
    lab.settle();
    assert_eq!([ONE, TWO, THREE].map(|it| owned(&lab, it)), [612, 204, 204]);
    let cycle: Vec<_> = slots(&lab).chunks(5).map(<[Slot]>::to_vec).collect();
    assert!(
        cycle.iter().all(|turns| *turns == cycle[0]),
        "it goes on as it began"
    );
    lab.set_health("web", TWO, Health::Down);
    lab.settle();
    assert_eq!((owned(&lab, ONE), owned(&lab, THREE)), (765, 255));
    assert!(slots(&lab).iter().all(|slot| slot.is_tracked()));
    assert!(lab.plan().publish.is_empty());
}

#[test]
fn chance_and_sources_have_the_tables_of_maglev() {
    let plain = |lab: &Lab| -> Vec<Slot> {
        let slots = slots(lab).into_iter();
        slots.map(|slot| Slot::new(slot.backend())).collect()
    };
    let maglev = lab(Algorithm::Maglev);
    let random = lab(Algorithm::Random);
    assert_eq!(plain(&random), plain(&maglev));
    assert!(slots(&random).iter().all(|slot| slot.is_tracked()));
    assert_eq!(slots(&lab(Algorithm::SourceHash)), slots(&maglev));
}

#[test]
fn features_follow_the_algorithms() {
    for algorithm in Algorithm::ALL {
        let lab = lab(algorithm);
        let needed = features(&lab.desired, &Scope::All);
        assert_eq!(needed.has(Features::ALGORITHMS), !algorithm.is_default());
        assert_eq!(lab.memory.actual.features(), needed, "{algorithm}");
    }
}

/// From each algorithm to each other one: the old one stays until every flow is remembered, and then the new table comes
/// with the new algorithm.
#[test]
fn another_algorithm_waits_until_all_flows_are_remembered() {
    let pairs = Algorithm::ALL.map(|from| Algorithm::ALL.map(|to| (from, to)));
    for (from, to) in pairs.into_iter().flatten().filter(|(from, to)| from != to) {
        let mut lab = lab(from);
        let before = slots(&lab);
        turn_to(&mut lab, to);
        lab.settle();
        if !from.draws_slots() {
            assert_eq!(lab.vip(VIP).algorithm, from, "{from} to {to}");
            let owners =
                |slots: &[Slot]| -> Vec<_> { slots.iter().map(|it| it.backend()).collect() };
            assert_eq!(owners(&slots(&lab)), owners(&before), "{from} to {to}");
            let batches: BTreeSet<u8> = slots(&lab).iter().map(|slot| slot.batch()).collect();
            assert_eq!(batches, BTreeSet::from([1]), "{from} to {to}");
            assert!(lab.plan().publish.is_empty(), "{from} to {to}: it learns");
            learn(&mut lab);
            lab.settle();
        }
        assert_eq!(lab.vip(VIP).algorithm, to, "{from} to {to}");
        assert!(slots(&lab).iter().all(|slot| slot.is_tracked()));
        let mut fresh = self::lab(to);
        fresh.settle();
        let owner = |lab: &Lab, place: usize| {
            let id = slots(lab)[place].backend();
            lab.memory.actual.backends[&id].address
        };
        assert_eq!(slots(&lab).len(), slots(&fresh).len());
        for place in 0..slots(&lab).len() {
            assert_eq!(owner(&lab, place), owner(&fresh, place), "{from} to {to}");
        }
    }
}

#[test]
fn without_memory_another_algorithm_comes_at_once() {
    let mut lab = lab(Algorithm::Maglev);
    lab.service_mut("web").moves.tracking = crate::model::Tracking::Off;
    lab.settle();
    lab.service_mut("web").algorithm = Algorithm::SourceHash;
    lab.settle();
    assert_eq!(lab.vip(VIP).algorithm, Algorithm::SourceHash);
    assert!(lab.plan().publish.is_empty());
}
