//! Aliases of backends that are probed by their VIP: what each stands for, and when that changes.

use std::net::IpAddr;

use super::{
    super::{Plan, Shortage, features},
    lab::{Lab, service, target, words},
};
use crate::{
    dataplane::{Capacity, Features, PathEntry, Step},
    health::Endpoint,
    model::{Aliases, Health, Mode, Probe, ProbeKind, ProbeWay, Scope, Service, Via},
};

const VIP: &str = "192.0.2.1:443/tcp";
const OTHER_VERSION: &str = "[2001:db8::1]:443/tcp";
const ONE: &str = "10.0.0.1:80";
const TWO: &str = "10.0.0.2:80";
const SIX: &str = "[fd00::1]:80";
/// The index of the interface of probes.
const PROBES: u32 = 9;

fn web(backends: &[&str]) -> Service {
    let mut web = service("web", &[OTHER_VERSION, VIP, "192.0.2.1:53/udp"], backends);
    web.probe = Some(Probe {
        via: Via::Vip,
        ..Probe::new(ProbeKind::Tcp)
    });
    web
}

/// A lab with the interface of probes, in which the kernel has told where it would send from.
fn lab(services: impl IntoIterator<Item = Service>) -> Lab {
    let mut lab = Lab::new(services);
    lab.probes.interface = Some(PROBES);
    lab.interfaces.insert(super::lab::INTERFACE);
    know_sources(&mut lab);
    lab
}

fn know_sources(lab: &mut Lab) {
    for (address, hop) in &mut lab.next_hops {
        let own: IpAddr = if address.is_ipv4() {
            [10, 0, 0, 254].into()
        } else {
            "fd00::fe".parse().unwrap()
        };
        if let Ok(hop) = hop {
            hop.source = Some(own);
        }
    }
}

/// What the plan says of aliases, in words.
fn told(plan: &Plan) -> Vec<String> {
    let mut told = words(&plan.publish);
    told.retain(|step| step.contains(" stand for "));
    told
}

fn paths(lab: &Lab) -> Vec<(String, PathEntry)> {
    let paths = lab.memory.actual.paths.iter();
    paths
        .map(|(alias, entry)| (alias.to_string(), *entry))
        .collect()
}

#[test]
fn aliases_come_after_their_backends_and_stand_for_the_vip_of_their_version() {
    let mut lab = lab([web(&[ONE, TWO, SIX])]);
    let plan = lab.publish();
    let steps = words(&plan.publish);
    let position = |part: &str| steps.iter().position(|step| step.contains(part)).unwrap();
    assert!(position("redirects to interface 9") < position("stand for"));
    assert!(position("as number 3") < position("198.19.0.2 "));
    assert_eq!(
        told(&plan),
        [
            "let 198.19.0.2 stand for 192.0.2.1 on backend number 1",
            "let 198.19.0.3 stand for 192.0.2.1 on backend number 2",
            "let fdb3:5e0c:97d2:1::4 stand for 2001:db8::1 on backend number 3",
        ]
    );
    let entry = |number: usize| paths(&lab)[number].1;
    assert_eq!(entry(0).interface, PROBES);
    assert_eq!(entry(0).source.to_string(), "10.0.0.254");
    assert_eq!(entry(2).source.to_string(), "fd00::fe");
    let endpoint = plan.paths[&target("web", TWO)];
    let wanted = Endpoint {
        address: "198.19.0.3:443".parse().unwrap(),
        name: "192.0.2.1:443".parse().unwrap(),
    };
    assert_eq!(endpoint, wanted);
    assert!(lab.settle().is_empty());
}

#[test]
fn sick_backends_keep_their_alias_and_others_have_none() {
    let mut service = web(&[ONE, TWO, "10.0.0.3:80"]);
    let nat = service.backends.get_mut(&TWO.parse().unwrap()).unwrap();
    nat.mode = Mode::Snat;
    let mut lab = lab([service]);
    lab.set_health("web", ONE, Health::Down);
    lab.lose_next_hop("10.0.0.3");
    let plan = lab.settle();
    let probed: Vec<_> = plan.paths.keys().cloned().collect();
    assert_eq!(probed, [target("web", ONE)]);
    lab.service_mut("web").probe = None;
    let plan = lab.settle();
    assert_eq!(told(&plan), ["let 198.19.0.2 stand for nothing"]);
    assert_eq!(paths(&lab), []);
}

#[test]
fn a_number_that_is_given_out_again_changes_what_its_alias_stands_for() {
    let mut lab = lab([web(&[ONE])]);
    lab.settle();
    let before = paths(&lab)[0].1;
    lab.want(web(&[TWO]));
    know_sources(&mut lab);
    lab.settle();
    lab.want(web(&[TWO, ONE]));
    know_sources(&mut lab);
    lab.settle();
    let after = paths(&lab)[0].1;
    assert_eq!(before.backend, after.backend);
    assert_ne!(before.generation, after.generation);
    assert!(lab.settle().is_empty());
}

#[test]
fn a_new_process_keeps_what_aliases_stand_for_until_the_kernel_has_told_its_addresses() {
    let mut lab = lab([web(&[ONE])]);
    lab.settle();
    let before = paths(&lab);
    lab.next_hops.clear();
    assert!(lab.plan().is_empty());
    lab.probes.interface = Some(PROBES + 1);
    lab.settle();
    let moved = PathEntry {
        interface: PROBES + 1,
        ..before[0].1
    };
    assert_eq!(paths(&lab), [(before[0].0.clone(), moved)]);
}

#[test]
fn nothing_leads_to_a_backend_that_would_answer_itself() {
    let mut lab = lab([web(&[ONE])]);
    let vip: IpAddr = [192, 0, 2, 1].into();
    for hop in lab.next_hops.values_mut().flatten() {
        hop.source = Some(vip);
    }
    assert!(lab.settle().paths.is_empty());
    assert_eq!(paths(&lab), []);
}

#[test]
fn what_does_not_go_with_the_aliases_is_told_before_anything_is_done() {
    let narrow = ProbeWay {
        aliases: Aliases {
            v4: "10.9.0.0/29".parse().unwrap(),
            ..Aliases::default()
        },
        interface: Some(PROBES),
    };
    let many: Vec<String> = (1..=8).map(|host| format!("10.0.0.{host}:80")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut lab = lab([web(&many)]);
    lab.probes = narrow;
    assert_eq!(lab.plan().shortages, [Shortage::Aliases { without: 3 }]);

    lab.want(web(&["10.9.0.5:80"]));
    let taken = Shortage::AliasesTaken {
        aliases: "10.9.0.0/29".parse().unwrap(),
        addresses: "10.9.0.5".parse().unwrap(),
    };
    assert_eq!(lab.plan().shortages, [taken]);
    // Who does not probe by VIP may have any address.
    lab.service_mut("web").probe = None;
    assert_eq!(lab.plan().shortages, []);
}

#[test]
fn replies_are_looked_up_as_long_as_an_alias_stands_for_something() {
    let mut lab = lab([web(&[ONE])]);
    assert!(features(&lab.desired, &Scope::All).has(Features::REPLIES));
    lab.settle();
    assert!(lab.memory.actual.features().has(Features::REPLIES));
    lab.service_mut("web").probe = None;
    assert!(!features(&lab.desired, &Scope::All).has(Features::REPLIES));
    let steps = lab.settle().publish;
    assert!(
        matches!(steps.as_slice(), [Step::RemovePath(_)]),
        "{steps:?}"
    );
    assert!(!lab.memory.actual.features().has(Features::REPLIES));
    assert_eq!(Capacity::default(), lab.memory.capacity);
}
