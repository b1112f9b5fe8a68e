//! The order of steps, and that there are none when nothing is to do.

use lb_common::vlan::{Vlan, VlanDevice};

use super::{
    super::{Plan, Tables, features},
    lab::{INTERFACE, Lab, service, words},
};
use crate::{
    dataplane::{Features, Region, Step},
    model::{AdminState, Health, Mode, Scope},
};

const VIP: &str = "192.0.2.1:80/tcp";
const ONE: &str = "10.0.0.1:80";
const TWO: &str = "10.0.0.2:80";

fn web() -> crate::model::Service {
    service("web", &[VIP], &[ONE, TWO])
}

#[test]
fn devices_come_before_backends_before_tables_before_vips() {
    let plan = Lab::new([web()]).plan();
    let publish = [
        "allow redirects to interface 3",
        "write backend 10.0.0.1:80 as number 1",
        "write backend 10.0.0.2:80 as number 2",
        "write a table of 1021 slots at 0",
        "publish 192.0.2.1:80/tcp with 1021 slots",
    ];
    assert_eq!(words(&plan.publish), publish);
    assert_eq!(plan.clean, []);
    assert_eq!(plan.generation, 1);
}

#[test]
fn vips_go_before_backends_are_silenced_and_clean_up_begins_with_a_grace_period() {
    let mut lab = Lab::published([
        web(),
        service("dns", &["192.0.2.2:53/udp"], &["10.0.0.9:53"]),
    ]);
    lab.drop_service("web");
    lab.service_mut("dns").vips = ["192.0.2.3:53/udp".parse().unwrap()].into();
    let plan = lab.settle();
    let publish = [
        "write a table of 1021 slots at 2048",
        "publish 192.0.2.3:53/udp with 1021 slots",
        "take 192.0.2.1:80/tcp away",
        "take 192.0.2.2:53/udp away",
        "silence 10.0.0.1:80",
        "silence 10.0.0.2:80",
    ];
    assert_eq!(words(&plan.publish), publish);
    let clean = [
        "wait for packets under way",
        "take backend number 2 away",
        "take backend number 3 away",
    ];
    assert_eq!(words(&plan.clean), clean);
}

#[test]
fn a_plan_is_empty_when_nothing_is_wanted_and_nothing_is_there() {
    assert_eq!(Lab::new([]).plan(), Plan::default());
}

#[test]
fn a_second_plan_is_empty_and_keeps_the_generation() {
    let mut lab = Lab::published([web()]);
    let again = lab.plan();
    assert!(again.is_empty(), "{again:?}");
    assert_eq!(again.generation, 1);
}

#[test]
fn a_restart_adopts_what_is_there_without_a_step() {
    let mut lab = Lab::published([
        web(),
        service("dns", &["[2001:db8::1]:53/udp"], &["[fd00::1]:53"]),
    ]);
    lab.tables = Tables::default();
    lab.memory = std::mem::take(&mut lab.memory).restarted();
    let plan = lab.plan();
    assert!(plan.is_empty(), "{plan:?}");
}

#[test]
fn the_same_input_gives_the_same_plan_with_and_without_remembered_tables() {
    let mut lab = Lab::published([web()]);
    lab.set_health("web", ONE, Health::Down);
    let remembered = lab.plan();
    lab.tables = Tables::default();
    assert_eq!(lab.plan(), remembered);
}

#[test]
fn a_failed_backend_leaves_the_table_and_is_silenced_after_the_vips_in_one_plan() {
    let mut lab = Lab::published([web()]);
    lab.set_health("web", ONE, Health::Down);
    let plan = lab.settle();
    let publish = [
        "write a table of 1021 slots at 1024",
        "publish 192.0.2.1:80/tcp with 1021 slots",
        "silence 10.0.0.1:80",
    ];
    assert_eq!(words(&plan.publish), publish);
    assert_eq!(lab.served_by(VIP), [TWO]);
    assert_eq!(plan.clean, []);
}

#[test]
fn a_recovered_backend_is_active_again_before_a_table_names_it() {
    let mut lab = Lab::published([web()]);
    let (_, before) = lab.entry(ONE);
    lab.set_health("web", ONE, Health::Down);
    lab.settle();
    lab.set_health("web", ONE, Health::Up);
    let plan = lab.settle();
    assert_eq!(
        words(&plan.publish)[0],
        "write backend 10.0.0.1:80 as number 1"
    );
    assert_eq!(lab.entry(ONE).1, before);
    assert_eq!(lab.served_by(VIP), [ONE, TWO]);
}

#[test]
fn without_its_last_backend_a_vip_is_published_without_a_table_at_once() {
    let mut lab = Lab::published([service("web", &[VIP], &[ONE])]);
    lab.service_mut("web").backends.clear();
    let plan = lab.settle();
    let publish = [
        "publish 192.0.2.1:80/tcp with 0 slots",
        "silence 10.0.0.1:80",
    ];
    assert_eq!(words(&plan.publish), publish);
    assert_eq!(lab.vip(VIP).region, Region::default());
    assert_eq!(lab.memory.actual.backends.len(), 0);
}

#[test]
fn a_change_of_one_service_leaves_the_others_alone() {
    let mut lab = Lab::published([
        web(),
        service("dns", &["192.0.2.2:53/udp"], &["10.0.0.9:53"]),
    ]);
    lab.backend_mut("dns", "10.0.0.9:53").state = AdminState::Drain;
    let plan = lab.settle();
    assert_eq!(
        words(&plan.publish),
        ["publish 192.0.2.2:53/udp with 0 slots"]
    );
}

#[test]
fn a_new_mac_address_is_one_write() {
    let mut lab = Lab::published([web()]);
    let address = "10.0.0.1".parse().unwrap();
    let hop = lab.next_hops.get_mut(&address).unwrap().as_mut().unwrap();
    hop.destination_mac = [2, 0, 0, 0, 9, 9];
    let plan = lab.settle();
    assert_eq!(
        words(&plan.publish),
        ["write backend 10.0.0.1:80 as number 1"]
    );
    assert_eq!(
        lab.entry(ONE).1.next_hop.destination_mac,
        [2, 0, 0, 0, 9, 9]
    );
}

#[test]
fn an_interface_is_allowed_first_and_forbidden_last() {
    let mut lab = Lab::published([web()]);
    for hop in lab.next_hops.values_mut() {
        hop.as_mut().unwrap().interface = 7;
    }
    let plan = lab.settle();
    assert_eq!(plan.publish.first(), Some(&Step::PutDevice(7)));
    assert_eq!(plan.clean, [Step::Grace, Step::RemoveDevice(INTERFACE)]);
}

#[test]
fn interfaces_for_replies_are_allowed_though_no_backend_is_there() {
    let mut lab = Lab::new([]);
    lab.interfaces = [4, 5].into();
    assert_eq!(
        lab.settle().publish,
        [Step::PutDevice(4), Step::PutDevice(5)]
    );
    lab.interfaces = [5].into();
    assert_eq!(lab.settle().clean, [Step::Grace, Step::RemoveDevice(4)]);
}

#[test]
fn vlan_devices_follow_the_interfaces_that_transmit_for_them() {
    let on = |parent, id| VlanDevice {
        parent,
        vlan: Vlan::new(id, false),
        reserved: 0,
    };
    let mut lab = Lab::published([web()]);
    // Nothing leaves by interface 8.
    lab.vlans = [(9, on(INTERFACE, 100)), (10, on(8, 100))].into();
    assert_eq!(lab.settle().publish, [Step::PutVlan(9, on(INTERFACE, 100))]);
    lab.interfaces = [8].into();
    let put = [Step::PutDevice(8), Step::PutVlan(10, on(8, 100))];
    assert_eq!(lab.settle().publish, put);
    lab.vlans = [(9, on(INTERFACE, 200))].into();
    let changed = [Step::RemoveVlan(10), Step::PutVlan(9, on(INTERFACE, 200))];
    assert_eq!(lab.settle().publish, changed);
    assert!(lab.plan().is_empty());
}

#[test]
fn a_backend_that_moves_into_a_vlan_is_written_anew() {
    let mut lab = Lab::published([web()]);
    let hop = lab.next_hops.get_mut(&[10, 0, 0, 1].into()).unwrap();
    hop.as_mut().unwrap().vlan = Vlan::new(100, true);
    let plan = lab.settle();
    assert_eq!(
        words(&plan.publish),
        ["write backend 10.0.0.1:80 as number 1"]
    );
    assert_eq!(lab.entry(ONE).1.next_hop.vlan, Vlan::new(100, true));
}

#[test]
fn an_address_is_announced_with_its_first_vip_and_until_its_last() {
    let (http, dns) = ("192.0.2.1:80/tcp", "192.0.2.1:53/udp");
    let mut lab = Lab::published([
        service("web", &[http], &[ONE]),
        service("dns", &[dns], &[TWO]),
    ]);
    let address = "192.0.2.1".parse().unwrap();
    lab.drop_service("web");
    lab.settle();
    assert_eq!(lab.memory.actual.addresses, [address].into());
    lab.drop_service("dns");
    lab.settle();
    assert_eq!(lab.memory.actual.addresses, [].into());
}

#[test]
fn a_prefix_is_announced_with_its_first_vip_and_until_its_last() {
    let (http, any) = ("203.0.113.0/28:80/tcp", "203.0.113.0/28:*/udp");
    let mut lab = Lab::published([
        service("web", &[http, "203.0.113.5:80/tcp"], &[ONE]),
        service("all", &[any], &[TWO]),
    ]);
    let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(
        lab.memory.actual.addresses,
        addresses(&["203.0.113.0/28", "203.0.113.5"])
    );
    lab.drop_service("web");
    lab.settle();
    assert_eq!(lab.memory.actual.addresses, addresses(&["203.0.113.0/28"]));
    lab.memory.actual.addresses.clear();
    let plan = lab.settle();
    assert_eq!(
        words(&plan.publish),
        ["publish 203.0.113.0/28:*/udp with 1021 slots"]
    );
    lab.drop_service("all");
    lab.settle();
    assert_eq!(lab.memory.actual.addresses, [].into());
}

#[test]
fn a_wanted_feature_is_wanted_whatever_the_health() {
    let mut lab = Lab::new([web()]);
    assert_eq!(features(&lab.desired, &Scope::All), Features::NONE);
    lab.want(service("range", &["203.0.113.0/28:80/tcp"], &[]));
    assert_eq!(features(&lab.desired, &Scope::All), Features::PREFIX_VIPS);
    lab.backend_mut("web", ONE).mode = Mode::Nat;
    lab.backend_mut("web", ONE).state = AdminState::Down;
    let both = Features::PREFIX_VIPS.with(Features::REPLIES);
    assert_eq!(features(&lab.desired, &Scope::All), both);
    lab.settle();
    assert!(both.has(lab.memory.actual.features()));
}

#[test]
fn a_lost_address_entry_is_put_back_with_a_vip_of_that_address() {
    let mut lab = Lab::published([web()]);
    lab.memory.actual.addresses.clear();
    let plan = lab.settle();
    assert_eq!(
        words(&plan.publish),
        ["publish 192.0.2.1:80/tcp with 1021 slots"]
    );
}

#[test]
fn a_lost_vip_and_a_foreign_one_are_put_right() {
    let mut lab = Lab::published([web()]);
    let entry = lab
        .memory
        .actual
        .vips
        .remove(&VIP.parse().unwrap())
        .unwrap();
    let foreign = "192.0.2.1:8080/tcp".parse().unwrap();
    lab.memory.actual.vips.insert(foreign, entry);
    lab.settle();
    assert_eq!(lab.served_by(VIP), [ONE, TWO]);
    assert_eq!(lab.memory.actual.vips.len(), 1);
}
