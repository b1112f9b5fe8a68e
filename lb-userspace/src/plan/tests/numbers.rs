//! Numbers of backends and services: who keeps one, and when one is given out again.

use std::collections::BTreeSet;

use super::lab::{Lab, service, words};
use crate::{
    dataplane::{ServiceId, Step},
    model::{Mode, Weight},
};

const VIP: &str = "192.0.2.1:80/tcp";
const OTHER: &str = "192.0.2.2:80/tcp";
const THIRD: &str = "192.0.2.3:80/tcp";
const ONE: &str = "10.0.0.1:80";
const TWO: &str = "10.0.0.2:80";

fn replace_backend(lab: &mut Lab, old: &str, new: &str) {
    let backends = &mut lab.service_mut("web").backends;
    backends.remove(&old.parse().unwrap()).unwrap();
    let web = service("web", &[VIP], &[new]);
    lab.service_mut("web").backends.extend(web.backends.clone());
    lab.next_hops.extend(Lab::new([web]).next_hops);
}

#[test]
fn a_change_of_mode_is_a_new_backend() {
    let mut lab = Lab::published([service("web", &[VIP], &[ONE, TWO])]);
    let (number, before) = lab.entry(ONE);
    lab.backend_mut("web", ONE).mode = Mode::Nat;
    lab.settle();
    let (new_number, after) = lab.entry(ONE);
    assert_ne!(new_number, number);
    assert!(after.generation > before.generation, "{after:?}");
    assert_eq!(lab.memory.actual.backends.len(), 2);
}

#[test]
fn a_change_of_weight_keeps_number_and_generation() {
    let mut lab = Lab::published([service("web", &[VIP], &[ONE, TWO])]);
    let before = lab.entry(ONE);
    lab.backend_mut("web", ONE).weight = Weight::try_from(3).unwrap();
    let plan = lab.settle();
    assert_eq!(lab.entry(ONE), before);
    assert!(
        !plan
            .publish
            .iter()
            .any(|step| matches!(step, Step::PutBackend(..))),
        "{plan:?}"
    );
}

#[test]
fn a_number_is_given_out_again_only_after_the_clean_up_and_with_a_new_generation() {
    let mut lab = Lab::published([service("web", &[VIP], &[ONE])]);
    let (number, before) = lab.entry(ONE);

    replace_backend(&mut lab, ONE, TWO);
    let plan = lab.publish();
    assert_ne!(lab.entry(TWO).0, number);
    assert!(lab.memory.actual.backends.contains_key(&number));
    lab.run(&plan.clean).unwrap();

    replace_backend(&mut lab, TWO, "10.0.0.3:80");
    lab.settle();
    let (reused, after) = lab.entry("10.0.0.3:80");
    assert_eq!(reused, number);
    assert!(after.generation > before.generation, "{after:?}");
}

#[test]
fn a_backend_that_comes_back_before_the_clean_up_is_the_same_as_before() {
    let mut lab = Lab::published([service("web", &[VIP], &[ONE, TWO])]);
    let before = lab.entry(ONE);
    let removed = lab.backend_mut("web", ONE).clone();
    lab.service_mut("web").backends.remove(&removed.address);
    lab.publish();
    assert!(!lab.entry(ONE).1.active);
    lab.service_mut("web")
        .backends
        .insert(removed.address, removed);
    lab.settle();
    assert_eq!(lab.entry(ONE), before);
}

#[test]
fn the_same_machine_in_two_services_is_two_backends() {
    let mut lab = Lab::published([service("a", &[VIP], &[ONE]), service("b", &[OTHER], &[ONE])]);
    assert_eq!(lab.memory.actual.backends.len(), 2);
    assert_ne!(lab.vip(VIP).service, lab.vip(OTHER).service);
    assert_ne!(lab.vip(VIP).region, lab.vip(OTHER).region);
    assert!(lab.plan().is_empty());
}

#[test]
fn all_vips_of_a_service_share_one_region_and_one_number() {
    let vips = [VIP, "192.0.2.1:443/tcp", "[2001:db8::1]:80/tcp"];
    let mut lab = Lab::published([service("web", &vips, &[ONE])]);
    let entries: BTreeSet<_> = vips
        .map(|vip| (lab.vip(vip).region, lab.vip(vip).service))
        .into();
    assert_eq!(entries.len(), 1);
    lab.service_mut("web").vips.insert(OTHER.parse().unwrap());
    let plan = lab.settle();
    assert_eq!(
        words(&plan.publish),
        ["publish 192.0.2.2:80/tcp with 1021 slots"]
    );
    assert_eq!(lab.vip(OTHER).region, lab.vip(VIP).region);
}

#[test]
fn a_region_that_vips_share_is_retired_with_the_last_of_them() {
    let mut lab = Lab::published([service("web", &[VIP, OTHER], &[ONE])]);
    let region = lab.vip(VIP).region;
    lab.service_mut("web").vips.remove(&OTHER.parse().unwrap());
    lab.settle();
    assert!(!lab.memory.actual.retired.contains(&region));
    lab.drop_service("web");
    lab.publish();
    assert!(lab.memory.actual.retired.contains(&region));
}

#[test]
fn a_renamed_service_keeps_everything() {
    let mut lab = Lab::published([service("web", &[VIP], &[ONE, TWO])]);
    lab.drop_service("web");
    lab.want(service("www", &[VIP], &[ONE, TWO]));
    let plan = lab.plan();
    assert!(plan.is_empty(), "{plan:?}");
}

#[test]
fn two_services_that_swap_vips_keep_their_backends() {
    let mut lab = Lab::published([service("a", &[VIP], &[ONE]), service("b", &[OTHER], &[TWO])]);
    let before = (lab.entry(ONE), lab.entry(TWO));
    lab.want(service("a", &[OTHER], &[ONE]));
    lab.want(service("b", &[VIP], &[TWO]));
    let plan = lab.settle();
    let publish = [
        "write a table of 1021 slots at 2048",
        "write a table of 1021 slots at 3072",
        "publish 192.0.2.2:80/tcp with 1021 slots",
        "publish 192.0.2.1:80/tcp with 1021 slots",
    ];
    assert_eq!(words(&plan.publish), publish);
    assert_eq!((lab.entry(ONE), lab.entry(TWO)), before);
    assert_eq!(lab.served_by(VIP), [TWO]);
    assert_eq!(lab.served_by(OTHER), [ONE]);
}

#[test]
fn a_vip_that_moves_to_another_service_leaves_both_services_their_backends() {
    // Once to the service that is first by name, once to the one that is last.
    for (from, to) in [("a", "b"), ("b", "a")] {
        let mut lab = Lab::published([
            service(from, &[VIP, OTHER], &[ONE]),
            service(to, &[THIRD], &[TWO]),
        ]);
        let before = (lab.entry(ONE), lab.entry(TWO));
        lab.want(service(from, &[VIP], &[ONE]));
        lab.want(service(to, &[OTHER, THIRD], &[TWO]));
        let plan = lab.settle();
        assert_eq!(
            words(&plan.publish),
            ["publish 192.0.2.2:80/tcp with 1021 slots"],
            "from {from} to {to}"
        );
        assert_eq!(plan.clean, []);
        assert_eq!((lab.entry(ONE), lab.entry(TWO)), before);
        assert_eq!(lab.served_by(OTHER), [TWO]);
    }
}

#[test]
fn a_new_service_that_takes_a_vip_does_not_take_the_backends() {
    let mut lab = Lab::published([service("web", &[VIP, OTHER], &[ONE])]);
    let before = lab.entry(ONE);
    lab.want(service("web", &[VIP], &[ONE]));
    lab.want(service("new", &[OTHER], &[TWO]));
    lab.settle();
    assert_eq!(lab.entry(ONE), before);
    assert_eq!(lab.served_by(VIP), [ONE]);
    assert_eq!(lab.served_by(OTHER), [TWO]);
}

#[test]
fn a_service_number_is_free_again_when_nothing_bears_it() {
    let mut lab = Lab::published([service("a", &[VIP], &[ONE]), service("b", &[OTHER], &[TWO])]);
    assert_eq!(lab.vip(VIP).service, ServiceId(1));
    lab.drop_service("a");
    lab.settle();
    lab.want(service("c", &[THIRD], &[ONE]));
    lab.settle();
    assert_eq!(lab.vip(THIRD).service, ServiceId(1));
    assert_eq!(lab.vip(OTHER).service, ServiceId(2));
}

#[test]
fn generations_count_what_was_published_and_nothing_else() {
    let mut lab = Lab::published([service("web", &[VIP], &[ONE, TWO])]);
    assert_eq!(lab.memory.actual.generation, 1);
    lab.service_mut("web").thresholds.panic_threshold = 10;
    assert!(lab.settle().is_empty(), "nothing that a table shows");
    lab.service_mut("web")
        .backends
        .remove(&TWO.parse().unwrap());
    assert_eq!(lab.settle().generation, 2);
    assert_eq!(lab.vip(VIP).generation, 2);
    assert_eq!(lab.entry(ONE).1.generation, 1);
}

#[test]
fn a_publication_that_only_removes_has_a_number_of_its_own() {
    let mut lab = Lab::published([service("web", &[VIP], &[ONE])]);
    lab.drop_service("web");
    assert_eq!(lab.settle().generation, 2);
    assert_eq!(lab.memory.actual.generation, 2);
    lab.want(service("web", &[VIP], &[ONE]));
    assert_eq!(lab.settle().generation, 3);
}
