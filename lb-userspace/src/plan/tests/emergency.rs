//! Fallback backends and panic: who gets the new flows, who keeps the old ones, and what is said.

use super::{
    super::{Emergency, NotServing, Plan, Serving},
    lab::{Lab, service, serving},
};
use crate::model::{Health, Role, Thresholds};

const VIP: &str = "192.0.2.1:80/tcp";
const ONE: &str = "10.0.0.1:80";
const TWO: &str = "10.0.0.2:80";
const LAST: &str = "10.0.0.9:80";

/// Two ordinary backends and a fallback.
fn web(min_healthy: u32, panic_threshold: u32) -> Lab {
    let mut web = service("web", &[VIP], &[ONE, TWO, LAST]);
    web.thresholds = Thresholds {
        min_healthy,
        panic_threshold,
    };
    let mut lab = Lab::new([web]);
    lab.backend_mut("web", LAST).role = Role::Fallback;
    lab.settle();
    lab
}

fn emergency(plan: &Plan) -> Option<Emergency> {
    plan.emergencies.values().next().copied()
}

#[test]
fn a_fallback_backend_stands_by_until_too_few_are_left_and_then_again() {
    let mut lab = web(1, 0);
    let plan = lab.plan();
    assert_eq!(lab.served_by(VIP), [ONE, TWO]);
    assert_eq!(
        *serving(&plan, "web", LAST),
        Serving::No(NotServing::Standby)
    );
    assert_eq!(emergency(&plan), None);
    for one in [ONE, TWO] {
        lab.set_health("web", one, Health::Down);
    }
    assert_eq!(emergency(&lab.settle()), Some(Emergency::Fallback));
    assert_eq!(lab.served_by(VIP), [LAST]);
    lab.set_health("web", TWO, Health::Up);
    assert_eq!(emergency(&lab.settle()), None);
    assert_eq!(lab.served_by(VIP), [TWO]);
    let (_, entry) = lab.find(LAST).unwrap();
    assert!(entry.active, "the flows that it has got stay");
}

#[test]
fn fallback_backends_serve_beside_those_that_are_left() {
    let mut lab = web(2, 0);
    lab.set_health("web", ONE, Health::Down);
    assert_eq!(emergency(&lab.settle()), Some(Emergency::Fallback));
    assert_eq!(lab.served_by(VIP), [TWO, LAST]);
}

#[test]
fn without_a_fallback_that_can_serve_panic_ignores_health() {
    let mut lab = web(1, 60);
    lab.set_health("web", LAST, Health::Down);
    lab.set_health("web", ONE, Health::Down);
    let plan = lab.settle();
    assert_eq!(emergency(&plan), Some(Emergency::Panic));
    assert_eq!(lab.served_by(VIP), [ONE, TWO]);
    assert_eq!(
        *serving(&plan, "web", LAST),
        Serving::No(NotServing::Unhealthy)
    );
    let (_, entry) = lab.find(ONE).unwrap();
    assert!(entry.active, "the flows that it has stay");
    lab.set_health("web", ONE, Health::Up);
    assert_eq!(emergency(&lab.settle()), None);
    assert_eq!(lab.served_by(VIP), [ONE, TWO]);
}

#[test]
fn panic_keeps_what_the_operator_has_switched_off_out() {
    let mut lab = web(1, 100);
    lab.set_health("web", LAST, Health::Down);
    for one in [ONE, TWO] {
        lab.set_health("web", one, Health::Down);
    }
    lab.backend_mut("web", ONE).state = crate::model::AdminState::Down;
    let plan = lab.settle();
    assert_eq!(lab.served_by(VIP), [TWO]);
    assert_eq!(
        *serving(&plan, "web", ONE),
        Serving::No(NotServing::Disabled)
    );
}
