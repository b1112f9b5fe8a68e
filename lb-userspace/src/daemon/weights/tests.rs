//! Which services take their steps together, and who waits for its agent.

use super::*;
use crate::{config::Host, config::text};

/// Services whose weights follow agents, by name, each with two backends.
fn desired(names: &[&str]) -> Desired {
    let services = (1..).zip(names).map(|(number, name)| {
        format!(
            r#"
            [[service]]
            name = "{name}"
            vips = ["192.0.2.{number}:80/tcp"]
            mode = "l2"
            dynamic_weights = {{ agent_port = 9990, interval = "2s" }}
            [[service.backend]]
            address = "10.0.0.1:80"
            [[service.backend]]
            address = "10.0.0.2:80"
            "#
        )
    });
    let services: String = services.collect();
    text::load(&services, &Host::default()).unwrap().desired
}

fn target(service: &str, address: &str) -> Target {
    Target {
        service: service.parse().unwrap(),
        address: address.parse().unwrap(),
    }
}

#[test]
fn steps_that_would_be_soon_come_along_and_no_others() {
    let begin = Instant::now();
    let after = |ms| begin + Duration::from_millis(ms);
    let mut weights = Weights::default();
    let all = desired(&["first", "soon", "late"]);
    weights.follow(&desired(&["first"]), begin);
    weights.follow(&desired(&["first", "soon"]), after(500));
    weights.follow(&all, after(501));
    weights.step(&all, after(1_999));
    assert_eq!(weights.next(), Some(after(2_000)));
    weights.step(&all, after(2_000));
    let nexts = ["first", "soon", "late"].map(|name| {
        let name: ServiceName = name.parse().unwrap();
        weights.services[&name].next
    });
    assert_eq!(nexts, [4_000, 4_000, 2_501].map(after));
}

#[test]
fn who_had_no_slots_waits_for_its_agent_if_another_had_some() {
    let desired = desired(&["drained", "new"]);
    let mut weights = Weights::default();
    weights.follow(&desired, Instant::now());
    weights.begin(&desired, &[target("drained", "10.0.0.1:80")].into());
    let drained: Vec<Target> = weights.scales().into_keys().collect();
    assert_eq!(drained, [target("drained", "10.0.0.2:80")]);
    assert!(weights.scales()[&drained[0]].drains);
}
