//! Which backends get new flows, which keep the flows they have, and what is said about the others.

use super::{
    super::{NotServing, Serving},
    lab::{INTERFACE, Lab, backend, service, serving},
};
use crate::{
    dataplane::Region,
    model::{AdminState, Health, Mode, Source},
    neighbor::Unresolved,
};

const VIP: &str = "192.0.2.1:80/tcp";
const ONE: &str = "10.0.0.1:80";
const TWO: &str = "10.0.0.2:80";

fn web() -> Lab {
    Lab::new([service("web", &[VIP], &[ONE, TWO])])
}

/// What is said of backend one after `change`, whether it is in the kernel, and whether it is active there.
fn after(change: impl FnOnce(&mut Lab)) -> (Serving, Option<bool>) {
    let mut lab = web();
    lab.settle();
    change(&mut lab);
    let plan = lab.settle();
    assert_eq!(lab.served_by(VIP), [TWO]);
    assert_eq!(*serving(&plan, "web", TWO), Serving::Slots(1_021));
    let active = lab.find(ONE).map(|(_, entry)| entry.active);
    (serving(&plan, "web", ONE).clone(), active)
}

#[test]
fn every_serving_backend_is_told_its_slots() {
    let plan = web().plan();
    let slots = plan.serving.values().map(|serving| match serving {
        Serving::Slots(slots) => *slots,
        Serving::No(why) => panic!("{why}"),
    });
    assert_eq!(slots.sum::<u32>(), 1_021);
}

#[test]
fn a_drained_backend_leaves_the_table_and_keeps_its_flows() {
    let (said, active) = after(|lab| lab.backend_mut("web", ONE).state = AdminState::Drain);
    assert_eq!(said, Serving::No(NotServing::Draining));
    assert_eq!(active, Some(true));
}

#[test]
fn a_backend_that_is_being_removed_moves_slots_once_and_makes_no_table_larger() {
    let addresses: Vec<String> = (1..=11).map(|n| format!("10.0.0.{n}:80")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let (ten, eleven) = (&addresses[..10], &addresses[..]);
    let mut lab = Lab::published([service("web", &[VIP], ten)]);
    lab.want(service("web", &[VIP], eleven));
    let one = lab.backend_mut("web", ONE);
    (one.state, one.remove_at) = (AdminState::Drain, Some(std::time::UNIX_EPOCH));
    let plan = lab.settle();
    assert_eq!(
        *serving(&plan, "web", ONE),
        Serving::No(NotServing::Draining)
    );
    assert_eq!(lab.find(ONE).map(|(_, entry)| entry.active), Some(true));
    let region = lab.vip(VIP).region;
    assert_eq!(region.slots, 1_021);
    lab.service_mut("web")
        .backends
        .remove(&ONE.parse().unwrap());
    lab.settle();
    assert_eq!(lab.vip(VIP).region, region);
    assert_eq!(lab.find(ONE), None);
}

#[test]
fn a_disabled_backend_leaves_the_table_and_loses_its_flows() {
    let (said, active) = after(|lab| lab.backend_mut("web", ONE).state = AdminState::Down);
    assert_eq!(said, Serving::No(NotServing::Disabled));
    assert_eq!(active, Some(false));
}

#[test]
fn an_unhealthy_backend_leaves_the_table_and_loses_its_flows() {
    let (said, active) = after(|lab| lab.set_health("web", ONE, Health::Down));
    assert_eq!(said, Serving::No(NotServing::Unhealthy));
    assert_eq!(active, Some(false));
}

#[test]
fn a_drained_backend_that_fails_loses_its_flows() {
    let (said, active) = after(|lab| {
        lab.backend_mut("web", ONE).state = AdminState::Drain;
        lab.set_health("web", ONE, Health::Down);
    });
    assert_eq!(said, Serving::No(NotServing::Draining));
    assert_eq!(active, Some(false));
}

#[test]
fn a_backend_of_unknown_health_gets_no_new_flows() {
    let (said, active) = after(|lab| lab.set_health("web", ONE, Health::Unknown));
    assert_eq!(said, Serving::No(NotServing::HealthUnknown));
    assert_eq!(active, Some(true));
}

#[test]
fn a_lost_next_hop_takes_a_backend_out_of_the_table_and_leaves_its_flows_the_old_one() {
    let mut lab = web();
    lab.settle();
    let before = lab.entry(ONE);
    lab.lose_next_hop("10.0.0.1");
    let plan = lab.settle();
    let why = NotServing::Unresolved(Unresolved::NoRoute);
    assert_eq!(*serving(&plan, "web", ONE), Serving::No(why));
    assert_eq!(lab.entry(ONE), before);
    assert_eq!(lab.served_by(VIP), [TWO]);
}

#[test]
fn flows_that_keep_an_old_next_hop_keep_its_interface() {
    let mut lab = web();
    lab.settle();
    lab.lose_next_hop("10.0.0.1");
    lab.lose_next_hop("10.0.0.2");
    lab.settle();
    assert_eq!(lab.memory.actual.devices, [INTERFACE].into());
}

#[test]
fn an_interface_that_is_gone_is_not_asked_for_again_for_the_sake_of_old_flows() {
    let mut lab = web();
    lab.settle();
    lab.lose_next_hop("10.0.0.1");
    lab.lose_next_hop("10.0.0.2");
    lab.memory.actual.devices.clear();
    let plan = lab.plan();
    assert!(
        !plan
            .publish
            .contains(&crate::dataplane::Step::PutDevice(INTERFACE)),
        "{plan:?}"
    );
}

#[test]
fn a_backend_whose_next_hop_has_not_been_asked_for_is_where_it_was() {
    let mut lab = web();
    lab.settle();
    lab.next_hops.clear();
    let plan = lab.settle();
    assert!(plan.is_empty(), "a restart moves nothing: {plan:?}");
}

#[test]
fn a_backend_whose_next_hop_was_never_known_is_not_in_the_kernel() {
    let three = "10.0.0.3:80";
    let rows = [
        (None, NotServing::NextHopPending),
        (
            Some(Err(Unresolved::Local)),
            NotServing::Unresolved(Unresolved::Local),
        ),
    ];
    for (hop, why) in rows {
        let mut lab = web();
        let added = backend(three);
        lab.service_mut("web").backends.insert(added.address, added);
        lab.next_hops
            .extend(hop.map(|hop| ("10.0.0.3".parse().unwrap(), hop)));
        let plan = lab.settle();
        assert_eq!(*serving(&plan, "web", three), Serving::No(why));
        assert_eq!(lab.find(three), None);
    }
}

#[test]
fn mode_l2_is_refused_behind_a_gateway_and_nat_is_not() {
    let mut lab = web();
    for hop in lab.next_hops.values_mut() {
        hop.as_mut().unwrap().on_link = false;
    }
    lab.backend_mut("web", TWO).mode = Mode::Nat;
    let plan = lab.settle();
    let Serving::No(why) = serving(&plan, "web", ONE) else {
        panic!("a backend behind a gateway cannot be reached by its MAC address");
    };
    assert_eq!(
        why.to_string(),
        "mode l2 needs a backend on the same link, and the route to it has a gateway"
    );
    assert_eq!(lab.served_by(VIP), [TWO]);
}

#[test]
fn a_backend_that_moves_behind_a_gateway_keeps_its_flows_and_gets_no_new_ones() {
    let (said, active) = after(|lab| {
        let address = "10.0.0.1".parse().unwrap();
        let hop = lab.next_hops.get_mut(&address).unwrap();
        hop.as_mut().unwrap().on_link = false;
    });
    assert_eq!(said, Serving::No(NotServing::BehindGateway));
    assert_eq!(active, Some(true));
}

#[test]
fn health_belongs_to_one_service_and_not_to_the_machine() {
    let dns = "192.0.2.2:53/udp";
    let mut lab = web();
    lab.want(service("dns", &[dns], &[ONE]));
    lab.settle();
    lab.set_health("web", ONE, Health::Down);
    lab.settle();
    assert_eq!(lab.served_by(VIP), [TWO]);
    assert_eq!(lab.served_by(dns), [ONE]);
}

#[test]
fn a_service_without_a_serving_backend_is_published_without_a_table() {
    let mut lab = web();
    lab.set_health("web", ONE, Health::Unknown);
    lab.set_health("web", TWO, Health::Unknown);
    lab.settle();
    assert_eq!(lab.vip(VIP).region, Region::default());
}

/// What is said of backend one in `mode`, whose next hop sends from `source`, after `change`.
fn in_mode(mode: Mode, source: Option<&str>, change: impl FnOnce(&mut Lab)) -> (Lab, Serving) {
    let mut lab = web();
    lab.backend_mut("web", ONE).mode = mode;
    let address = ONE.parse::<std::net::SocketAddr>().unwrap().ip();
    if let Some(Ok(hop)) = lab.next_hops.get_mut(&address) {
        hop.source = source.map(|source| source.parse().unwrap());
        hop.on_link = false;
    }
    change(&mut lab);
    let plan = lab.settle();
    let said = serving(&plan, "web", ONE).clone();
    (lab, said)
}

fn source_of(lab: &Lab) -> Option<Source> {
    lab.find(ONE).and_then(|(_, entry)| entry.source)
}

#[test]
fn a_tunnel_begins_at_the_address_that_the_kernel_would_send_from() {
    for mode in [Mode::Ipip, Mode::Gue] {
        let (lab, said) = in_mode(mode, Some("10.1.0.1"), |_| {});
        assert!(matches!(said, Serving::Slots(_)), "{said:?}");
        assert_eq!(source_of(&lab), Some("10.1.0.1".parse().unwrap()));
    }
}

#[test]
fn a_tunnel_begins_where_the_operator_has_chosen() {
    let chosen: Source = "10.99.0.0/16".parse().unwrap();
    let (lab, said) = in_mode(Mode::Ipip, Some("10.1.0.1"), |lab| {
        lab.sources.tunnel.v4 = Some(chosen);
    });
    assert!(matches!(said, Serving::Slots(_)), "{said:?}");
    assert_eq!(source_of(&lab), Some(chosen));
}

#[test]
fn a_tunnel_without_a_source_is_not_served() {
    let (_, said) = in_mode(Mode::Gue, None, |lab| {
        lab.sources.tunnel.v6 = Some("fd00::/96".parse().unwrap());
    });
    assert_eq!(said, Serving::No(NotServing::NoSource(Mode::Gue)));
}

#[test]
fn full_nat_comes_from_the_address_that_the_kernel_or_the_operator_chooses() {
    let (lab, said) = in_mode(Mode::Snat, Some("10.1.0.1"), |lab| {
        lab.sources.tunnel.v4 = Some("10.99.0.0/16".parse().unwrap());
    });
    assert!(matches!(said, Serving::Slots(_)), "{said:?}");
    assert_eq!(source_of(&lab), Some("10.1.0.1".parse().unwrap()));
    let (lab, _) = in_mode(Mode::Snat, Some("10.1.0.1"), |lab| {
        lab.sources.snat.v4 = Some("10.98.0.0/30".parse().unwrap());
    });
    assert_eq!(source_of(&lab), Some("10.98.0.0/30".parse().unwrap()));
    let (_, said) = in_mode(Mode::Snat, None, |_| {});
    assert_eq!(said, Serving::No(NotServing::NoSource(Mode::Snat)));
}

#[test]
fn this_host_itself_needs_no_next_hop_and_another_is_not_this_host() {
    let (lab, said) = in_mode(Mode::Local, None, |lab| {
        let address = ONE.parse::<std::net::SocketAddr>().unwrap().ip();
        lab.next_hops.insert(address, Err(Unresolved::Local));
    });
    assert!(matches!(said, Serving::Slots(_)), "{said:?}");
    assert!(!lab.memory.actual.devices.contains(&0));
    let (_, said) = in_mode(Mode::Local, None, |_| {});
    assert_eq!(said, Serving::No(NotServing::NotThisHost));
}
